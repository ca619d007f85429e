//! Automation of this repository: test, lint, bench.
fn main() {}
