//! A ledger in memory that crashes as a disk does: what was appended is
//! volatile until it is made durable, and each await between the two is a
//! place to stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use exokit_model::event::{Entry, Event, Record};
use exokit_model::ids::{EnvironmentName, OperationId, Zone};
use exokit_model::kind::Kind;
use exokit_model::phase::Phase;
use exokit_model::ready_time::ReadyTime;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::change::{Change, ChangeOutcome};
use crate::condition::Filter;
use crate::error::LedgerError;
use crate::head::Head;
use crate::lease::LeaseRow;
use crate::ledger::{Audit, Ledger};
use crate::plans::Plans;
use crate::poll::ready;
use crate::rows::environment::EnvironmentView;
use crate::rows::operation::OperationSummary;
use crate::rows::query::{Environments, Holdings, Operations, tokens_of};
use crate::rows::registry::Registry;
use crate::rows::step::{Row, Rows, RowsHead};
use crate::store::{StoreClock, Transaction};
use crate::verify::{FirstBad, verify};

/// A ledger for simulation and tests. Clones share their content, as several
/// processes share one file. It starts no thread.
#[derive(Clone)]
pub struct MemoryLedger {
    state: Arc<Mutex<State>>,
    plans: Plans,
    clock: StoreClock,
}

impl std::fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLedger").field("lengths", &self.lengths()).finish_non_exhaustive()
    }
}

impl Default for MemoryLedger {
    /// An empty ledger whose clock stands still.
    fn default() -> Self {
        Self::new(Arc::new(|| Timestamp::UNIX_EPOCH))
    }
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Durable records first, then those that are not durable yet.
    records: Vec<Arc<Record>>,
    /// Where the records of each filter stand, in order.
    places: Places,
    /// How many of them are durable.
    durable: usize,
    leases: BTreeMap<OperationId, LeaseRow>,
    /// The rows of all records.
    written: Arc<Registry>,
    /// The rows of the durable records, as far as somebody asked.
    settled: Arc<Registry>,
}

/// Where records stand in the ledger, by what they are about.
#[derive(Debug, Clone, Default)]
struct Places {
    account: Vec<usize>,
    requests: Vec<usize>,
    environments: BTreeMap<EnvironmentName, Vec<usize>>,
    operations: BTreeMap<OperationId, Vec<usize>>,
}

impl Places {
    fn note(&mut self, place: usize, entry: &Entry) {
        match &entry.environment {
            None => self.account.push(place),
            Some(name) => self.environments.entry(name.clone()).or_default().push(place),
        }
        if let Some(operation) = &entry.operation {
            self.operations.entry(operation.clone()).or_default().push(place);
        }
        if matches!(entry.event, Event::PlanProposed { .. } | Event::PlanRejected { .. }) {
            self.requests.push(place);
        }
    }

    /// Forgets the records from `length` on.
    fn truncate(&mut self, length: usize) {
        let lists = self.environments.values_mut().chain(self.operations.values_mut());
        for list in lists.chain([&mut self.account, &mut self.requests]) {
            list.truncate(list.partition_point(|place| *place < length));
        }
    }
}

impl MemoryLedger {
    /// An empty ledger. Leases end by `clock`.
    #[must_use]
    pub fn new(clock: StoreClock) -> Self {
        Self { state: Arc::default(), plans: Plans::default(), clock }
    }

    /// The same content under another clock.
    #[must_use]
    pub fn with_clock(self, clock: StoreClock) -> Self {
        Self { clock, ..self }
    }

    /// What a crash leaves: a ledger of its own with the durable records, and
    /// with those not durable yet if `keep_volatile`. Holders of leases are
    /// proven dead, so that leases can be taken over at once.
    #[must_use]
    pub fn crash(&self, keep_volatile: bool) -> Self {
        let after = self.crash_unseen(keep_volatile);
        for lease in after.lock().leases.values_mut() {
            lease.dead = true;
        }
        after
    }

