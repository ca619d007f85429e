//! The single record: a hash-chained event log and its projections.
//!
//! A change of state and its audit record are one write. Everything else that
//! exokit knows, from the registry to metrics, is computed from the records.

mod check;
pub mod error;
pub mod ledger;
pub mod memory;
pub mod sqlite;

pub use error::LedgerError;
pub use ledger::{Condition, Fence, Filter, Head, Lease, Ledger};
pub use memory::MemoryLedger;
pub use sqlite::SqliteLedger;
