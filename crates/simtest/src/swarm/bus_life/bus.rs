//! A bus in memory, outside the scope of crashes: it carries requests, replies
//! and events, and loses, repeats, delays and forgets them as the schedule
//! says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use exokit_service::bus::{Bus, BusError, Kept, Publication};
use exokit_wire::event::EventMessage;
use exokit_wire::verb::Verb;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::super::schedule::{Mood, Trouble};
use super::super::witness::Witness;

/// So many messages, the newest, can be read of the stream: who reads seldom
/// misses some, as of one with a limit. What it took is kept for the judge.
const RETAINED: usize = 20;

/// Where the reply to one request goes. The requester may have gone.
pub(super) type Inbox = UnboundedSender<Value>;

/// A request as it reaches the agent.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) verb: Verb,
    pub(super) bytes: Vec<u8>,
    pub(super) inbox: Inbox,
}

/// The bus.
pub(super) struct SimBus {
    state: Mutex<State>,
    witness: Arc<Witness>,
    start: Instant,
    troubles: Vec<Trouble>,
    /// Whether it confirms what it loses, which no bus may do.
    lies: bool,
}

#[derive(Default)]
struct State {
    door: Option<UnboundedSender<Delivery>>,
    requests: u32,
    /// The last request that was delivered.
    delivered: u32,
    replies: u32,
    confirms: u32,
    /// How often the server was restarted.
    server: u32,
    /// Handed over and not confirmed.
    taken: Vec<Publication>,
    /// Where the stream keeps what has arrived of that, and whether it is new.
    kept: Vec<(u64, bool)>,
    went_back: bool,
    /// Whether some of that was lost with the connection.
    broken: bool,
    stream: Vec<EventMessage>,
    known: BTreeSet<String>,
    arrived: Vec<EventMessage>,
    /// Most requests that one process answered at once.
    crowd: usize,
    /// What each request was answered, whoever heard of it.
    answers: BTreeMap<Vec<u8>, Vec<Value>>,
    /// The ledger's length when the bus went away.
    away_since: BTreeMap<u32, usize>,
}

fn gone() -> BusError {
    BusError { why: "it is not there".to_owned() }
}

impl SimBus {
    pub(super) fn new(troubles: Vec<Trouble>, witness: Arc<Witness>, lies: bool) -> Self {
        Self { state: Mutex::default(), witness, start: Instant::now(), troubles, lies }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds since the beginning.
    pub(super) fn seconds(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    /// Whether nobody reaches anybody.
    pub(super) fn is_away(&self) -> bool {
        let now = self.seconds();
        let within = |trouble: &Trouble| {
            matches!(trouble, Trouble::Away { at, seconds }
                if (u64::from(*at)..u64::from(at + seconds)).contains(&now))
        };
        self.troubles.iter().any(within)
    }

    /// From now on requests go to this process.
    pub(super) fn connect(&self, door: UnboundedSender<Delivery>) {
        self.lock().door = Some(door);
    }

    /// Sends a request. Whether it arrives is not told.
    pub(super) fn request(self: &Arc<Self>, verb: Verb, bytes: &[u8], inbox: &Inbox) {
        let number = {
            let mut state = self.lock();
            state.requests += 1;
            state.requests
        };
        let mood = self.troubles.iter().find_map(|trouble| match trouble {
            Trouble::Request { nth, mood } if *nth == number => Some(*mood),
            _ => None,
        });
        let delivery = Delivery { verb, bytes: bytes.to_vec(), inbox: inbox.clone() };
        // Two messages of one moment do not arrive at one moment.
        let usual = Duration::from_millis(1 + u64::from(number) * 7 % 13);
        match (self.is_away(), mood) {
            (true, _) => self.witness.note("bus away: request lost"),
            (false, Some(Mood::Lost)) => self.witness.note("request lost on the bus"),
            (false, Some(Mood::Late { ms })) => self.carry(number, delivery, Duration::from_millis(ms)),
            (false, Some(Mood::Twice { ms })) => {
                self.witness.note("request delivered twice");
                self.carry(number, delivery.clone(), usual);
                self.carry(number, delivery, Duration::from_millis(ms));
            }
            (false, None) => self.carry(number, delivery, usual),
        }
    }

    fn carry(self: &Arc<Self>, number: u32, delivery: Delivery, wait: Duration) {
        let (bus, server) = (Arc::clone(self), self.lock().server);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            bus.deliver(number, server, delivery);
        });
    }

