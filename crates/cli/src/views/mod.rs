//! How things look: text for people and JSON for programs.

pub(crate) mod certificate;
pub(crate) mod decision;
pub(crate) mod environment;
pub(crate) mod operation;
pub(crate) mod plan;
pub(crate) mod tree;
