//! Running an operation: a loop of refresh, judge, step.
//!
//! # Guarantees
//! - An operation can be dropped at any await and run again by anyone who
//!   shares the ledger; it ends as if it had not been interrupted.
//! - At most one engine acts for an operation: it holds the lease, every
//!   append is fenced by the lease's epoch, and no signature outlives it.
//! - No request leaves without a durable intent and a permit.
//!
//! # Assumptions
//! - The cloud refuses a request whose signature has expired.
//! - A list shows what exists after at most [`Timing::list_lag`].
//!
//! [`Timing::list_lag`]: crate::timing::Timing::list_lag

use std::collections::BTreeSet;
use std::time::Duration;

use exokit_core::walk::{self, Step, StepAction, Verdict};
use exokit_ledger::{Condition, Lease, RENEW_SECONDS};
use exokit_model::event::{Entry, Event};
use exokit_model::graph::Node;
use exokit_model::ids::{NodeKey, OperationId};
use exokit_model::needs_human::NeedsHuman;
use exokit_model::phase::Phase;
use exokit_model::plan::Action;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::held_lease::{ClockReading, HeldLease};
use crate::run::{Run, StepEnd};
use crate::step_limit::admit;
use crate::steps::node_of;
use crate::{certificate, steps};

impl Engine {
    /// Runs an operation until it ends or needs a human, starting it if it is
    /// approved. Call it again after any interruption.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it is not approved (yet); other errors
    /// leave the operation as it is, to be run again.
    pub async fn run(&self, operation: &OperationId) -> Result<Phase, EngineError> {
        let state = self.operation(operation).await?;
        if state.phase.is_terminal() || matches!(state.phase, Phase::NeedsHuman { .. }) {
            return Ok(state.phase);
        }
        if state.phase == Phase::AwaitingApproval {
            self.check_start(&state).await?;
        }
        self.bind_account(&state.plan.zone).await?;
        let history = self.history(&state.plan.zone).await?;
        let prior_approval = self.prior_approval(&state.plan).await?;
        let requested_at = ClockReading::at(self.now());
        let lease = self.parts().ledger.acquire(operation, &self.parts().holder).await?;
        let run = Run::new(self, HeldLease::new(lease, requested_at), state, history, prior_approval);
        let result = run.begin_and_drive().await;
        let lease = run.lease().lease.clone();
        let released = self.parts().ledger.release(&lease).await;
        // What went wrong first is what the caller should hear of.
        let phase = result?;
        released?;
        Ok(phase)
    }

    /// Lets a parked operation go on, or makes it remove what it made. A
    /// teardown has made nothing: it stops where it is, and what is left takes
    /// a new plan.
    ///
    /// # Errors
    /// When it is not parked.
    pub async fn unpark(&self, operation: &OperationId, by: &str, rollback: bool) -> Result<(), EngineError> {
        // Under the lease nobody else can move the operation to another phase.
        let lease = self.parts().ledger.acquire(operation, &self.parts().holder).await?;
        let unparked = self.unpark_held(&lease, by, rollback).await;
        let released = self.parts().ledger.release(&lease).await;
        unparked?;
        Ok(released?)
    }

    async fn unpark_held(&self, lease: &Lease, by: &str, rollback: bool) -> Result<(), EngineError> {
        let state = self.operation(&lease.operation).await?;
        let event = match (&state.phase, rollback, state.plan.action) {
            (Phase::NeedsHuman { .. }, false, _) => Event::OperationUnparked { by: by.into() },
            (Phase::NeedsHuman { rolling_back: false, .. }, true, Action::Provision | Action::Teardown) => {
                Event::RollbackStarted { cause: format!("{by} asked for it").into() }
            }
            (phase, ..) => {
                return Err(EngineError::WrongPhase { operation: state.operation, phase: phase.name() });
            }
        };
        let entry = self.entry(Some(&state.plan.environment), Some(&lease.operation), event);
        self.append(&Condition::fenced(lease), vec![Entry { epoch: lease.epoch, ..entry }]).await?;
        Ok(())
    }
}

