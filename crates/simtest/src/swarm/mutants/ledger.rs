//! Mistakes planted between an engine and its ledger: in what the engine reads,
//! and in what becomes of what it writes.

use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use exokit_ledger::{
    Audit, Change, ChangeOutcome, Condition, EnvironmentView, Environments, Filter, Head, Holdings, Lease,
    Ledger, LedgerError, MemoryLedger, OperationSummary, Operations, Plans,
};
use exokit_model::event::{Entry, Event, Record};
use exokit_model::ids::Zone;
use exokit_model::ready_time::ReadyTime;
use exokit_mutant::{Mutant, planted};
use jiff::Timestamp;

use crate::rig::without_revocations;
use crate::swarm::disk::Disk;
use crate::swarm::process::HostClock;
use crate::swarm::witness::Witness;

/// A ledger as a process with a planted mistake sees it. Without one it passes
/// everything on.
pub(in crate::swarm) struct MutantLedger {
    inner: Arc<Disk>,
    /// The ledger under `inner`, with records that are not durable yet.
    memory: MemoryLedger,
    witness: Arc<Witness>,
    clock: HostClock,
    /// Whether rosters are left out of what is read.
    hides_rosters: bool,
}

impl MutantLedger {
    /// Wraps the ledger of one process, on a host with this clock.
    pub(in crate::swarm) fn new(memory: &MemoryLedger, witness: &Arc<Witness>, clock: HostClock) -> Self {
        let inner = Arc::new(Disk::new(memory.clone(), Arc::clone(witness), clock.clone()));
        Self { inner, memory: memory.clone(), witness: Arc::clone(witness), clock, hides_rosters: false }
    }

    /// The ledger of a process that installs a roster without reading the one in
    /// force.
    pub(in crate::swarm) fn without_rosters(
        memory: &MemoryLedger,
        witness: &Arc<Witness>,
        clock: HostClock,
    ) -> Self {
        Self { hides_rosters: true, ..Self::new(memory, witness, clock) }
    }

    async fn append_with_mistakes(
        &self,
        condition: Condition,
        entries: Vec<Entry>,
    ) -> Result<Vec<Record>, LedgerError> {
        let fenced = !planted(Mutant::NoFence) && !planted(Mutant::SameEpoch);
        let condition = Condition {
            fence: condition.fence.filter(|_| fenced),
            unused: condition.unused.filter(|_| !planted(Mutant::PlanIdTwice)),
            ..condition
        };
        let entries = written(entries);
        if planted(Mutant::AckEarly) || planted(Mutant::IntentAfterSend) && has_intent(&entries) {
            return self.append_volatile(&condition, entries).await;
        }
        if planted(Mutant::AnswerEarly) && has_vote(&entries) {
            return self.append_later(condition, entries);
        }
        self.inner.append(&condition, entries).await
    }

    /// Writes and answers before anything is durable: a crash may lose it.
    async fn append_volatile(
        &self,
        condition: &Condition,
        entries: Vec<Entry>,
    ) -> Result<Vec<Record>, LedgerError> {
        let count = entries.len();
        let mut append = self.inner.append(condition, entries);
        let first = std::future::poll_fn(|context| Poll::Ready(append.as_mut().poll(context))).await;
        if let Poll::Ready(written) = first {
            return written;
        }
        let mut records = self.memory.crash(true).durable();
        Ok(records.split_off(records.len().saturating_sub(count)))
    }

    /// Answers, and only then writes: a crash or a full disk loses it.
    fn append_later(&self, condition: Condition, entries: Vec<Entry>) -> Result<Vec<Record>, LedgerError> {
        let mut head = self.memory.durable().last().map_or(Head::EMPTY, Head::after);
        let mut answered = Vec::with_capacity(entries.len());
        for entry in &entries {
            let record = Record::chain(head.hash, head.seq + 1, entry.clone())?;
            head = Head::after(&record);
            answered.push(record);
        }
        let inner = Arc::clone(&self.inner);
        tokio::spawn(async move { inner.append(&condition, entries).await });
        Ok(answered)
    }

    /// A lease as the engine sees it.
    fn shown(&self, lease: Lease) -> Lease {
        match planted(Mutant::SameEpoch) {
            true => {
                let shown = Lease { epoch: 1, ..lease };
                self.witness.leased(&shown, self.clock.ahead());
                shown
            }
            false => lease,
        }
    }

    /// The lease behind one that the engine sees.
    fn held(&self, shown: &Lease) -> Lease {
        let newest = self.witness.newest_epoch(&shown.operation).filter(|_| planted(Mutant::SameEpoch));
        Lease { epoch: newest.unwrap_or(shown.epoch), ..shown.clone() }
    }
}

