//! Formats plans, operations and environments for people: on the command line,
//! on the page before a vote, and on the page that announces a plan.
//!
//! Foreign text keeps to its place: it is shown escaped, on one line.

pub mod certificate;
pub mod decision;
pub mod environment;
pub mod format;
mod objects;
pub mod operation;
pub mod plan;
mod tree;