    fn deliver(&self, number: u32, server: u32, delivery: Delivery) {
        let mut state = self.lock();
        if state.server != server {
            self.witness.note("server restarted: message lost");
            return;
        }
        if number < state.delivered {
            self.witness.note("request overtaken by a later one");
        }
        state.delivered = state.delivered.max(number);
        // Nobody may be there: then nobody takes it.
        state.door = state.door.take().filter(|door| door.send(delivery).is_ok());
    }

    /// Sends a reply.
    pub(super) fn reply(self: &Arc<Self>, inbox: Inbox, reply: Value) {
        let (number, server) = {
            let mut state = self.lock();
            state.replies += 1;
            (state.replies, state.server)
        };
        let is_lost = |trouble: &Trouble| matches!(trouble, Trouble::Reply { nth } if *nth == number);
        match (self.is_away(), self.troubles.iter().any(is_lost)) {
            (true, _) => self.witness.note("bus away: reply lost"),
            (false, true) => self.witness.note("reply lost on the bus"),
            (false, false) => {
                let bus = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(1 + u64::from(number) * 5 % 11)).await;
                    // A requester that has its answer takes no other.
                    match bus.lock().server == server {
                        true => drop(inbox.send(reply)),
                        false => bus.witness.note("server restarted: message lost"),
                    }
                });
            }
        }
    }

    /// The server starts again: what was on its way is lost, the stream is kept.
    pub(super) fn restart(&self) {
        let mut state = self.lock();
        state.server += 1;
        self.witness.note("server restarted");
        self.lose(&mut state, 0);
    }

    /// The server starts again on an earlier store: the stream goes back to its
    /// first `keep` messages.
    pub(super) fn roll_back(&self, keep: usize) {
        let mut state = self.lock();
        if keep < state.stream.len() {
            self.witness.note("stream rolled back");
            state.server += 1;
            self.lose(&mut state, 0);
            state.stream.truncate(keep);
            state.known.clear();
            state.went_back = true;
        }
    }

    /// Whether the stream has lost something.
    pub(super) fn went_back(&self) -> bool {
        self.lock().went_back
    }

    /// Whether the stream has every record up to this one.
    pub(super) fn is_whole(&self, head: u64) -> bool {
        let known: BTreeSet<u64> = self.lock().stream.iter().map(|event| event.seq).collect();
        known.into_iter().eq(1..=head)
    }

    /// Of what is not confirmed the first `keep` arrive, and the others do not.
    fn lose(&self, state: &mut State, keep: usize) {
        let taken = std::mem::take(&mut state.taken);
        if keep < taken.len() {
            self.witness.note("events lost before their confirmation");
            state.broken = true;
        }
        for publication in taken.into_iter().take(keep) {
            let kept = state.store(publication);
            state.kept.extend(kept);
        }
    }

    /// What the stream still holds after the first `after`, and how many it took.
    pub(super) fn read(&self, after: usize) -> (Vec<EventMessage>, usize) {
        let state = self.lock();
        let length = state.stream.len();
        let after = after.max(length.saturating_sub(RETAINED));
        (state.stream.get(after..).unwrap_or_default().to_vec(), length)
    }

    /// Everything that the stream took, but what it lost.
    pub(super) fn stream(&self) -> Vec<EventMessage> {
        self.lock().stream.clone()
    }

    /// Every event in the order in which it reached the server.
    pub(super) fn arrived(&self) -> Vec<EventMessage> {
        self.lock().arrived.clone()
    }

    /// A request was answered, and nobody may hear of it.
    pub(super) fn note_answer(&self, request: &[u8], answer: &Value) {
        self.lock().answers.entry(request.to_vec()).or_default().push(answer.clone());
    }

    /// What each request was answered.
    pub(super) fn answers(&self) -> BTreeMap<Vec<u8>, Vec<Value>> {
        self.lock().answers.clone()
    }

    /// So many requests are being answered.
    pub(super) fn note_crowd(&self, requests: usize) {
        let mut state = self.lock();
        state.crowd = state.crowd.max(requests);
    }

    /// Most requests that one process answered at once.
    pub(super) fn crowd(&self) -> usize {
        self.lock().crowd
    }

    /// Counts work that was recorded while the bus was away.
    pub(super) fn note_work(&self, records: usize) {
        let now = self.seconds();
        let away = |trouble: &Trouble| match trouble {
            Trouble::Away { at, seconds } if (u64::from(*at)..u64::from(at + seconds)).contains(&now) => {
                Some(*at)
            }
            _ => None,
        };
        let Some(at) = self.troubles.iter().find_map(away) else { return };
        let before = *self.lock().away_since.entry(at).or_insert(records);
        if before < records {
            self.lock().away_since.insert(at, usize::MAX);
            self.witness.note("work went on while the bus was away");
        }
    }
}