    /// As [`MemoryLedger::crash`], but nobody can tell that the holders died,
    /// so that leases must run out first.
    ///
    /// # Panics
    /// When durable records cannot be folded, which they were before.
    #[must_use]
    pub fn crash_unseen(&self, keep_volatile: bool) -> Self {
        let mut state = self.lock().clone();
        if !keep_volatile {
            state.truncate(state.durable, &self.plans).expect("durable records were folded before");
        }
        state.durable = state.records.len();
        Self { state: Arc::new(Mutex::new(state)), plans: self.plans.clone(), clock: self.clock.clone() }
    }

    /// The durable records, for a judge that must not depend on the engine.
    #[must_use]
    pub fn durable(&self) -> Vec<Record> {
        let state = self.lock();
        state.records[..state.durable].iter().map(|record| (**record).clone()).collect()
    }

    /// How many records were written, and how many of them are durable: a
    /// crash may lose the others.
    #[must_use]
    pub fn lengths(&self) -> (usize, usize) {
        let state = self.lock();
        (state.records.len(), state.durable)
    }

    /// Asks the rows of the durable records.
    fn ask<T>(&self, question: impl FnOnce(&Registry) -> T) -> Result<T, LedgerError> {
        let mut state = self.lock();
        state.settle(&self.plans)?;
        Ok(question(&state.settled))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes every durable record into the rows of the durable records.
    fn settle(&mut self, plans: &Plans) -> Result<(), LedgerError> {
        let known = usize::try_from(self.settled.head.head.seq).unwrap_or(usize::MAX);
        if known < self.durable {
            let rows = Arc::make_mut(&mut self.settled);
            for record in &self.records[known..self.durable] {
                rows.apply_with(plans, record)?;
            }
        }
        Ok(())
    }

    /// Forgets the records from `length` on, which are not durable.
    fn truncate(&mut self, length: usize, plans: &Plans) -> Result<(), LedgerError> {
        if length == self.records.len() && self.written.head.head == self.head() {
            return Ok(());
        }
        self.records.truncate(length);
        self.places.truncate(length);
        self.settle(plans)?;
        let mut rows = (*self.settled).clone();
        for record in &self.records[self.durable.min(length)..] {
            rows.apply_with(plans, record)?;
        }
        self.written = Arc::new(rows);
        Ok(())
    }

    fn head(&self) -> Head {
        self.records.last().map_or(Head::EMPTY, |last| Head::after(last))
    }

    /// The durable records that a filter admits, with a number above `after`.
    fn select(&self, filter: &Filter, after: u64, most: usize) -> Vec<Record> {
        let after = usize::try_from(after).unwrap_or(usize::MAX).min(self.durable);
        let places = match filter {
            Filter::All => {
                let all = &self.records[after..self.durable];
                return all.iter().take(most).map(|record| (**record).clone()).collect();
            }
            Filter::Account => Some(&self.places.account),
            Filter::Environment(name) => self.places.environments.get(name),
            Filter::Operation(operation) => self.places.operations.get(operation),
            Filter::Requests(_) => Some(&self.places.requests),
        };
        let places = places.map_or(&[][..], Vec::as_slice);
        let (from, to) = (
            places.partition_point(|place| *place < after),
            places.partition_point(|place| *place < self.durable),
        );
        let on_day = |record: &&Arc<Record>| match filter {
            Filter::Requests(day) => record.entry.at.to_zoned(TimeZone::UTC).date() == *day,
            _ => true,
        };
        let found = places[from..to].iter().map(|place| &self.records[*place]);
        found.filter(on_day).take(most).map(|record| (**record).clone()).collect()
    }

    /// As one flush of a disk: everything written up to `length` becomes
    /// durable.
    fn sync(&mut self, length: usize) {
        self.durable = self.durable.max(length);
    }
}

/// What is known of resources with these ids and these marks.
#[must_use]
pub fn holdings(rows: &Registry, ids: &[String], marks: &[String]) -> Holdings {
    let live = ids.iter().filter(|id| rows.resources.contains_key(*id)).cloned().collect();
    let mut known = BTreeMap::new();
    for mark in marks {
        let (from, to) = tokens_of(mark);
        for operation in rows.tokens.range(from..to).flat_map(|(_, operations)| operations) {
            let own = rows.operations().get(operation).filter(|own| !own.phase.is_terminal());
            *known.entry(mark.clone()).or_default() |=
                own.is_some_and(|own| own.phase != Phase::AwaitingApproval);
        }
    }
    Holdings { live, marks: known }
}

/// A transaction on the state, which is locked meanwhile.
struct MemoryTransaction<'a> {
    state: &'a mut State,
    now: Timestamp,
}

