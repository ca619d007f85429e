//! The events of the worker, and how often it polls.

use std::time::Duration;

use exokit_engine::error::EngineError;
use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::phase::Phase;
use exokit_model::plan::Plan;
use exokit_wire::failure::Failure;

/// Longest time between two polls: other processes may have recorded votes.
pub(super) const POLL_MAX: Duration = Duration::from_secs(2);

/// An event of the worker.
#[derive(Debug)]
pub enum WorkerEvent {
    /// An operation ended, parked, or could not be run for now.
    Ended(OperationId, Result<Phase, EngineError>),
    /// An environment has expired; this plan removes it as soon as it may start.
    Expired(Box<Plan>),
    /// An environment expires soon.
    Ending(EnvironmentName),
    /// Something could not be read; a later poll tries again.
    Blind(Failure),
}
