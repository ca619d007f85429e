//! The total function from one phase of an operation to the next.

use exokit_model::event::Event;
use exokit_model::phase::Phase;

/// An event that may not follow a phase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event} cannot follow phase {phase}")]
pub struct IllegalEvent {
    /// Name of the event.
    pub event: &'static str,
    /// Name of the phase.
    pub phase: &'static str,
}

/// The phase after an event. Events of single nodes and votes leave the
/// phase as it is where they are legal at all.
///
/// # Errors
/// When the event may not happen in this phase.
pub fn next(phase: &Phase, event: &Event) -> Result<Phase, IllegalEvent> {
    let illegal = || IllegalEvent { event: event.name(), phase: phase.name() };
    match (phase, event) {
        (Phase::AwaitingApproval, Event::OperationStarted { .. }) => Ok(Phase::Running),
        (Phase::AwaitingApproval, Event::PlanRejected { why }) => Ok(Phase::Rejected { why: why.clone() }),
        (Phase::Running, Event::RollbackStarted { cause }) => Ok(Phase::RollingBack { cause: cause.clone() }),
        (Phase::Running, Event::OperationSucceeded { .. }) => Ok(Phase::Succeeded),
        (Phase::RollingBack { cause }, Event::OperationRolledBack) => {
            Ok(Phase::RolledBack { cause: cause.clone() })
        }
        (Phase::Running | Phase::RollingBack { .. }, Event::OperationParked { why, owner }) => {
            Ok(Phase::NeedsHuman {
                why: why.clone(),
                owner: owner.clone(),
                rolling_back: phase.is_rollback(),
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
        (_, event) if event.is_vote() => Ok(phase.clone()),
        (Phase::Running | Phase::RollingBack { .. } | Phase::NeedsHuman { .. }, event)
            if event.node().is_some() || matches!(event, Event::OperationResumed { .. }) =>
        {
            Ok(phase.clone())
        }
        _ => Err(illegal()),
    }
}
