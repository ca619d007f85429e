//! The ledger as a trait: append under conditions, read, and leases.

use std::time::Duration;

use async_trait::async_trait;
use exokit_model::canonical::Digest;
use exokit_model::event::{Entry, Record};
use exokit_model::ids::{EnvironmentName, OperationId, Zone};
use exokit_model::ready_time::ReadyTime;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::LedgerError;
use crate::plans::Plans;
use crate::projection::{EnvironmentView, Environments, Holdings, OperationSummary, Operations, Request};

/// How long a lease lasts after it was taken or renewed, in seconds.
pub const LEASE_SECONDS: i64 = 90;

/// How often a holder should renew its lease, in seconds.
pub const RENEW_SECONDS: i64 = 20;

/// Sees how long a commit took.
pub type CommitWatcher = Box<dyn Fn(Duration) + Send + Sync>;

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Sequence number of the last record; 0 when there is none.
    pub seq: u64,
    /// Its hash; all zero when there is none.
    pub hash: Digest,
}

impl Head {
    /// The head of an empty ledger.
    pub const EMPTY: Head = Head { seq: 0, hash: Digest([0; 32]) };

    /// The head after `record`.
    #[must_use]
    pub fn after(record: &Record) -> Self {
        Self { seq: record.seq, hash: record.hash }
    }
}

/// The right to act for one operation, until it expires or is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The operation.
    pub operation: OperationId,
    /// Fencing token: grows each time the lease is taken.
    pub epoch: u64,
    /// Who holds it; unique to one engine process.
    pub holder: String,
    /// When it ends unless it is renewed.
    pub until: Timestamp,
}

impl Lease {
    /// The fence that shows that this lease is still the newest.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence { operation: self.operation.clone(), epoch: self.epoch }
    }
}

/// When a lease taken or renewed at `now` ends.
pub(crate) fn lease_end(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(LEASE_SECONDS)).unwrap_or(Timestamp::MAX)
}

/// Shows under which lease something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The operation.
    pub operation: OperationId,
    /// The epoch of the lease.
    pub epoch: u64,
}

/// What must be true at the moment of an append; otherwise nothing is
/// written. The default demands nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// The lease is held with this epoch, and every entry carries it.
    pub fence: Option<Fence>,
    /// The last record of the environment has this sequence number; 0 when it
    /// has none. Of two who read one state, only one can write.
    pub environment_head: Option<(EnvironmentName, u64)>,
    /// The last record of the whole ledger has this sequence number.
    pub head: Option<u64>,
    /// No record is about this operation. Of two who begin it, only one can
    /// write.
    pub unused: Option<OperationId>,
}

impl Condition {
    /// Demands that `lease` is still the newest.
    #[must_use]
    pub fn fenced(lease: &Lease) -> Self {
        Self { fence: Some(lease.fence()), ..Self::default() }
    }

    /// Demands that nothing was written about the environment since `seq`.
    #[must_use]
    pub fn environment(name: &EnvironmentName, seq: u64) -> Self {
        Self { environment_head: Some((name.clone(), seq)), ..Self::default() }
    }

    /// Demands that nothing was written at all since `seq`.
    #[must_use]
    pub fn head(seq: u64) -> Self {
        Self { head: Some(seq), ..Self::default() }
    }
}

/// Which records to read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Filter {
    /// Every record.
    #[default]
    All,
    /// Records about no environment: rosters and other matters of the account.
    Account,
    /// Records about one environment.
    Environment(EnvironmentName),
    /// Records of one operation.
    Operation(OperationId),
}

/// What an audit of a whole ledger found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// The end of the chain.
    pub head: Head,
    /// How many environments were ever planned.
    pub environments: usize,
    /// How many plans were ever proposed.
    pub operations: usize,
    /// Whether the computed tables said what the records say, up to the one that
    /// they stand for. Where they did not, they were computed again.
    pub tables_agreed: bool,
}

