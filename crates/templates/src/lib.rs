//! Environment templates and run files: YAML in, checked specifications out.
