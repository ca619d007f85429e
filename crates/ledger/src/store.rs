//! The contract of a store: one transaction over records, rows and leases.
//!
//! A store keeps the tables and knows the time. What is written into them, and
//! under which conditions, is decided by `Change::apply`, which is the same
//! for every store. To support another database, implement `Transaction` for
//! its transaction and `Ledger` for its pool, and run the contract tests of
//! `testing::contract`.
//!
//! # Guarantees expected of a store
//! - A transaction is serializable: nothing that it read changes before it has
//!   committed.
//! - A change that was answered without an error survives every crash, and so
//!   does all that was committed before it.
//! - A change that was answered with an error wrote nothing, except
//!   `LedgerError::Failed`, after which it is not known.

use std::sync::Arc;

use exokit_model::event::Record;
use exokit_model::ids::{EnvironmentName, OperationId};
use jiff::Timestamp;

use crate::error::LedgerError;
use crate::head::Head;
use crate::lease::LeaseRow;
use crate::rows::step::Rows;

/// A clock for a store that has none of its own.
pub(crate) type StoreClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A transaction that writes. It sees everything that was committed before it
/// and everything that it wrote itself.
///
/// The methods fail only when the storage does, or finds damage.
pub(crate) trait Transaction: Rows {
    /// The time of the store: one clock for everybody who uses it. Leases end
    /// by it.
    async fn now(&mut self) -> Result<Timestamp, LedgerError>;

    /// The end of the chain.
    async fn head(&mut self) -> Result<Head, LedgerError>;

    /// Sequence number of the last record of an environment; 0 without one.
    async fn environment_head(&mut self, name: &EnvironmentName) -> Result<u64, LedgerError>;

    /// Highest epoch of the records of an operation; none without records.
    async fn newest_epoch(&mut self, operation: &OperationId) -> Result<Option<u64>, LedgerError>;

    /// Puts a record behind the head. `text` is the canonical form of its
    /// entry, which is what its hash is about.
    async fn insert(&mut self, record: &Record, text: &str) -> Result<(), LedgerError>;

    /// The lease of an operation; none when it was never acquired.
    async fn lease(&mut self, operation: &OperationId) -> Result<Option<LeaseRow>, LedgerError>;

    /// Puts a lease in the place of the one of its operation. A holder that is
    /// named is alive and is this process.
    async fn put_lease(&mut self, operation: &OperationId, lease: &LeaseRow) -> Result<(), LedgerError>;
}
