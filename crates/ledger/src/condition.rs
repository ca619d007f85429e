//! Conditions of an append, and filters of a read.

use exokit_model::ids::{EnvironmentName, OperationId};
use jiff::civil::Date;

use crate::lease::{Fence, Lease};

/// What must be true at the moment of an append; otherwise nothing is
/// written. The default demands nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// The lease is held with this epoch, and every entry carries it.
    pub fence: Option<Fence>,
    /// The last record of the environment has this sequence number; 0 when it
    /// has none. Of two writers that read one state, only one can write.
    pub environment_head: Option<(EnvironmentName, u64)>,
    /// The last record of the whole ledger has this sequence number.
    pub head: Option<u64>,
    /// No record is about this operation. Of two writers that begin it, only
    /// one can write.
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
    /// Proposals and rejections of plans that were recorded on a UTC day.
    Requests(Date),
}
