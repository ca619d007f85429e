//! The projection: what the records say about environments and operations now.
//!
//! A pure fold, one record at a time. A record that cannot follow is an error
//! that names it, so a ledger that was altered is noticed instead of shown.
//! Plans are not kept: they are read from the records of their operation.

mod environment;
mod operation;
mod question;
mod registry;
mod rows;
mod story;
mod summary;
#[cfg(test)]
mod tests;

pub use environment::{EnvironmentView, ResourceState, ResourceView};
pub use operation::OperationView;
pub(crate) use question::tokens_of;
pub use question::{Environments, Holdings, Operations, Request, Requested};
pub use registry::Registry;
pub(crate) use rows::{Fault, ReadyKey, RequestKey, Rows, take};
pub use story::EnvironmentStory;
pub use summary::OperationSummary;

/// A record that cannot be taken into the registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq} does not fit: {why}")]
pub struct Misfit {
    /// The record.
    pub seq: u64,
    /// Why.
    pub why: String,
}

impl Misfit {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "run `exokit audit verify`; if the chain is whole, a newer version wrote the ledger"
    }
}