/// The only record of what exokit did: an append-only chain of events.
///
/// What `append` has returned survives every crash. Several processes may use
/// one ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Appends entries in order, all or none, and returns once they are
    /// durable. When the future is dropped before that, they may or may not
    /// have been written.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`], [`LedgerError::Used`], [`LedgerError::Stale`]
    /// and [`LedgerError::HeadMoved`] when the condition does not hold, in this
    /// order when several do not, and errors of the storage. What is used may
    /// not be durable yet. Nothing was written after any error but
    /// [`LedgerError::Failed`], after which it is not known.
    async fn append(&self, condition: &Condition, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError>;

    /// The durable records that `filter` admits with a sequence number greater
    /// than `after`, in order.
    ///
    /// # Errors
    /// When the storage cannot be read or a record was changed.
    async fn read(&self, filter: Filter, after: u64) -> Result<Vec<Record>, LedgerError> {
        self.page(filter, after, usize::MAX).await
    }

    /// As [`Ledger::read`], but no more than the first `most`.
    ///
    /// # Errors
    /// As [`Ledger::read`].
    async fn page(&self, filter: Filter, after: u64, most: usize) -> Result<Vec<Record>, LedgerError>;

    /// The plans that were read from it, for whoever reads one again.
    fn plans(&self) -> &Plans;

    /// Lets somebody see how long each commit took from now on, with the wait
    /// for the disk; only the first can. A ledger in memory has none to show.
    fn watch_commits(&self, _see: CommitWatcher) {}

    /// Whether a write could begin now.
    ///
    /// # Errors
    /// As an append would: the storage failed before, is locked or cannot be
    /// written.
    async fn probe(&self) -> Result<(), LedgerError> {
        self.head().await.map(drop)
    }

    /// The durable end of the chain.
    ///
    /// # Errors
    /// When the storage cannot be read.
    async fn head(&self) -> Result<Head, LedgerError>;

    /// Checks the chain from its first record, what the records say, and the
    /// tables that are computed from them. With an anchor, also that the chain
    /// passes through it.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] with the first record that is not as it was
    /// written, [`LedgerError::Misfit`] with the first that cannot follow, and
    /// when the storage cannot be read.
    async fn audit(&self, anchor: Option<Head>) -> Result<Audit, LedgerError>;

    /// Takes the lease of an operation with a new epoch, so that everything
    /// under an older epoch is refused. `holder` must be unique to the process.
    ///
    /// # Errors
    /// [`LedgerError::LeaseHeld`] when another holder has it, it has not
    /// expired at `now`, and the holder is not proven dead.
    async fn acquire(
        &self,
        operation: &OperationId,
        holder: &str,
        now: Timestamp,
    ) -> Result<Lease, LedgerError>;

    /// Makes a lease last until 90 s after `now`.
    ///
    /// # Errors
    /// [`LedgerError::Fenced`] when it was taken over or released.
    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Lease, LedgerError>;

    /// Gives a lease back. One that was taken over is left alone.
    ///
    /// # Errors
    /// When the storage cannot be written.
    async fn release(&self, lease: &Lease) -> Result<(), LedgerError>;

    /// What the durable records say of environments now, by name. Costs as
    /// much as the answer is long, however many records there are.
    ///
    /// # Errors
    /// When the storage cannot be read, and [`LedgerError::Misfit`] when a
    /// record does not follow from those before it.
    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError>;

    /// What the durable records say of operations now, by id, at the same cost.
    ///
    /// # Errors
    /// As [`Ledger::environments`].
    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError>;

    /// What was asked for on a UTC day, by requester and team.
    ///
    /// # Errors
    /// As [`Ledger::environments`].
    async fn requested(&self, day: Date) -> Result<Vec<Request>, LedgerError>;

    /// How long the newest resources of each kind in a zone took to become
    /// ready, by kind, the last one last; of each kind a few dozen at most.
    ///
    /// # Errors
    /// As [`Ledger::environments`].
    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError>;

    /// What is known of resources with these ids, and with these texts in the
    /// place of an owner token.
    ///
    /// # Errors
    /// As [`Ledger::environments`].
    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError>;
}
