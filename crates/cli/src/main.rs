//! The exokit command line.
fn main() {}
