//! A ledger in memory that crashes as a disk does: what was appended is
//! volatile until it is made durable, and each await between the two is a
//! place to stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use exokit_model::event::{Entry, Record};
use exokit_model::ids::{EnvironmentName, OperationId, Zone};
use exokit_model::ready_time::ReadyTime;
use exokit_mutant::{Mutant, planted};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::check::{check_entries, check_environment, check_epoch, check_head, check_unused};
use crate::error::LedgerError;
use crate::ledger::{Audit, Condition, Filter, Head, Lease, Ledger, lease_end};
use crate::plans::Plans;
use crate::projection::{
    EnvironmentView, Environments, Holdings, Misfit, OperationSummary, Operations, Registry, Request,
};
use crate::verify::{FirstBad, verify};

/// A ledger for simulation and tests. Clones share their content, as several
/// processes share one file. It starts no thread and reads no clock.
#[derive(Debug, Clone, Default)]
pub struct MemoryLedger {
    state: Arc<Mutex<State>>,
    plans: Plans,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Durable records first, then those that are not durable yet.
    records: Vec<Arc<Record>>,
    /// Where the records of each filter stand, in order.
    places: Places,
    /// How many of them are durable.
    durable: usize,
    leases: BTreeMap<OperationId, Seat>,
    /// What the durable records say, as far as somebody asked.
    registry: Arc<Registry>,
}

/// Where records stand in the ledger, by what they are about.
#[derive(Debug, Clone, Default)]
struct Places {
    account: Vec<usize>,
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
    }

    /// Forgets the records from `length` on.
    fn truncate(&mut self, length: usize) {
        let lists = self.environments.values_mut().chain(self.operations.values_mut());
        for list in lists.chain([&mut self.account]) {
            list.truncate(list.partition_point(|place| *place < length));
        }
    }
}

/// The lease of one operation, held or not.
#[derive(Debug, Clone)]
struct Seat {
    epoch: u64,
    /// None when it was given back.
    holder: Option<String>,
    until: Timestamp,
    /// Whether the holder is proven dead.
    dead: bool,
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a crash leaves: a ledger of its own with the durable records, and
    /// with those not durable yet if `keep_volatile`. Holders of leases are
    /// proven dead, so that leases can be taken over at once.
    #[must_use]
    pub fn crash(&self, keep_volatile: bool) -> Self {
        let after = self.crash_unseen(keep_volatile);
        for seat in after.lock().leases.values_mut() {
            seat.dead = true;
        }
        after
    }

    /// As [`MemoryLedger::crash`], but nobody can tell that the holders died,
    /// so that leases must run out first.
    #[must_use]
    pub fn crash_unseen(&self, keep_volatile: bool) -> Self {
        let mut state = self.lock().clone();
        if !keep_volatile {
            let durable = state.durable;
            state.records.truncate(durable);
            state.places.truncate(durable);
        }
        state.durable = state.records.len();
        Self { state: Arc::new(Mutex::new(state)), plans: self.plans.clone() }
    }

    /// The durable records, for a judge that must not depend on the engine.
    #[must_use]
    pub fn durable(&self) -> Vec<Record> {
        let state = self.lock();
        state.records[..state.durable].iter().map(|record| (**record).clone()).collect()
    }

    /// What the durable records say now.
    fn now<T>(&self, question: impl FnOnce(&Registry) -> T) -> Result<T, LedgerError> {
        Ok(question(self.lock().caught_up(&self.plans)?))
    }

    /// How many records were written, and how many of them are durable: a
    /// crash may lose the others.
    #[must_use]
    pub fn lengths(&self) -> (usize, usize) {
        let state = self.lock();
        (state.records.len(), state.durable)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn head(&self) -> Head {
        self.records.last().map_or(Head::EMPTY, |last| Head::after(last))
    }

    /// The registry, with every durable record taken in.
    fn caught_up(&mut self, plans: &Plans) -> Result<&Registry, Misfit> {
        let known = usize::try_from(self.registry.head().seq).unwrap_or(usize::MAX);
        if known < self.durable {
            let registry = Arc::make_mut(&mut self.registry);
            for record in &self.records[known..self.durable] {
                registry.apply_with(plans, record)?;
            }
        }
        Ok(&self.registry)
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
        };
        let places = places.map_or(&[][..], Vec::as_slice);
        let (from, to) = (
            places.partition_point(|place| *place < after),
            places.partition_point(|place| *place < self.durable),
        );
        places[from..to].iter().take(most).map(|place| (*self.records[*place]).clone()).collect()
    }

    fn check(&self, condition: &Condition) -> Result<(), LedgerError> {
        if let Some(fence) = &condition.fence {
            let seat = self.leases.get(&fence.operation);
            let held = seat.is_some_and(|seat| seat.holder.is_some());
            check_epoch(fence, seat.map_or(0, |seat| seat.epoch), held)?;
        }
        if let Some(operation) = &condition.unused {
            let places = self.places.operations.get(operation);
            check_unused(operation, places.is_some_and(|places| !places.is_empty()))?;
        }
        if let Some((environment, expected)) = &condition.environment_head {
            let places = self.places.environments.get(environment);
            let last = places.and_then(|places| places.last()).map_or(0, |place| self.records[*place].seq);
            check_environment(environment, *expected, last)?;
        }
        check_head(condition, self.head().seq)
    }

