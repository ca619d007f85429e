//! The rounds: what can go on is taken up, what has expired is asked to go. What
//! fails for one environment is told, and holds up no other.

mod expiry;
mod span;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use exokit_engine::error::EngineError;
use exokit_ledger::{Filter, LedgerError, Operations};
use exokit_model::event::Event;
use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::phase::Phase;
use exokit_model::plan::Plan;
use exokit_mutant::{Mutant, planted};
use exokit_wire::failure::Failure;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

use self::expiry::Expiry;
use crate::explain::Doing as _;
use crate::service::Service;

/// Longest time between two rounds: other processes may have recorded votes.
const ROUND: Duration = Duration::from_secs(2);

/// How long more is waited for once there is something to do: it is done
/// together then, and the answer that it follows on leaves first.
const GATHER: Duration = Duration::from_millis(5);

/// Most records looked at in one go for what has changed.
const PAGE: usize = 1_000;

/// What was noticed.
#[derive(Debug)]
pub enum Noticed {
    /// An operation ended, parked, or could not be run for now.
    Ended(OperationId, Result<Phase, EngineError>),
    /// An environment has expired; this plan removes it as soon as it may start.
    Expired(Box<Plan>),
    /// An environment expires soon.
    Ending(EnvironmentName),
    /// Something could not be looked at; a later round may.
    Blind(Failure),
}

/// An operation and the environment that it changes.
type Work = (OperationId, EnvironmentName);

/// How work ended: none when it panicked, which is the fault of this one alone.
type Ended = (Work, Option<Result<Phase, EngineError>>);

/// Takes up work until it is dropped.
pub struct Worker {
    service: Service,
    /// Up to which record it was looked for plans that may start.
    seen: u64,
    /// Environments whose waiting plans are to be looked at again.
    touched: BTreeSet<EnvironmentName>,
    /// Those of them that could not be looked at; not at once again.
    unseen: BTreeSet<EnvironmentName>,
    busy: BTreeSet<OperationId>,
    /// What could not be run. It is tried again, but not at once.
    resting: Vec<Work>,
    under_way: JoinSet<Ended>,
}

