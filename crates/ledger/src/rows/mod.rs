//! The rows: what the records say about environments and operations now.
//!
//! Rows are an index. They are computed by one pure step, record by record,
//! and written in the transaction of their record. They find records; whatever
//! decides is folded from the records themselves.

pub(crate) mod environment;
pub(crate) mod operation;
pub(crate) mod query;
pub(crate) mod registry;
#[cfg(test)]
mod registry_tests;
pub(crate) mod resource;
pub(crate) mod step;
