//! The rounds: what can go on is taken up, what has expired is asked to go.

use std::collections::BTreeSet;
use std::time::Duration;

use exokit_engine::error::EngineError;
use exokit_ledger::{Filter, LedgerError, OperationView, Operations};
use exokit_model::event::Event;
use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::phase::Phase;
use exokit_model::plan::Plan;
use exokit_wire::failure::Failure;
use tokio::task::JoinSet;

use crate::explain::{Doing as _, chain};
use crate::service::Service;

/// Longest time between two rounds: other processes may have recorded votes.
const ROUND: Duration = Duration::from_secs(2);

/// Most records looked at in one go for what has changed.
const PAGE: usize = 1_000;

/// What was noticed.
#[derive(Debug)]
pub enum Noticed {
    /// An operation ended, parked, or could not be run for now.
    Ended(OperationId, Result<Phase, EngineError>),
    /// An environment has expired; this plan to remove it waits for approval.
    Expired(Box<Plan>),
    /// A round could not look; the next one may.
    Blind(Failure),
}

/// Takes up work until it is dropped.
pub struct Worker {
    service: Service,
    /// Up to which record it was looked for plans that may start.
    seen: u64,
    /// Environments whose waiting plans are to be looked at again.
    touched: BTreeSet<EnvironmentName>,
    busy: BTreeSet<OperationId>,
    under_way: JoinSet<(OperationId, Result<Phase, EngineError>)>,
}

impl Worker {
    /// A worker that has seen nothing yet.
    #[must_use]
    pub fn new(service: Service) -> Self {
        let (seen, touched, busy) = (0, BTreeSet::new(), BTreeSet::new());
        Self { service, seen, touched, busy, under_way: JoinSet::new() }
    }

    /// Works in rounds, and tells what it notices, until `stop` comes true.
    /// Work under way is dropped then, which loses nothing.
    pub async fn run(mut self, stop: impl Future<Output = ()>, mut tell: impl FnMut(Noticed)) {
        tokio::pin!(stop);
        loop {
            match self.take_up().await {
                Ok(expired) => expired.into_iter().for_each(|plan| tell(Noticed::Expired(Box::new(plan)))),
                Err(failure) => tell(Noticed::Blind(failure)),
            }
            tokio::select! {
                biased;
                () = &mut stop => return,
                Some(ended) = self.under_way.join_next(), if !self.under_way.is_empty() => {
                    if let Some((id, result)) = self.ended(ended) {
                        tell(Noticed::Ended(id, result));
                    }
                }
                () = self.service.work.notified() => {}
                () = tokio::time::sleep(ROUND) => {}
            }
        }
    }

    /// One that panicked is left to the next round: its lease is free, and
    /// others go on.
    fn ended(
        &mut self,
        ended: Result<(OperationId, Result<Phase, EngineError>), tokio::task::JoinError>,
    ) -> Option<(OperationId, Result<Phase, EngineError>)> {
        match ended {
            Ok((id, result)) => {
                self.busy.remove(&id);
                Some((id, result))
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "an operation's task broke off");
                // Which one is not known: whatever still runs holds its lease.
                self.busy.clear();
                None
            }
        }
    }

    /// Proposes the teardown of what has expired, and takes up what can go on.
    async fn take_up(&mut self) -> Result<Vec<Plan>, Failure> {
        let engine = self.service.engine().clone();
        let expired = engine.expire().await.doing("looking for", "expired environments")?;
        for id in self.ready().await? {
            if !self.busy.insert(id.clone()) {
                continue;
            }
            let engine = engine.clone();
            self.under_way.spawn(async move {
                let result = engine.run(&id).await;
                (id, result)
            });
        }
        Ok(expired)
    }

    /// Operations that can go on now.
    async fn ready(&mut self) -> Result<Vec<OperationId>, Failure> {
        let room = self.service.operations_max().get().saturating_sub(self.busy.len());
        let active = self.service.engine().parts().ledger.operations(Operations::Active).await;
        let active = active.doing("reading", "the ledger")?.into_iter().map(|operation| operation.operation);
        let mut ready: Vec<OperationId> = active.filter(|id| !self.busy.contains(id)).collect();
        self.look_what_changed().await?;
        for name in std::mem::take(&mut self.touched) {
            ready.extend(self.approved(&name).await?);
        }
        ready.truncate(room.max(1));
        Ok(ready)
    }

    /// Notes the environments about which something was recorded that may let
    /// a plan start.
    async fn look_what_changed(&mut self) -> Result<(), Failure> {
        let ledger = self.service.engine().parts().ledger.clone();
        if self.seen == 0 {
            let now = self.service.engine().parts().clock.now();
            self.seen = ledger.head().await.doing("reading", "the ledger")?.seq;
            let waiting = ledger.operations(Operations::Waiting(now)).await.doing("reading", "the ledger")?;
            self.touched.extend(waiting.into_iter().map(|operation| operation.environment));
            return Ok(());
        }
        loop {
            let records = ledger.page(Filter::All, self.seen, PAGE).await.doing("reading", "the ledger")?;
            let Some(last) = records.last() else { return Ok(()) };
            self.seen = last.seq;
            for record in records {
                match (record.entry.event, record.entry.environment) {
                    (Event::RosterInstalled { .. }, _) => {
                        let now = self.service.engine().parts().clock.now();
                        let waiting = ledger.operations(Operations::Waiting(now)).await;
                        let waiting = waiting.doing("reading", "the ledger")?;
                        self.touched.extend(waiting.into_iter().map(|operation| operation.environment));
                    }
                    (Event::PlanProposed { .. } | Event::ApprovalRecorded { .. }, Some(name)) => {
                        self.touched.insert(name);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Plans of an environment that wait and may start.
    async fn approved(&self, name: &EnvironmentName) -> Result<Vec<OperationId>, Failure> {
        let story = self.service.story(name).await?;
        let engine = self.service.engine();
        let now = engine.parts().clock.now();
        let can_start =
            |operation: &&OperationView| exokit_text::operation::can_start(operation, &story.operations, now);
        let mut ready = Vec::new();
        for operation in story.operations.iter().filter(can_start) {
            let quorum = engine.quorum(&operation.plan, &operation.tokens).await;
            if quorum.doing("counting the votes on", &operation.plan.plan_id)?.is_ok() {
                ready.push(operation.operation.clone());
            }
        }
        Ok(ready)
    }
}

/// Whether an error means that another process works on it.
#[must_use]
pub fn is_held(error: &EngineError) -> bool {
    matches!(error, EngineError::Ledger(LedgerError::LeaseHeld { .. } | LedgerError::Fenced { .. }))
}
