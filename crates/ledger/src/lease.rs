//! Leases: who may act for an operation, and until when.

use exokit_model::ids::OperationId;
use jiff::{SignedDuration, Timestamp};

/// How long a lease lasts after it was acquired or renewed, in seconds.
pub const LEASE_SECONDS: i64 = 90;

/// How often a holder renews its lease, in seconds.
pub const RENEW_SECONDS: i64 = 20;

/// The right to act for one operation, until it expires or is taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The operation.
    pub operation: OperationId,
    /// Fencing token: grows each time the lease is acquired.
    pub epoch: u64,
    /// The holder; unique to one engine process.
    pub holder: String,
    /// When it ends unless it is renewed, by the clock of the store.
    ///
    /// The clock of the holder may differ. A holder counts [`LEASE_SECONDS`]
    /// on its own clock instead, from before it asked for the lease.
    pub until: Timestamp,
}

impl Lease {
    /// The fence that shows that this lease is still the newest.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence { operation: self.operation.clone(), epoch: self.epoch }
    }
}

/// Shows under which lease something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The operation.
    pub operation: OperationId,
    /// The epoch of the lease.
    pub epoch: u64,
}

/// The lease of an operation as a store keeps it, held or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    /// The newest epoch.
    pub(crate) epoch: u64,
    /// The holder; none when it was released.
    pub(crate) holder: Option<String>,
    /// When it ends, by the clock of the store.
    pub(crate) until: Timestamp,
    /// Whether the holder is proven dead, so that nobody waits for the end. A
    /// store that cannot prove it says false. Not written.
    pub(crate) dead: bool,
}

/// When a lease acquired or renewed at `now` ends.
pub(crate) fn lease_end(now: Timestamp) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(LEASE_SECONDS)).unwrap_or(Timestamp::MAX)
}
