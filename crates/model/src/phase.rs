//! The phases of an operation, and the total function from one to the next.

use serde::{Deserialize, Serialize};

use crate::event::Event;
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

/// An event that may not follow a phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event} cannot follow phase {phase}")]
pub struct IllegalEvent {
    /// Name of the event.
    pub event: &'static str,
    /// Name of the phase.
    pub phase: &'static str,
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

    /// The phase after an event. Events of single nodes and votes leave the
    /// phase as it is where they are legal at all.
    ///
    /// # Errors
    /// When the event may not happen in this phase.
    pub fn next(&self, event: &Event) -> Result<Phase, IllegalEvent> {
        let illegal = || IllegalEvent { event: event.name(), phase: self.name() };
        match (self, event) {
            (Phase::AwaitingApproval, Event::OperationStarted { .. }) => Ok(Phase::Running),
            (Phase::AwaitingApproval, Event::PlanRejected { why }) => {
                Ok(Phase::Rejected { why: why.clone() })
            }
            (Phase::Running, Event::RollbackStarted { cause }) => {
                Ok(Phase::RollingBack { cause: cause.clone() })
            }
            (Phase::Running, Event::OperationSucceeded { .. }) => Ok(Phase::Succeeded),
            (Phase::RollingBack { cause }, Event::OperationRolledBack) => {
                Ok(Phase::RolledBack { cause: cause.clone() })
            }
            (Phase::Running | Phase::RollingBack { .. }, Event::OperationParked { why, owner }) => {
                Ok(Phase::NeedsHuman {
                    why: why.clone(),
                    owner: owner.clone(),
                    rolling_back: self.is_rollback(),
                })
            }
            (Phase::NeedsHuman { rolling_back: false, .. }, Event::OperationUnparked { .. }) => {
                Ok(Phase::Running)
            }
            (Phase::NeedsHuman { rolling_back: true, why, .. }, Event::OperationUnparked { .. }) => {
                Ok(Phase::RollingBack { cause: why.to_string().into() })
            }
            (Phase::NeedsHuman { rolling_back: false, .. }, Event::RollbackStarted { cause }) => {
                Ok(Phase::RollingBack { cause: cause.clone() })
            }
            (_, event) if event.is_vote() => Ok(self.clone()),
            (Phase::Running | Phase::RollingBack { .. } | Phase::NeedsHuman { .. }, event)
                if event.node().is_some() || matches!(event, Event::OperationResumed { .. }) =>
            {
                Ok(self.clone())
            }
            _ => Err(illegal()),
        }
    }
}
