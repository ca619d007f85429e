//! Environment templates, run files and price lists: YAML in, checked values
//! out.
//!
//! Every reader points at the line and column of what it refuses, names the
//! nearest known word and says what to do. Files are data from outside: they
//! are limited in size and depth, and hidden characters are refused. Nothing
//! here opens a file; callers pass names and texts.

mod body;
mod compare;
mod error;
mod fields;
mod known;
pub mod prices;
mod run_file;
mod set;
mod template;
mod values;
mod yaml;

pub use compare::Difference;
pub use error::DecodeError;
pub use fields::IgnoredKey;
pub use known::ZONES;
pub use run_file::RunFile;
pub use set::{TemplateError, TemplateSet};
pub use template::{InstantiateError, InstantiateOptions, Template};
pub use yaml::{FILE_BYTES_MAX, decode as decode_yaml};