impl State {
    /// A stream takes each message id once. Where it keeps it, and whether that
    /// is new.
    fn store(&mut self, publication: Publication) -> Option<(u64, bool)> {
        let Publication { id, body, .. } = publication;
        // Announcements are for people, and no part of the records.
        let event = serde_json::from_slice::<EventMessage>(&body).ok()?;
        self.arrived.push(event.clone());
        let is_new = id.is_none_or(|id| self.known.insert(id));
        let at = match is_new {
            true => {
                self.stream.push(event);
                self.stream.len()
            }
            false => 1 + self.stream.iter().rposition(|known| known.seq == event.seq)?,
        };
        Some((at as u64, is_new))
    }

    /// What the stream says of everything since the last confirmation.
    fn kept(&mut self) -> Option<Kept> {
        let kept = std::mem::take(&mut self.kept);
        let first_new = kept.iter().filter(|(_, is_new)| *is_new).map(|(at, _)| *at).min();
        kept.iter().map(|(at, _)| *at).max().map(|highest| Kept { first_new, highest })
    }
}

#[async_trait]
impl Bus for SimBus {
    async fn publish(&self, publication: Publication) -> Result<(), BusError> {
        if self.is_away() {
            self.witness.note("bus away: event refused");
            return Err(gone());
        }
        self.lock().taken.push(publication);
        Ok(())
    }

    async fn confirm(&self) -> Result<Option<Kept>, BusError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let away = self.is_away();
        let mut state = self.lock();
        state.confirms += 1;
        let number = state.confirms;
        let lost = self.troubles.iter().find_map(|trouble| match trouble {
            Trouble::Confirm { nth, keep } if *nth == number => Some(*keep as usize),
            _ => None,
        });
        let keep = if away { Some(0) } else { lost };
        let all = state.taken.len();
        self.lose(&mut state, keep.unwrap_or(all));
        let kept = state.kept();
        match (std::mem::take(&mut state.broken), keep) {
            _ if self.lies => Ok(None),
            (false, None) => Ok(kept),
            _ => Err(gone()),
        }
    }

    fn connection(&self) -> u64 {
        let now = self.seconds();
        let lost = |trouble: &&Trouble| matches!(trouble, Trouble::Away { at, .. } if u64::from(*at) <= now);
        u64::from(self.lock().server) + self.troubles.iter().filter(lost).count() as u64
    }
}
