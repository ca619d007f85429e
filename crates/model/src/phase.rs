//! The phases of an operation.

use serde::{Deserialize, Serialize};

use crate::needs_human::NeedsHuman;
use crate::text::ForeignText;

/// Where an operation stands. Each state holds only what is valid in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    /// The plan is recorded and nothing has been done.
    AwaitingApproval,
    /// It makes and removes what the plan says.
    Running,
    /// It removes what it had made, because it cannot be completed.
    RollingBack {
        /// Reason for the rollback.
        cause: ForeignText,
    },
    /// It stopped; a human must act.
    NeedsHuman {
        /// Why.
        why: NeedsHuman,
        /// Who should act: the requester.
        owner: ForeignText,
        /// True when it goes on rolling back, false when it goes on running.
        rolling_back: bool,
    },
    /// Everything is as the plan says.
    Succeeded,
    /// Everything that it had made is gone.
    RolledBack {
        /// Reason for the rollback.
        cause: ForeignText,
    },
    /// It was denied, withdrawn or expired before it began.
    Rejected {
        /// Reason for the rejection.
        why: ForeignText,
    },
}

impl Phase {
    /// Short stable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Phase::AwaitingApproval => "awaiting-approval",
            Phase::Running => "running",
            Phase::RollingBack { .. } => "rolling-back",
            Phase::NeedsHuman { .. } => "needs-human",
            Phase::Succeeded => "succeeded",
            Phase::RolledBack { .. } => "rolled-back",
            Phase::Rejected { .. } => "rejected",
        }
    }

    /// Whether nothing can follow.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, Phase::Succeeded | Phase::RolledBack { .. } | Phase::Rejected { .. })
    }

    /// Whether the operation removes what it made (or would, once unparked).
    #[must_use]
    pub fn is_rollback(&self) -> bool {
        matches!(self, Phase::RollingBack { .. } | Phase::NeedsHuman { rolling_back: true, .. })
    }
}
