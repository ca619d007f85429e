//! What stands outside all engines and survives their crashes: the log of
//! what was acknowledged and sent, the orders for the disk, and the table of
//! effects.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use exokit_ledger::{IllegalRecord, Lease};
use exokit_model::canonical::Digest;
use exokit_model::event::Record;
use exokit_model::ids::OperationId;
use exokit_sim::{JournalEntry, SharedWorld, World};
use jiff::SignedDuration;

use super::effect::{Coverage, State};
use super::operation_tracker::OperationTracker;
use super::schedule::{DiskFailure, Schedule, What};
use crate::oracle;

/// A record whose writer was told that it is durable.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    /// Its place.
    pub(super) seq: u64,
    /// Its hash.
    pub(super) hash: Digest,
    /// How long the lease of its operation lasted at that moment, in
    /// milliseconds of the host's clock; none for records under no lease.
    pub(super) lease_until_ms: Option<i64>,
}

/// A request that left an engine.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// True time, in milliseconds.
    pub(super) at_ms: i64,
    /// Digest of method, path and body, as intents name it.
    pub(super) digest: Digest,
    /// How many records were acknowledged then.
    pub(super) acknowledged: usize,
}

/// Shared by the engines of one run, and by the judge.
#[derive(Debug)]
pub(super) struct Witness {
    inner: Mutex<Inner>,
}

/// What the witness holds.
#[derive(Debug, Default)]
pub(super) struct Inner {
    /// Effects seen.
    pub(super) coverage: Coverage,
    /// Where the current operation stands.
    pub(super) tracker: OperationTracker,
    /// Everything acknowledged, in order.
    pub(super) acknowledged: Vec<Acknowledged>,
    /// Every change that was sent, in order.
    pub(super) sent: Vec<Sent>,
    /// True times of all calls, in milliseconds, by process.
    pub(super) calls: BTreeMap<u64, Vec<i64>>,
    /// Whether the clock of the host is wrong.
    pub(super) clock_wrong: bool,
    /// Whether a process is stopped, or was a moment ago.
    pub(super) zombie: bool,
    /// Whether a process can write no more and waits to be started again.
    pub(super) stopped: bool,
    /// Records that the ledger refused because they cannot follow.
    pub(super) illegal_records: Vec<String>,
    /// Secrets that the cloud told, of resources that are gone as well.
    pub(super) secrets: BTreeSet<String>,
    leases: BTreeMap<(OperationId, u64), i64>,
    world_effects: BTreeMap<String, u64>,
    journal_seen: usize,
    writes: u32,
    orders: VecDeque<(u32, DiskFailure)>,
    full_until: u32,
    /// Faults of the disk are over.
    healed: bool,
}

impl Inner {
    /// Counts changes that the cloud refused because their signatures had
    /// expired on arrival.
    fn note_expired(&mut self, journal: &[Arc<JournalEntry>]) {
        let expired = |entry: &&Arc<JournalEntry>| {
            entry.status == 403 && entry.request_expires_ms.is_some_and(|expires| expires < entry.at_ms)
        };
        let count = journal[self.journal_seen..].iter().filter(expired).count();
        self.journal_seen = journal.len();
        let effect = match (self.clock_wrong, self.zombie) {
            (true, _) => "change refused for a wrong clock",
            (false, true) => "zombie's request refused by its expiry",
            (false, false) => return,
        };
        let state = self.tracker.state();
        (0..count).for_each(|_| self.coverage.note(effect, state));
    }
}

impl Witness {
    /// A witness with the orders of a schedule.
    #[must_use]
    pub(super) fn new(schedule: &Schedule) -> Self {
        let mut orders: Vec<(u32, DiskFailure)> = schedule
            .items
            .iter()
            .filter_map(|item| match &item.what {
                What::Disk { write, failure } => Some((*write, *failure)),
                _ => None,
            })
            .collect();
        orders.sort_by_key(|(write, _)| *write);
        Self { inner: Mutex::new(Inner { orders: orders.into(), ..Inner::default() }) }
    }

    /// The content. It is plain data, valid whoever held it last.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an effect in the present state.
    pub(super) fn note(&self, effect: &str) {
        let mut inner = self.lock();
        let state = inner.tracker.state();
        inner.coverage.note(effect, state);
    }

    /// Counts an effect in a state that the caller knows better.
    pub(super) fn note_in(&self, effect: &str, state: State) {
        self.lock().coverage.note(effect, state);
    }