/// Whether one of the entries is a vote.
fn has_vote(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| matches!(entry.event, Event::ApprovalRecorded { .. }))
}

/// Whether one of the entries is an intent.
fn has_intent(entries: &[Entry]) -> bool {
    let is_intent =
        |event: &Event| matches!(event, Event::CreateIntended { .. } | Event::DeleteIntended { .. });
    entries.iter().any(|entry| is_intent(&entry.event))
}

/// Entries as they are written.
fn written(entries: Vec<Entry>) -> Vec<Entry> {
    let denied = entries.iter().any(|entry| matches!(entry.event, Event::DenialRecorded { .. }));
    let mut written = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let mut gone = None;
        match &mut entry.event {
            Event::PlanRejected { .. } if denied && planted(Mutant::DenialWaits) => continue,
            Event::ResourceFailed { id, .. } if planted(Mutant::ForgetFailed) => *id = None,
            Event::DeleteAccepted { node, id, cloud_operation: Some(_), .. }
                if planted(Mutant::GoneAtOnce) =>
            {
                gone = Some(Event::ResourceGone { node: node.clone(), id: id.clone() });
            }
            _ => {}
        }
        let noted = super::taken_password()
            .map(|password| Event::ApprovalRefused { code: "noted".into(), why: password.into() });
        let more: Vec<Entry> =
            gone.into_iter().chain(noted).map(|event| Entry { event, ..entry.clone() }).collect();
        written.push(entry);
        written.extend(more);
    }
    written
}

/// A record as it is read.
fn read(mut record: Record) -> Record {
    match &mut record.entry.event {
        Event::CreateIntended { expires_at, .. } if planted(Mutant::SettleAtOnce) => {
            *expires_at = Timestamp::UNIX_EPOCH;
        }
        Event::RosterInstalled { signed, .. }
            if planted(Mutant::RevokedCounts) || planted(Mutant::CountVotes) =>
        {
            *signed = without_revocations(signed);
        }
        event @ Event::DenialRecorded { .. } if planted(Mutant::DenialIgnored) => {
            *event = Event::ApprovalRefused { code: "overlooked".into(), why: "".into() };
        }
        _ => {}
    }
    record
}

#[async_trait]
impl Ledger for MutantLedger {
    fn plans(&self) -> &Plans {
        self.inner.plans()
    }

    async fn commit(&self, change: Change) -> Result<ChangeOutcome, LedgerError> {
        let change = match change {
            Change::Append { condition, entries } => {
                let records = self.append_with_mistakes(condition, entries).await?;
                return Ok(ChangeOutcome::Records(records));
            }
            Change::Renew(lease) => Change::Renew(self.held(&lease)),
            Change::Release(lease) => Change::Release(self.held(&lease)),
            acquire @ Change::Acquire { .. } => acquire,
        };
        Ok(match self.inner.commit(change).await? {
            ChangeOutcome::Lease(lease) => ChangeOutcome::Lease(self.shown(lease)),
            other => other,
        })
    }

    async fn page(&self, filter: Filter, after: u64, most: usize) -> Result<Vec<Record>, LedgerError> {
        let no_sums = planted(Mutant::NoDailySum) || planted(Mutant::FreeExtensions);
        if no_sums && matches!(filter, Filter::Requests(_)) {
            return Ok(Vec::new());
        }
        let mut records = self.inner.page(filter, after, most).await?;
        records.retain(|record| {
            !(self.hides_rosters && matches!(record.entry.event, Event::RosterInstalled { .. }))
        });
        Ok(records.into_iter().map(read).collect())
    }

    async fn head(&self) -> Result<Head, LedgerError> {
        self.inner.head().await
    }

    async fn audit(&self, anchor: Option<Head>) -> Result<Audit, LedgerError> {
        self.inner.audit(anchor).await
    }

    async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.inner.environments(which).await
    }

    async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        match which {
            Operations::Open(_) if planted(Mutant::ExpireAgain) => Ok(Vec::new()),
            Operations::Waiting(_) if planted(Mutant::NewsOnly) => Ok(Vec::new()),
            which => self.inner.operations(which).await,
        }
    }

    async fn ready_times(&self, zone: Zone) -> Result<Vec<ReadyTime>, LedgerError> {
        self.inner.ready_times(zone).await
    }

    async fn holdings(&self, ids: Vec<String>, marks: Vec<String>) -> Result<Holdings, LedgerError> {
        self.inner.holdings(ids, marks).await
    }
}