impl Run<'_> {
    async fn begin_and_drive(&self) -> Result<Phase, EngineError> {
        // The state was read before the lease was held.
        self.refresh().await?;
        let phase = self.state().phase.clone();
        match phase {
            Phase::AwaitingApproval => self.start().await?,
            Phase::Running | Phase::RollingBack { .. } => {
                let holder = self.engine.parts().holder.as_str().into();
                self.record(Event::OperationResumed { holder }).await?;
            }
            other => return Ok(other),
        }
        self.drive().await
    }

    async fn start(&self) -> Result<(), EngineError> {
        let state = self.state().clone();
        let head = self.engine.check_start(&state).await?;
        let unchanged = Condition::environment(&state.plan.environment, head);
        self.record_if(unchanged, vec![Event::OperationStarted { digest: state.digest }]).await
    }

    /// The loop. Steps run side by side, as many as [`admit`] lets; each is on
    /// one node, and a node has at most one. The next round begins when any step ends.
    async fn drive(&self) -> Result<Phase, EngineError> {
        let mut busy: BTreeSet<NodeKey> = BTreeSet::new();
        let mut under_way = FuturesUnordered::new();
        let mut parking: Option<NeedsHuman> = None;
        let renew = Duration::from_secs(RENEW_SECONDS.unsigned_abs());
        let mut renew_at = tokio::time::Instant::now() + renew;
        loop {
            let (verdict, ready) = self.judge();
            match verdict {
                Verdict::Rollback(cause) => {
                    self.record(Event::RollbackStarted { cause: cause.into() }).await?;
                    continue;
                }
                Verdict::Park(why) => parking = parking.or(Some(why)),
                Verdict::Settled if under_way.is_empty() => return self.finish().await,
                Verdict::Settled | Verdict::Continue => {}
            }
            if parking.is_none() {
                let could = ready.into_iter().filter(|step| !busy.contains(&step.node)).collect();
                for step in admit(self.engine.parts().steps_at_once, could, busy.len()) {
                    busy.insert(step.node.clone());
                    // Boxed, since the list itself has room for one more future
                    // than there are, for every operation that waits.
                    under_way.push(Box::pin(self.execute(step)));
                }
            }
            if under_way.is_empty() {
                let nothing =
                    NeedsHuman::Unobservable { what: "nothing can be done and nothing is done".into() };
                return self.park(parking.unwrap_or(nothing)).await;
            }
            tokio::select! {
                biased;
                Some((node, end)) = under_way.next() => {
                    busy.remove(&node);
                    match end {
                        Ok(()) => {}
                        Err(StepEnd::Park(why)) => parking = parking.or(Some(why)),
                        Err(StepEnd::Engine(error)) => return Err(error),
                    }
                }
                () = tokio::time::sleep_until(renew_at) => {
                    self.renew().await?;
                    renew_at = tokio::time::Instant::now() + renew;
                }
            }
        }
    }

    fn judge(&self) -> (Verdict, Vec<Step>) {
        let state = self.state();
        let verdict = walk::verdict(state.plan.action, &state.plan.graph, &state.facts, &state.phase);
        (verdict, walk::frontier(&state.plan.graph, &state.facts, state.phase.is_rollback()))
    }

    async fn execute(&self, step: Step) -> (NodeKey, Result<(), StepEnd>) {
        let end = match node_of(self, &step.node) {
            Ok(node) => self.execute_on(&node, step.action).await,
            Err(end) => Err(end),
        };
        (step.node, end)
    }

    async fn execute_on(&self, node: &Node, action: StepAction) -> Result<(), StepEnd> {
        match action {
            StepAction::Create { attempt, refusals } => {
                steps::create::run(self, node, attempt, refusals).await
            }
            StepAction::Settle { attempt, expires_at } => {
                steps::settle::run(self, node, attempt, expires_at).await
            }
            StepAction::Await { id, cloud_operation, since } => {
                steps::ready::run(self, node, id, cloud_operation, since).await
            }
            StepAction::Delete { id, step, refusals } => {
                steps::delete::run(self, node, &id, step, refusals).await
            }
            StepAction::ConfirmGone { id, cloud_operation } => {
                steps::confirm_gone::run(self, node, &id, cloud_operation).await
            }
        }
    }

    async fn finish(&self) -> Result<Phase, EngineError> {
        let (action, rolling_back) = {
            let state = self.state();
            (state.plan.action, state.phase.is_rollback())
        };
        let event = match (rolling_back, action) {
            (true, _) => Event::OperationRolledBack,
            (false, Action::Teardown) => match certificate::issue(self).await? {
                Ok(certificate) => Event::OperationSucceeded { certificate: Some(certificate) },
                Err(why) => return self.park(why).await,
            },
            (false, Action::Provision | Action::Extend | Action::Access) => {
                Event::OperationSucceeded { certificate: None }
            }
        };
        self.record(event).await?;
        Ok(self.state().phase.clone())
    }

    async fn park(&self, why: NeedsHuman) -> Result<Phase, EngineError> {
        let owner = self.state().plan.requester.as_str().into();
        self.record(Event::OperationParked { why, owner }).await?;
        Ok(self.state().phase.clone())
    }
}
