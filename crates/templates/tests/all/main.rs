//! The templates, run files and price lists that are shipped, and hostile ones.

mod hostile;
mod prices;
mod run_files;
mod templates;
