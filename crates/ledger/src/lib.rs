//! The single record: a hash-chained event log and its projections.
//!
//! A change of state and its audit record are one write. Everything else that
//! exokit knows, from the registry to metrics, is computed from the records.

mod check;
#[cfg(test)]
mod contract_tests;
pub mod error;
pub mod export;
pub mod history;
pub mod ledger;
pub mod memory;
pub mod plans;
pub mod projection;
#[cfg(test)]
mod property_tests;
pub mod sqlite;
#[cfg(test)]
mod testing;
pub mod verify;

pub use error::LedgerError;
pub use ledger::{
    Audit, CommitWatcher, Condition, Fence, Filter, Head, LEASE_SECONDS, Lease, Ledger, RENEW_SECONDS,
};
pub use memory::MemoryLedger;
pub use plans::Plans;
pub use projection::{
    EnvironmentStory, EnvironmentView, Environments, Holdings, OperationSummary, OperationView, Operations,
    Registry, Request, Requested,
};
pub use sqlite::SqliteLedger;