impl MemoryTransaction<'_> {
    fn rows(&mut self) -> &mut Registry {
        Arc::make_mut(&mut self.state.written)
    }
}

impl Rows for MemoryTransaction<'_> {
    async fn rows_head(&mut self) -> Result<RowsHead, LedgerError> {
        self.rows().rows_head().await
    }

    async fn operations(&mut self, which: &Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        Ok(self.state.written.find_operations(which))
    }

    async fn environments(&mut self, which: &Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        Ok(self.state.written.find_environments(which))
    }

    async fn ready_times(&mut self, zone: &Zone, kind: Option<Kind>) -> Result<Vec<ReadyTime>, LedgerError> {
        Ok(self.state.written.find_ready_times(zone, kind))
    }

    async fn put(&mut self, row: Row<'_>) -> Result<(), LedgerError> {
        self.rows().put(row).await
    }
}

impl Transaction for MemoryTransaction<'_> {
    async fn now(&mut self) -> Result<Timestamp, LedgerError> {
        Ok(self.now)
    }

    async fn head(&mut self) -> Result<Head, LedgerError> {
        Ok(self.state.head())
    }

    async fn environment_head(&mut self, name: &EnvironmentName) -> Result<u64, LedgerError> {
        let places = self.state.places.environments.get(name);
        Ok(places.and_then(|places| places.last()).map_or(0, |place| self.state.records[*place].seq))
    }

    async fn newest_epoch(&mut self, operation: &OperationId) -> Result<Option<u64>, LedgerError> {
        let places = self.state.places.operations.get(operation);
        Ok(places.into_iter().flatten().map(|place| self.state.records[*place].entry.epoch).max())
    }

    async fn insert(&mut self, record: &Record, _text: &str) -> Result<(), LedgerError> {
        self.state.places.note(self.state.records.len(), &record.entry);
        self.state.records.push(Arc::new(record.clone()));
        Ok(())
    }

    async fn lease(&mut self, operation: &OperationId) -> Result<Option<LeaseRow>, LedgerError> {
        Ok(self.state.leases.get(operation).cloned())
    }

    async fn put_lease(&mut self, operation: &OperationId, lease: &LeaseRow) -> Result<(), LedgerError> {
        self.state.leases.insert(operation.clone(), lease.clone());
        Ok(())
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn commit(&self, change: Change) -> Result<ChangeOutcome, LedgerError> {
        let acquires = matches!(change, Change::Acquire { .. });
        let (done, length) = {
            let mut state = self.lock();
            let before = state.records.len();
            let mut transaction = MemoryTransaction { now: (self.clock)(), state: &mut state };
            let done = ready(change.apply(&mut transaction, &self.plans));
            if done.is_err() {
                state.truncate(before, &self.plans)?;
            }
            let done = done?;
            if acquires {
                // The holder of a lease sees everything that was written before.
                let length = state.records.len();
                state.sync(length);
            }
            (done, state.records.len())
        };
        if matches!(done, ChangeOutcome::Records(_)) {
            tokio::task::yield_now().await;
            self.lock().sync(length);
        }
        tokio::task::yield_now().await;
        Ok(done)
    }

    async fn page(&self, filter: Filter, after: u64, most: usize) -> Result<Vec<Record>, LedgerError> {
        Ok(self.lock().select(&filter, after, most))
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        let state = self.lock();
        let last = state.records[..state.durable].last();
        Ok(last.map_or(Head::EMPTY, |last| Head::after(last)))
    }

    async fn audit(&self, anchor: Option<Head>) -> Result<Audit, LedgerError> {
        let records = self.durable();
        let damaged = |bad: FirstBad| LedgerError::Damaged { seq: bad.seq, why: bad.why };
        let head = verify(&records).map_err(damaged)?;
        let mut heads = records.iter().map(Head::after).chain([Head::EMPTY]);
        if let Some(anchor) = anchor.filter(|anchor| !heads.any(|head| head == *anchor)) {
            let why = "it is not the record that was anchored".to_owned();
            return Err(LedgerError::Damaged { seq: anchor.seq, why });
        }
        let computed = Registry::fold(&records)?;
        let count = |rows: usize| u64::try_from(rows).unwrap_or(u64::MAX);
        let (environments, operations) =
            (count(computed.environments().len()), count(computed.operations().len()));
        Ok(Audit { head, environments, operations, differing: Vec::new() })
    }

    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.ask(|rows| rows.find_environments(&which))
    }

    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        self.ask(|rows| rows.find_operations(&which))
    }

    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError> {
        self.ask(|rows| rows.find_ready_times(&zone, None))
    }

    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError> {
        self.ask(|rows| holdings(rows, &ids, &marks))
    }

    fn plans(&self) -> &Plans {
        &self.plans
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::task::{Context, Waker};

    use super::*;
    use crate::condition::Condition;
    use crate::testing::contract::{self, Subject};
    use crate::testing::fixtures::{at, entry, operation};
    use crate::verify::verify;

    /// A clock that stands still until it is moved, and the hand that moves it.
    fn manual() -> (StoreClock, impl Fn(jiff::SignedDuration)) {
        let seconds = Arc::new(AtomicI64::new(0));
        let read = Arc::clone(&seconds);
        let clock: StoreClock = Arc::new(move || at(read.load(Ordering::Relaxed)));
        let advance = move |by: jiff::SignedDuration| {
            seconds.fetch_add(by.as_secs(), Ordering::Relaxed);
        };
        (clock, advance)
    }

    #[tokio::test]
    async fn it_keeps_the_contract_of_a_store() {
        contract::check(|| {
            let (clock, advance) = manual();
            Subject { ledger: Box::new(MemoryLedger::new(clock)), advance: Box::new(advance) }
        })
        .await;
    }

    /// Polls an append `polls` times, then drops it, as a crash would.
    fn interrupted(ledger: &MemoryLedger, polls: usize) -> bool {
        let condition = Condition::default();
        let mut append = pin!(ledger.append(&condition, vec![entry(2)]));
        let mut context = Context::from_waker(Waker::noop());
        (0..polls).any(|_| append.as_mut().poll(&mut context).is_ready())
    }

    #[tokio::test]
    async fn what_was_acknowledged_survives_and_the_rest_may() {
        for (polls, acknowledged, kept, lost) in
            [(0, false, 1, 1), (1, false, 2, 1), (2, false, 2, 2), (3, true, 2, 2)]
        {
            let ledger = MemoryLedger::default();
            ledger.append(&Condition::default(), vec![entry(1)]).await.unwrap();
            assert_eq!(interrupted(&ledger, polls), acknowledged);
            for (keep, expected) in [(true, kept), (false, lost)] {
                let after = ledger.crash(keep);
                assert_eq!(after.durable().len(), expected, "{polls} {keep}");
                after.append(&Condition::default(), vec![entry(3)]).await.unwrap();
                assert!(verify(&after.durable()).is_ok());
            }
        }
    }

    #[tokio::test]
    async fn after_a_crash_a_lease_is_free_at_once_unless_the_death_is_unseen() {
        let (clock, advance) = manual();
        let ledger = MemoryLedger::new(clock);
        ledger.acquire(&operation(1), "one").await.unwrap();
        let seen = ledger.crash(false);
        let lease = seen.acquire(&operation(1), "two").await.unwrap();
        assert_eq!(lease.epoch, 2);
        let unseen = ledger.crash_unseen(false);
        advance(jiff::SignedDuration::from_secs(89));
        assert!(unseen.acquire(&operation(1), "two").await.is_err());
        advance(jiff::SignedDuration::from_secs(1));
        assert!(unseen.acquire(&operation(1), "two").await.is_ok());
    }

    #[tokio::test]
    async fn who_acquires_a_lease_sees_all_that_was_written_before() {
        let ledger = MemoryLedger::default();
        assert!(!interrupted(&ledger, 1));
        assert_eq!(ledger.head().await.unwrap().seq, 0);
        ledger.acquire(&operation(1), "two").await.unwrap();
        assert_eq!(ledger.head().await.unwrap().seq, 1);
    }
}
