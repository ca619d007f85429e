//! How plans, operations and environments read for people: on the command
//! line, on the page before a vote, and on the page that announces one.

pub mod certificate;
pub mod decision;
pub mod environment;
pub mod format;
pub mod operation;
pub mod plan;
mod tree;
