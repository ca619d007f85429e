//! The single record: a hash-chained event log, and rows to find things in it.
//!
//! A change of state and its audit record are one write. Everything else that
//! exokit knows, from the registry to metrics, is computed from the records.
//! Records, rows and leases are written in one transaction of a store; `store`
//! says what a store must do.

mod change;
mod condition;
mod environment_details;
mod error;
pub mod export;
mod head;
pub mod history;
mod lease;
mod ledger;
mod operation;
mod plans;
mod poll;
#[cfg(test)]
mod property_tests;
mod rows;
pub mod sqlite;
mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod verify;

pub use change::{Change, ChangeOutcome};
pub use condition::{Condition, Filter};
pub use environment_details::EnvironmentDetails;
pub use error::{IllegalRecord, LedgerError};
pub use head::Head;
pub use lease::{Fence, LEASE_SECONDS, Lease, RENEW_SECONDS};
pub use ledger::{Audit, CommitWatcher, Ledger};
pub use operation::OperationState;
pub use plans::Plans;
pub use rows::environment::EnvironmentView;
pub use rows::operation::OperationSummary;
pub use rows::query::{Environments, Holdings, Operations};
pub use rows::registry::{Registry, environment_view};
pub use rows::resource::{ResourceState, ResourceView};
pub use sqlite::SqliteLedger;
#[cfg(any(test, feature = "testing"))]
pub use testing::memory::MemoryLedger;
