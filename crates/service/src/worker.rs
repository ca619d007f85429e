//! The worker loop: runs operations that may continue or start, and proposes the
//! removal of expired environments. A failure of one environment is reported and
//! delays no other.

mod event;
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
use exokit_model::plan::Action;
use exokit_mutant::{Mutant, planted};
use exokit_wire::failure::Failure;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

pub use self::event::WorkerEvent;

use self::event::POLL_MAX;
use self::expiry::Expiry;
use crate::explain::Doing as _;
use crate::service::Service;

/// Delay between a notification and the poll: it batches what arrives together,
/// and lets the reply of the request leave first.
const GATHER: Duration = Duration::from_millis(5);

/// Most records read at once for what has changed.
const PAGE: usize = 1_000;

/// An operation and the environment that it changes.
type Work = (OperationId, EnvironmentName);

/// The result of a run; none when it panicked.
type Ended = (Work, Option<Result<Phase, EngineError>>);

/// Runs operations until it is dropped.
pub struct Worker {
    service: Service,
    /// The last record that was searched for plans that may start.
    seen: u64,
    /// Environments whose waiting plans are to be checked.
    changed: BTreeSet<EnvironmentName>,
    /// Environments that could not be read; checked again after a poll interval.
    unreadable: BTreeSet<EnvironmentName>,
    busy: BTreeSet<OperationId>,
    /// Operations that could not be run; retried after a poll interval.
    backing_off: Vec<Work>,
    under_way: JoinSet<Ended>,
}

impl Worker {
    /// A worker that has read no record yet.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self {
            service,
            seen: 0,
            changed: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            busy: BTreeSet::new(),
            backing_off: Vec::new(),
            under_way: JoinSet::new(),
        }
    }

    /// Polls for work and reports events until `stop` completes. Runs under way
    /// are dropped then; they resume from the ledger.
    pub async fn run(mut self, stop: impl Future<Output = ()>, mut tell: impl FnMut(WorkerEvent)) {
        let (heard, mut notices) = mpsc::unbounded_channel();
        let expiry = Expiry::new(self.service.clone()).run(heard);
        tokio::pin!(stop, expiry);
        let mut round = tokio::time::interval(POLL_MAX);
        loop {
            self.poll(&mut tell).await;
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
                _ = round.tick() => self.retry(),
            }
        }
    }

    /// Frees the place of a run; one that failed is retried later.
    fn ended(&mut self, (work, result): Ended) -> Option<WorkerEvent> {
        let operation = work.0.clone();
        match &result {
            Some(Ok(_)) => drop(self.busy.remove(&operation)),
            None if planted(Mutant::BrokenOff) => {}
            Some(Err(_)) | None => self.backing_off.push(work),
        }
        if result.is_none() {
            tracing::error!(%operation, "its task broke off; it is taken up again");
        }
        result.map(|result| WorkerEvent::Ended(operation, result))
    }

    fn retry(&mut self) {
        for (operation, environment) in std::mem::take(&mut self.backing_off) {
            self.busy.remove(&operation);
            self.changed.insert(environment);
        }
        self.changed.append(&mut self.unreadable);
    }

    /// Runs what can continue: first what has started, then what may start.
    async fn poll(&mut self, tell: &mut impl FnMut(WorkerEvent)) {
        match self.unfinished().await {
            Ok(unfinished) => drop(self.begin(unfinished)),
            Err(failure) => tell(WorkerEvent::Blind(failure)),
        }
        if let Err(failure) = self.read_changes().await {
            tell(WorkerEvent::Blind(failure));
        }
        for name in self.changed.clone() {
            let approved = self.service.approved(&name).await;
            let work = |operation| (operation, name.clone());
            match approved.map(|approved| self.begin(approved.into_iter().map(work))) {
                Ok(true) => drop(self.changed.remove(&name)),
                // At capacity: checked again when a run ends.
                Ok(false) => {}
                Err(failure) => {
                    self.changed.remove(&name);
                    self.unreadable.insert(name);
                    tell(WorkerEvent::Blind(failure));
                }
            }
        }
    }

    /// Starts what does not run yet; returns whether there was room for all.
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

    /// Operations that have started and not ended.
    async fn unfinished(&self) -> Result<Vec<Work>, Failure> {
        let active = self.service.engine().parts().ledger.operations(Operations::Active).await;
        let active = active.doing("reading", "the ledger")?.into_iter();
        Ok(active.map(|operation| (operation.operation, operation.environment)).collect())
    }

    /// Marks the environments about which something was recorded that may let a
    /// plan start.
    async fn read_changes(&mut self) -> Result<(), Failure> {
        let ledger = self.service.engine().parts().ledger.clone();
        if self.seen == 0 {
            let head = ledger.head().await.doing("reading", "the ledger")?.seq;
            self.mark_all_waiting().await?;
            self.seen = head;
            return Ok(());
        }
        loop {
            let records = ledger.page(Filter::All, self.seen, PAGE).await.doing("reading", "the ledger")?;
            let Some(last) = records.last().map(|record| record.seq) else { return Ok(()) };
            for record in records {
                match (record.entry.event, record.entry.environment) {
                    (Event::RosterInstalled { .. }, _) => self.mark_all_waiting().await?,
                    (Event::PlanProposed { .. } | Event::ApprovalRecorded { .. }, Some(name)) => {
                        self.changed.insert(name);
                    }
                    _ => {}
                }
            }
            self.seen = last;
        }
    }

    async fn mark_all_waiting(&mut self) -> Result<(), Failure> {
        let parts = self.service.engine().parts();
        let waiting = parts.ledger.operations(Operations::Waiting(parts.clock.now())).await;
        let waiting = waiting.doing("reading", "the ledger")?;
        self.changed.extend(waiting.into_iter().map(|operation| operation.environment));
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
        // An access is started by the request that it serves.
        let changes = story.operations.iter().filter(|operation| operation.plan.action != Action::Access);
        for operation in changes.filter(|operation| operation.can_start(&story.operations, now)) {
            let quorum = engine.quorum(&operation.plan, &operation.tokens).await;
            let quorum = quorum.doing("counting the votes on", &operation.plan.plan_id)?;
            if quorum.is_ok() {
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