impl Worker {
    /// A worker that has seen nothing yet.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self {
            service,
            seen: 0,
            touched: BTreeSet::new(),
            unseen: BTreeSet::new(),
            busy: BTreeSet::new(),
            resting: Vec::new(),
            under_way: JoinSet::new(),
        }
    }

    /// Works in rounds, and tells what it notices, until `stop` comes true.
    /// Work under way is dropped then, which loses nothing.
    pub async fn run(mut self, stop: impl Future<Output = ()>, mut tell: impl FnMut(Noticed)) {
        let (heard, mut notices) = mpsc::unbounded_channel();
        let expiry = Expiry::new(self.service.clone()).run(heard);
        tokio::pin!(stop, expiry);
        let mut round = tokio::time::interval(ROUND);
        loop {
            self.take_up(&mut tell).await;
            tokio::select! {
                biased;
                () = &mut stop => return,
                never = &mut expiry => match never {},
                Some(noticed) = notices.recv() => tell(noticed),
                Some(Ok(ended)) = self.under_way.join_next() => {
                    if let Some(noticed) = self.ended(ended) {
                        tell(noticed);
                    }
                }
                () = self.service.work.notified() => tokio::time::sleep(GATHER).await,
                _ = round.tick() => self.rested(),
            }
        }
    }

    /// What ended makes room; what could not be run has a rest first.
    fn ended(&mut self, (work, result): Ended) -> Option<Noticed> {
        let operation = work.0.clone();
        match &result {
            Some(Ok(_)) => drop(self.busy.remove(&operation)),
            None if planted(Mutant::BrokenOff) => {}
            Some(Err(_)) | None => self.resting.push(work),
        }
        if result.is_none() {
            tracing::error!(%operation, "its task broke off; it is taken up again");
        }
        result.map(|result| Noticed::Ended(operation, result))
    }

    fn rested(&mut self) {
        for (operation, environment) in std::mem::take(&mut self.resting) {
            self.busy.remove(&operation);
            self.touched.insert(environment);
        }
        self.touched.append(&mut self.unseen);
    }

    /// Takes up what can go on: what began before, then what may start.
    async fn take_up(&mut self, tell: &mut impl FnMut(Noticed)) {
        match self.unfinished().await {
            Ok(unfinished) => drop(self.begin(unfinished)),
            Err(failure) => tell(Noticed::Blind(failure)),
        }
        if let Err(failure) = self.look_what_changed().await {
            tell(Noticed::Blind(failure));
        }
        for name in self.touched.clone() {
            let approved = self.service.approved(&name).await;
            let work = |operation| (operation, name.clone());
            match approved.map(|approved| self.begin(approved.into_iter().map(work))) {
                Ok(true) => drop(self.touched.remove(&name)),
                // What finds no room now is looked at again when something ends.
                Ok(false) => {}
                Err(failure) => {
                    self.touched.remove(&name);
                    self.unseen.insert(name);
                    tell(Noticed::Blind(failure));
                }
            }
        }
    }

    /// Begins what is not under way yet; whether there was room for all.
    fn begin(&mut self, works: impl IntoIterator<Item = Work>) -> bool {
        for work in works {
            match (self.busy.contains(&work.0), self.service.admission.has_room()) {
                (true, _) => continue,
                (false, false) => return false,
                (false, true) => self.busy.insert(work.0.clone()),
            };
            let (engine, counted) = (self.service.engine().clone(), self.service.admission.begin());
            self.under_way.spawn(async move {
                let _counted = counted;
                let span = span::open(&work);
                let run = AssertUnwindSafe(engine.run(&work.0)).catch_unwind();
                let result = run.instrument(span.clone()).await.ok();
                span::close(&span, result.as_ref());
                (work, result)
            });
        }
        true
    }

    /// Operations that began and have not ended.
    async fn unfinished(&self) -> Result<Vec<Work>, Failure> {
        let active = self.service.engine().parts().ledger.operations(Operations::Active).await;
        let active = active.doing("reading", "the ledger")?.into_iter();
        Ok(active.map(|operation| (operation.operation, operation.environment)).collect())
    }

    /// Notes the environments about which something was recorded that may let
    /// a plan start.
    async fn look_what_changed(&mut self) -> Result<(), Failure> {
        let ledger = self.service.engine().parts().ledger.clone();
        if self.seen == 0 {
            let head = ledger.head().await.doing("reading", "the ledger")?.seq;
            if !planted(Mutant::NewsOnly) {
                self.touch_all_that_waits().await?;
            }
            self.seen = head;
            return Ok(());
        }
        loop {
            let records = ledger.page(Filter::All, self.seen, PAGE).await.doing("reading", "the ledger")?;
            let Some(last) = records.last().map(|record| record.seq) else { return Ok(()) };
            for record in records {
                match (record.entry.event, record.entry.environment) {
                    (Event::RosterInstalled { .. }, _) => self.touch_all_that_waits().await?,
                    (Event::PlanProposed { .. } | Event::ApprovalRecorded { .. }, Some(name)) => {
                        self.touched.insert(name);
                    }
                    _ => {}
                }
            }
            self.seen = last;
        }
    }

    async fn touch_all_that_waits(&mut self) -> Result<(), Failure> {
        let parts = self.service.engine().parts();
        let waiting = parts.ledger.operations(Operations::Waiting(parts.clock.now())).await;
        let waiting = waiting.doing("reading", "the ledger")?;
        self.touched.extend(waiting.into_iter().map(|operation| operation.environment));
        Ok(())
    }
}

impl Service {
    /// Operations on an environment that have the votes that they need and can
    /// start.
    pub(crate) async fn approved(&self, name: &EnvironmentName) -> Result<Vec<OperationId>, Failure> {
        let story = self.story(name).await?;
        let engine = self.engine();
        let now = engine.parts().clock.now();
        let mut ready = Vec::new();
        for operation in
            story.operations.iter().filter(|operation| operation.can_start(&story.operations, now))
        {
            let quorum = engine.quorum(&operation.plan, &operation.tokens).await;
            let quorum = quorum.doing("counting the votes on", &operation.plan.plan_id)?;
            let counted = operation.tokens.len() >= operation.plan.level.persons();
            if quorum.is_ok() || planted(Mutant::CountVotes) && counted {
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
