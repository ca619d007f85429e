//! One provision in virtual time, measured.

use std::time::Duration;

use exokit_engine::propose::ProvisionRequest;
use exokit_model::phase::Phase;
use tokio::time::Instant;

use crate::bench::Failure;
use crate::bench::critical::{self, Usable};
use crate::rig::Rig;
use crate::setup;

/// What one provision took.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Resources made.
    pub resources: usize,
    /// The longest path through the plan with the cloud's own latencies, as
    /// they were drawn in this run.
    pub critical: Duration,
    /// From the start of the approved plan to the last resource ready, in
    /// virtual time.
    pub ours: Duration,
    /// Requests to the cloud meanwhile.
    pub calls: u64,
}

impl Measured {
    /// Our time in units of the critical path: 1 is the best possible.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.ours.as_secs_f64() / self.critical.as_secs_f64()
    }
}

/// Runs a request on a rig with an engine of its own, as a fresh process that
/// knows what the ledger tells it.
///
/// # Errors
/// When it does not end well.
pub async fn provision(rig: &Rig, request: ProvisionRequest) -> Result<Measured, Failure> {
    let state = setup::approved(rig, request).await?;
    let engine = rig.engine();
    let calls = calls(rig);
    let mut usable = Usable::default();
    let started = Instant::now();
    let phase = usable.watch(rig, RESOLUTION, engine.run(&state.operation)).await?;
    let ours = started.elapsed();
    if phase != Phase::Succeeded {
        return Err(format!("{} ended as {phase:?}", state.plan.environment).into());
    }
    let calls = self::calls(rig) - calls;
    let state = engine.operation(&state.operation).await?;
    let journal = rig.cloud(|world| world.journal().to_vec());
    usable.note_journal(&journal);
    let critical = critical::of(&state, &usable, &journal).ok_or("the cloud does not know what was made")?;
    Ok(Measured { resources: state.plan.graph.nodes().len(), critical, ours, calls })
}

/// How often the clusters are looked at for what has become usable: the
/// resolution of the critical path.
const RESOLUTION: Duration = Duration::from_millis(200);

/// Requests that the cloud has had.
#[must_use]
pub fn calls(rig: &Rig) -> u64 {
    rig.cloud(|world| world.calls().values().sum())
}