    /// Counts what the cloud did since the last look.
    pub(super) fn note_cloud(&self, world: &SharedWorld) {
        let look = |world: &World| {
            let mut inner = self.lock();
            let state = inner.tracker.state();
            for (name, count) in world.effects() {
                let before = inner.world_effects.get(name).copied().unwrap_or_default();
                if *count > before {
                    if let Some(effect) = translated(name) {
                        inner.coverage.note(effect, state);
                    }
                    inner.world_effects.insert(name.clone(), *count);
                }
            }
            inner.note_expired(world.journal());
        };
        if let Err(error) = world.peek(look) {
            panic!("the simulated cloud is in memory: {error}");
        }
    }

    /// The order for the next write.
    pub(super) fn next_write(&self) -> Option<DiskFailure> {
        let mut inner = self.lock();
        inner.writes += 1;
        let now = inner.writes;
        if inner.healed {
            return None;
        }
        if now < inner.full_until {
            return Some(DiskFailure::Full { writes: 0 });
        }
        let due = inner.orders.front().is_some_and(|(write, _)| *write <= now);
        let order = if due { inner.orders.pop_front() } else { None };
        if let Some((_, DiskFailure::Full { writes })) = order {
            inner.full_until = now + writes;
        }
        order.map(|(_, failure)| failure)
    }

    /// No more faults of the disk.
    pub(super) fn heal(&self) {
        self.lock().healed = true;
    }

    /// A writer was told that these are durable.
    pub(super) fn acknowledge(&self, records: &[Record]) {
        let mut inner = self.lock();
        for record in records {
            let lease = record.entry.operation.clone().map(|operation| (operation, record.entry.epoch));
            let lease_until_ms = lease.and_then(|lease| inner.leases.get(&lease).copied());
            inner.acknowledged.push(Acknowledged { seq: record.seq, hash: record.hash, lease_until_ms });
            inner.tracker.take(record);
        }
    }

    /// The newest epoch of an operation's lease.
    pub(super) fn newest_epoch(&self, operation: &OperationId) -> Option<u64> {
        let inner = self.lock();
        let epochs = inner.leases.range((operation.clone(), 0)..=(operation.clone(), u64::MAX));
        epochs.map(|((_, epoch), _)| *epoch).next_back()
    }

    /// A lease was acquired or renewed by a process on a host whose clock is
    /// so far ahead of the store's.
    pub(super) fn leased(&self, lease: &Lease, ahead: SignedDuration) {
        let until = lease.until.saturating_add(ahead).map_or(i64::MAX, |until| until.as_millisecond());
        self.lock().leases.insert((lease.operation.clone(), lease.epoch), until);
    }

    /// An engine wanted to write what cannot follow: a condition was missing.
    pub(super) fn illegal(&self, illegal: &IllegalRecord) {
        self.lock().illegal_records.push(illegal.to_string());
    }
}

/// The digest of a request to the API or to a cluster, as it was sent.
#[must_use]
pub(super) fn request_digest(method: &str, path: &str, body: &[u8]) -> Digest {
    oracle::request_digest(method, path, body)
}

/// The same for a request as it arrived.
#[must_use]
pub(super) fn arrived_digest(entry: &JournalEntry) -> Digest {
    request_digest(&entry.method, &entry.path, entry.body.as_bytes())
}

/// The row of the table for an effect of the simulated cloud.
fn translated(name: &str) -> Option<&'static str> {
    Some(match name {
        "drop-before" => "no reply, not done",
        "drop-after" => "no reply, done",
        "garbage" => "garbled reply, done",
        "garbage: read" => "garbled read",
        "strange" => "unknown field and state",
        "status after effect" => "5xx, done",
        "status 400" | "status 402" | "status 412" | "status 422" => "refused: 400",
        "status 404" => "refused: 404",
        "status 409" => "refused: 409",
        "status 429" => "refused: 429",
        "status 401" | "status 403" => "credentials refused",
        "status 500" | "status 502" | "status 503" | "status 504" => "5xx, not done",
        "late: executed" => "late request executed",
        "late: refused by expiry" => "late request refused by its expiry",
        "slow" => "slow operation",
        "operation-fails" => "failed operation",
        "operation-stuck" => "stuck operation",
        "list-lag: existing missed" => "list misses what exists",
        "list-lag: deleted shown" => "list shows what is gone",
        "quota" => "quota lowered",
        _ => return None,
    })
}