    fn write(&mut self, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError> {
        let mut head = self.head();
        let mut written = Vec::with_capacity(entries.len());
        for entry in entries {
            let record = Record::chain(head.hash, head.seq + 1, entry)?;
            head = Head::after(&record);
            written.push(record);
        }
        for record in &written {
            self.places.note(self.records.len(), &record.entry);
            self.records.push(Arc::new(record.clone()));
        }
        Ok(written)
    }

    /// As one fsync: everything written up to `length` becomes durable.
    fn sync(&mut self, length: usize) {
        self.durable = self.durable.max(length);
    }

    /// Highest epoch ever used for an operation, also in records that came
    /// from another ledger.
    fn epoch(&self, operation: &OperationId) -> u64 {
        let places = self.places.operations.get(operation);
        let recorded = places.into_iter().flatten().map(|place| self.records[*place].entry.epoch).max();
        let seat = self.leases.get(operation).map(|seat| seat.epoch);
        recorded.max(seat).unwrap_or(0)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    fn plans(&self) -> &Plans {
        &self.plans
    }

    async fn append(&self, condition: &Condition, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError> {
        check_entries(condition, &entries)?;
        let (written, length) = {
            let mut state = self.lock();
            state.check(condition)?;
            (state.write(entries)?, state.records.len())
        };
        if planted(Mutant::AckEarly) {
            return Ok(written);
        }
        tokio::task::yield_now().await;
        self.lock().sync(length);
        tokio::task::yield_now().await;
        Ok(written)
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
        let mut passed = records.iter().map(Head::after).chain([Head::EMPTY]);
        if let Some(anchor) = anchor.filter(|anchor| !passed.any(|head| head == *anchor)) {
            let why = "it is not the record that was anchored".to_owned();
            return Err(LedgerError::Damaged { seq: anchor.seq, why });
        }
        let (environments, operations) =
            self.now(|registry| (registry.environments().len(), registry.operations().len()))?;
        Ok(Audit { head, environments, operations, tables_agreed: true })
    }

    async fn acquire(
        &self,
        operation: &OperationId,
        holder: &str,
        now: Timestamp,
    ) -> Result<Lease, LedgerError> {
        let lease = {
            let mut state = self.lock();
            if let Some(seat) = state.leases.get(operation)
                && let Some(other) = &seat.holder
                && other != holder
                && !seat.dead
                && now < seat.until
            {
                return Err(LedgerError::LeaseHeld {
                    operation: operation.clone(),
                    holder: other.clone(),
                    until: seat.until,
                });
            }
            let lease = Lease {
                operation: operation.clone(),
                epoch: match planted(Mutant::SameEpoch) {
                    true => state.epoch(operation).max(1),
                    false => state.epoch(operation) + 1,
                },
                holder: holder.to_owned(),
                until: lease_end(now),
            };
            let seat = Seat {
                epoch: lease.epoch,
                holder: Some(lease.holder.clone()),
                until: lease.until,
                dead: false,
            };
            state.leases.insert(operation.clone(), seat);
            // Whoever takes the lease sees all that was written before.
            let length = state.records.len();
            state.sync(length);
            lease
        };
        tokio::task::yield_now().await;
        Ok(lease)
    }

    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Lease, LedgerError> {
        let renewed = {
            let mut state = self.lock();
            state.check(&Condition::fenced(lease))?;
            let until = lease_end(now);
            if let Some(seat) = state.leases.get_mut(&lease.operation) {
                seat.until = until;
            }
            Lease { until, ..lease.clone() }
        };
        tokio::task::yield_now().await;
        Ok(renewed)
    }

    async fn release(&self, lease: &Lease) -> Result<(), LedgerError> {
        {
            let mut state = self.lock();
            if let Some(seat) = state.leases.get_mut(&lease.operation)
                && seat.epoch == lease.epoch
            {
                seat.holder = None;
            }
        }
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.now(|registry| registry.find_environments(&which))
    }

    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        self.now(|registry| registry.find_operations(&which))
    }

    async fn requested(&self, day: Date) -> Result<Vec<Request>, LedgerError> {
        self.now(|registry| registry.requested(day))
    }

    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError> {
        self.now(|registry| registry.ready_times(&zone))
    }

    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError> {
        self.now(|registry| registry.holdings(&ids, &marks))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;
    use crate::testing::{at, entry, operation};

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
            let ledger = MemoryLedger::new();
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
        let ledger = MemoryLedger::new();
        ledger.acquire(&operation(1), "one", at(0)).await.unwrap();
        let seen = ledger.crash(false);
        let lease = seen.acquire(&operation(1), "two", at(1)).await.unwrap();
        assert_eq!(lease.epoch, 2);
        let unseen = ledger.crash_unseen(false);
        assert!(unseen.acquire(&operation(1), "two", at(89)).await.is_err());
        assert!(unseen.acquire(&operation(1), "two", at(90)).await.is_ok());
    }

    #[tokio::test]
    async fn who_takes_a_lease_sees_all_that_was_written_before() {
        let ledger = MemoryLedger::new();
        assert!(!interrupted(&ledger, 1));
        assert_eq!(ledger.head().await.unwrap().seq, 0);
        ledger.acquire(&operation(1), "two", at(0)).await.unwrap();
        assert_eq!(ledger.head().await.unwrap().seq, 1);
    }
}
