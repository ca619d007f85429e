//! One operation while this engine holds its lease: what all steps share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use exokit_approval::prior_approval::PriorApproval;
use exokit_approval::refusal::Refusal;
use exokit_cloud::cluster::ClusterAccess;
use exokit_core::forecast::{Forecast, History};
use exokit_core::predict;
use exokit_ledger::{Condition, Filter, OperationState};
use exokit_model::event::{Entry, Event};
use exokit_model::graph::Node;
use exokit_model::ids::ResourceId;
use exokit_model::needs_human::NeedsHuman;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::held_lease::{ClockReading, HeldLease};
use crate::timing::LEASE_MARGIN;

/// What ends a step early.
#[derive(Debug)]
pub(crate) enum StepEnd {
    /// The engine cannot go on at all.
    Engine(EngineError),
    /// A human must act.
    Park(NeedsHuman),
}

impl<E: Into<EngineError>> From<E> for StepEnd {
    fn from(error: E) -> Self {
        StepEnd::Engine(error.into())
    }
}

/// One operation while this engine holds its lease.
pub(crate) struct Run<'a> {
    pub(crate) engine: &'a Engine,
    lease: Mutex<HeldLease>,
    state: Mutex<OperationState>,
    history: History,
    /// The approval of the environment, where it may cover this removal.
    pub(crate) prior_approval: Option<PriorApproval>,
    /// Access to clusters that was issued for this lease.
    pub(crate) access: tokio::sync::Mutex<BTreeMap<ResourceId, Arc<ClusterAccess>>>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        lease: HeldLease,
        state: OperationState,
        history: History,
        prior_approval: Option<PriorApproval>,
    ) -> Self {
        Self {
            engine,
            lease: Mutex::new(lease),
            state: Mutex::new(state),
            history,
            prior_approval,
            access: tokio::sync::Mutex::default(),
        }
    }

    /// When the resource of a node is expected to be ready, in this host's
    /// time since the request was accepted.
    pub(crate) fn forecast(&self, node: &Node) -> Forecast {
        let timing = self.engine.parts().timing;
        let forecast = match self.engine.parts().steps_at_once {
            // With a limit everything waits for everything.
            Some(_) => self.history.forecast(node.kind),
            None => self.history.forecast(node.kind).with_slack(self.slack(node)),
        };
        forecast.scaled(|cloud| timing.scaled(cloud))
    }

    fn slack(&self, node: &Node) -> Duration {
        let seconds = predict::slack_seconds(&self.state().plan.graph, &node.key);
        Duration::from_secs(u64::from(seconds))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, OperationState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lease(&self) -> MutexGuard<'_, HeldLease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an event of this operation under its lease and takes it in.
    pub(crate) async fn record(&self, event: Event) -> Result<(), EngineError> {
        self.record_if(Condition::default(), vec![event]).await
    }

    /// As [`Run::record`], for several events at once, if a condition beside the
    /// lease holds too.
    pub(crate) async fn record_if(
        &self,
        condition: Condition,
        events: Vec<Event>,
    ) -> Result<(), EngineError> {
        let (fence, entries) = {
            let (held, state) = (self.lease(), self.state());
            let entry = |event| {
                let entry = self.engine.entry(Some(&state.plan.environment), Some(&state.operation), event);
                Entry { epoch: held.lease.epoch, ..entry }
            };
            (held.lease.fence(), events.into_iter().map(entry).collect())
        };
        self.engine.append(&Condition { fence: Some(fence), ..condition }, entries).await?;
        self.refresh().await
    }

    /// Takes in everything that was recorded for the operation, by whomever.
    pub(crate) async fn refresh(&self) -> Result<(), EngineError> {
        let (operation, after) = {
            let state = self.state();
            (state.operation.clone(), state.last_seq)
        };
        let records = self.engine.parts().ledger.read(Filter::Operation(operation), after).await?;
        let mut state = self.state();
        for record in &records {
            state.apply(record)?;
        }
        Ok(())
    }

    /// Makes sure that the lease lasts long enough to send a request.
    pub(crate) async fn ensure_lease(&self) -> Result<(), EngineError> {
        let left = self.lease().left(&ClockReading::at(self.engine.now()));
        match left < LEASE_MARGIN {
            true => self.renew().await,
            false => Ok(()),
        }
    }

    pub(crate) async fn renew(&self) -> Result<(), EngineError> {
        let lease = self.lease().lease.clone();
        let requested_at = ClockReading::at(self.engine.now());
        let renewed = self.engine.parts().ledger.renew(&lease).await?;
        *self.lease() = HeldLease::new(renewed, requested_at);
        Ok(())
    }
}

/// A refusal of a permit, as the end of a step: a create that is overtaken by
/// a rollback simply ends, everything else is for a human.
pub(crate) fn refused(refusal: Refusal) -> Result<(), StepEnd> {
    match refusal {
        Refusal::RollingBack { .. } => Ok(()),
        refusal => Err(StepEnd::Park(NeedsHuman::ApprovalLost {
            code: refusal.code().into(),
            why: refusal.to_string().into(),
        })),
    }
}
