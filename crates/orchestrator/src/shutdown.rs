//! The phases of a shutdown.

use tokio::sync::watch;

/// How far the shutdown has come. Each phase includes those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ShutdownPhase {
    /// Tasks are routed.
    Running,
    /// Tasks without an answer are refused.
    RefuseTasks,
    /// Tracking of operations ends.
    EndTracking,
}

/// Sees how far the shutdown has come.
pub(crate) type ShutdownPhases = watch::Receiver<ShutdownPhase>;

pub(crate) async fn reached(phases: &mut ShutdownPhases, phase: ShutdownPhase) {
    // An error means that the orchestrator is gone.
    let _ = phases.wait_for(|reached| *reached >= phase).await;
}
