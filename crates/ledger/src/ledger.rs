//! The ledger as a trait: append under conditions, read, and leases.

use std::time::Duration;

use async_trait::async_trait;
use exokit_model::event::{Entry, Record};
use exokit_model::ids::{OperationId, Zone};
use exokit_model::ready_time::ReadyTime;

use crate::change::{Change, ChangeOutcome};
use crate::condition::{Condition, Filter};
use crate::error::LedgerError;
use crate::head::Head;
use crate::lease::Lease;
use crate::plans::Plans;
use crate::rows::environment::EnvironmentView;
use crate::rows::operation::OperationSummary;
use crate::rows::query::{Environments, Holdings, Operations};

/// The findings of an audit of a whole ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The end of the chain.
    pub head: Head,
    /// How many environments were ever planned.
    pub environments: u64,
    /// How many plans were ever proposed.
    pub operations: u64,
    /// The rows that do not say what the records say: table and key of each.
    pub differing: Vec<String>,
}

/// Receives how long each commit took.
pub type CommitWatcher = Box<dyn Fn(Duration) + Send + Sync>;

/// The only record of what exokit did: an append-only chain of events.
///
/// What `append` has returned survives every crash. Several processes may use
/// one ledger. Reads see durable records, and rows that stand for exactly
/// those.
///
/// A store implements [`Ledger::commit`] and the reads; everything else is
/// written once, on top of them.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Carries out a change by `Change::apply` in one transaction, and
    /// returns once it is durable. When the future is dropped before that, it
    /// may or may not have been carried out.
    ///
    /// # Errors
    /// As `Change::apply`, and errors of the storage. Nothing was written
    /// after any error but [`LedgerError::Failed`], after which it is not
    /// known.
    async fn commit(&self, change: Change) -> Result<ChangeOutcome, LedgerError>;

    /// The first `most` of the durable records that `filter` admits with a
    /// sequence number greater than `after`, in order.
    ///
    /// # Errors
    /// When the storage cannot be read or a record was changed.
    async fn page(&self, filter: Filter, after: u64, most: usize) -> Result<Vec<Record>, LedgerError>;

    /// The durable end of the chain.
    ///
    /// # Errors
    /// When the storage cannot be read.
    async fn head(&self) -> Result<Head, LedgerError>;

    /// Checks the chain from its first record, what the records say, and the
    /// rows, which are computed again and compared. With an anchor, also that
    /// the chain passes through it.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] with the first record that is not as it was
    /// written, [`LedgerError::IllegalRecord`] with the first that cannot
    /// follow, and when the storage cannot be read.
    async fn audit(&self, anchor: Option<Head>) -> Result<Audit, LedgerError>;

    /// The rows of environments, by name. Costs as much as the answer is long,
    /// however many records there are.
    ///
    /// # Errors
    /// When the storage cannot be read.
    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError>;

    /// The rows of operations, by id, at the same cost.
    ///
    /// # Errors
    /// When the storage cannot be read.
    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError>;

    /// How long the newest resources of each kind in a zone took to become
    /// ready, by kind, the last one last; of each kind a few dozen at most.
    ///
    /// # Errors
    /// When the storage cannot be read.
    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError>;

    /// What is known of resources with these ids, and with these texts in the
    /// place of an owner token.
    ///
    /// # Errors
    /// When the storage cannot be read.
    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError>;

    /// The plans that were read from it, by digest.
    fn plans(&self) -> &Plans;

    /// Shows `watcher` how long each commit takes from now on, with the wait
    /// for the disk; only the first watcher is kept. A ledger in memory has
    /// nothing to show.
    fn watch_commits(&self, _watcher: CommitWatcher) {}

    /// Appends entries in order, all or none, and returns once they are
    /// durable. When the future is dropped before that, they may or may not
    /// have been written.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`], [`LedgerError::Used`], [`LedgerError::Stale`]
    /// and [`LedgerError::HeadMoved`] when the condition does not hold, in this
    /// order when several do not; [`LedgerError::IllegalRecord`] when an entry cannot
    /// follow the records before it; and as [`Ledger::commit`]. What is used
    /// may not be durable yet.
    async fn append(&self, condition: &Condition, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError> {
        match self.commit(Change::Append { condition: condition.clone(), entries }).await? {
            ChangeOutcome::Records(records) => Ok(records),
            ChangeOutcome::Lease(_) | ChangeOutcome::Released => Err(unexpected()),
        }
    }

    /// As [`Ledger::page`], without a limit.
    ///
    /// # Errors
    /// As [`Ledger::page`].
    async fn read(&self, filter: Filter, after: u64) -> Result<Vec<Record>, LedgerError> {
        self.page(filter, after, usize::MAX).await
    }

    /// Whether a write could begin now.
    ///
    /// # Errors
    /// As an append: the storage failed before, is locked or cannot be written.
    async fn probe(&self) -> Result<(), LedgerError> {
        self.append(&Condition::default(), Vec::new()).await.map(drop)
    }

    /// Acquires the lease of an operation with a new epoch, so that everything
    /// under an older epoch is refused. `holder` must be unique to the process.
    ///
    /// # Errors
    /// [`LedgerError::LeaseHeld`] when another holder has it, it has not
    /// expired by the clock of the store, and the holder is not proven dead.
    async fn acquire(&self, operation: &OperationId, holder: &str) -> Result<Lease, LedgerError> {
        let change = Change::Acquire { operation: operation.clone(), holder: holder.to_owned() };
        lease_of(self.commit(change).await?)
    }

    /// Makes a lease last a whole term from now.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`] when it was taken over or released.
    async fn renew(&self, lease: &Lease) -> Result<Lease, LedgerError> {
        lease_of(self.commit(Change::Renew(lease.clone())).await?)
    }

    /// Releases a lease. One that was taken over is left alone.
    ///
    /// # Errors
    /// When the storage cannot be written.
    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.commit(Change::Release(lease.clone())).await.map(drop)
    }
}

fn lease_of(changed: ChangeOutcome) -> Result<Lease, LedgerError> {
    match changed {
        ChangeOutcome::Lease(lease) => Ok(lease),
        ChangeOutcome::Records(_) | ChangeOutcome::Released => Err(unexpected()),
    }
}

/// A store that answers a change with what another one does.
fn unexpected() -> LedgerError {
    LedgerError::Failed("the store answered another change".to_owned())
}
