//! Generates ledgers of any length. The engine makes and removes one environment;
//! the generator repeats its records under other names, so that the content is
//! that of a real ledger.

use std::collections::BTreeMap;

use exokit_engine::error::EngineError;
use exokit_model::canonical::Digest;
use exokit_model::event::{Entry, Event, Record};
use exokit_model::ids::base32_lower;
use exokit_model::needs_human::NeedsHuman;
use exokit_model::plan::Plan;
use jiff::SignedDuration;

use crate::rig::{Rig, person, request};

/// Seconds between the beginnings of two lives.
const APART: i64 = 5;

/// How long each environment may live.
const TTL_SECONDS: u64 = 30 * 86_400;

/// How much of a life is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Its resources are being made.
    Making,
    /// It waits for a human, soon after its start.
    Parked,
    /// It is ready.
    Ready,
    /// It is gone.
    Gone,
}

/// The life of an environment of one template, from plan to certificate.
pub struct LedgerGenerator {
    entries: Vec<Told>,
    /// How many of them make up the provision.
    provision: usize,
    slots: Vec<Slot>,
}

/// One entry, to be told again.
struct Told {
    first: Entry,
    /// The plan or, for all other events, the entry, as JSON.
    pieces: Vec<Piece>,
}

/// A part of a text.
enum Piece {
    Same(String),
    /// The value of the slot with this number.
    Slot(usize),
}

/// A name that is another one in each life.
struct Slot {
    first: String,
    sort: Sort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// The name of the environment.
    Environment,
    /// Sixteen characters of base32: a plan and its operation, or a token.
    Random,
    /// The first ten characters of the token in another slot.
    Short(usize),
    /// The id of a resource.
    Id,
    /// The digest of the plan that is told by this entry.
    Digest(usize),
}

impl LedgerGenerator {
    /// Lets the engine make and remove an environment of a template.
    ///
    /// # Errors
    /// What the engine says.
    ///
    /// # Panics
    /// When an entry has no JSON form, which cannot happen.
    pub async fn of(template: u16) -> Result<Self, EngineError> {
        let rig = Rig::new(exokit_sim::Config::default());
        rig.install_roster().await;
        let before = rig.ledger.durable().len();
        let engine = rig.engine();
        let mut asked = request(template);
        asked.spec.ttl_seconds = Some(TTL_SECONDS);
        let plan = engine.plan_provision(asked, None).await?;
        let name = plan.environment.clone();
        let state = engine.propose(&plan, None).await?;
        rig.approve(&state).await;
        engine.run(&state.operation).await?;
        let provision: Vec<Record> = own(&rig, before);
        let plan = engine.plan_teardown(&name, &person("dana"), None).await?;
        let state = engine.propose(&plan, None).await?;
        rig.approve(&state).await;
        engine.run(&state.operation).await?;
        let records = own(&rig, before);
        let slots = slots(&records);
        let told = |record: &Record| Told {
            pieces: pieces(&text(&record.entry), &slots),
            first: record.entry.clone(),
        };
        Ok(Self { entries: records.iter().map(told).collect(), provision: provision.len(), slots })
    }

    /// How many entries a life has.
    #[must_use]
    pub fn length(&self, until: Until) -> usize {
        match until {
            Until::Parked => self.started() + 2,
            Until::Making => self.provision * 2 / 3,
            Until::Ready => self.provision,
            Until::Gone => self.entries.len(),
        }
    }

    /// The life with a number, other than all with other numbers.
    ///
    /// # Panics
    /// When an entry cannot be read in its other words, which is a mistake
    /// here.
    #[must_use]
    pub fn life(&self, number: u64, until: Until) -> Vec<Entry> {
        let mut values = self.values(number);
        // The last entry of one that is parked is none of the mould's.
        let count = self.length(until) - usize::from(until == Until::Parked);
        let later = SignedDuration::from_secs(APART) * i32::try_from(number).unwrap_or(i32::MAX);
        let mut entries = Vec::with_capacity(self.length(until));
        for (place, told) in self.entries.iter().take(count).enumerate() {
            let text = told.text(&values);
            let mut entry = match &told.first.event {
                Event::PlanProposed { .. } => {
                    let digest = Plan::digest_of(text.as_bytes());
                    let slot = self.slots.iter().position(|slot| slot.sort == Sort::Digest(place));
                    values[slot.unwrap_or(usize::MAX)] = digest.to_string();
                    let seal = Some(crate::rig::keyring().seal_plan(&digest));
                    let event = Event::PlanProposed { digest, plan: text, request: None, seal };
                    Entry { event, ..self.about(&told.first, &values) }
                }
                _ => match serde_json::from_str(&text) {
                    Ok(entry) => entry,
                    Err(error) => panic!("telling an entry again: {error}"),
                },
            };
            entry.at += later;
            entries.push(entry);
        }
        if until == Until::Parked
            && let Some(last) = entries.last().cloned()
        {
            let why = NeedsHuman::Unobservable { what: "the list of clusters cannot be read".into() };
            let event = Event::OperationParked { why, owner: "dana".into() };
            entries.push(Entry { event, ..last });
        }
        entries
    }

    /// Where the operation begins.
    fn started(&self) -> usize {
        let started = |told: &Told| matches!(told.first.event, Event::OperationStarted { .. });
        self.entries.iter().position(started).unwrap_or_default()
    }

    /// An entry about the same things under their other names.
    fn about(&self, first: &Entry, values: &[String]) -> Entry {
        let bare = Entry { event: Event::OperationRolledBack, ..first.clone() };
        match serde_json::from_str(&told(&pieces(&text(&bare), &self.slots), values)) {
            Ok(entry) => entry,
            Err(error) => panic!("telling an entry again: {error}"),
        }
    }

    fn values(&self, number: u64) -> Vec<String> {
        let mut values: Vec<String> = Vec::with_capacity(self.slots.len());
        for (place, slot) in self.slots.iter().enumerate() {
            let random = Digest::of("exokit-mould", format!("{number} {place}").as_bytes());
            values.push(match slot.sort {
                Sort::Environment => format!("stargate-{number:08}"),
                Sort::Random => base32_lower(&random.0[..10]),
                Sort::Short(of) => values[of][..10].to_owned(),
                Sort::Id => uuid(&random.to_string()),
                Sort::Digest(_) => slot.first.clone(),
            });
        }
        values
    }
}

impl Told {
    fn text(&self, values: &[String]) -> String {
        told(&self.pieces, values)
    }
}

/// Everything that the ledger holds about the environment.
fn own(rig: &Rig, before: usize) -> Vec<Record> {
    let records = rig.ledger.durable().split_off(before);
    records.into_iter().filter(|record| record.entry.operation.is_some()).collect()
}

/// The part of an entry that is told again: the plan, or all of it.
fn text(entry: &Entry) -> String {
    match (&entry.event, serde_json::to_string(entry)) {
        (Event::PlanProposed { plan, .. }, _) => plan.clone(),
        (_, Ok(text)) => text,
        (_, Err(error)) => panic!("writing an entry: {error}"),
    }
}

/// The names in a life. A token comes before its short form, so that the
/// longer one is found first.
fn slots(records: &[Record]) -> Vec<Slot> {
    let mut slots: Vec<Slot> = Vec::new();
    let mut add = |first: &str, sort: Sort| {
        slots.iter().position(|slot| slot.first == first).unwrap_or_else(|| {
            slots.push(Slot { first: first.to_owned(), sort });
            slots.len() - 1
        })
    };
    for (place, record) in records.iter().enumerate() {
        if let Event::PlanProposed { digest, plan: bytes, .. } = &record.entry.event
            && let Ok(plan) = Plan::from_bytes(bytes.as_bytes())
        {
            add(&digest.to_string(), Sort::Digest(place));
            add(plan.environment.as_str(), Sort::Environment);
            add(plan.plan_id.as_str().trim_start_matches("plan_"), Sort::Random);
            for token in plan.graph.nodes().iter().filter_map(|node| node.token.as_ref()) {
                let long = add(token.as_str(), Sort::Random);
                add(token.short(), Sort::Short(long));
            }
        }
    }
    let names: Vec<String> = slots.iter().map(|slot| slot.first.clone()).collect();
    let ids = records.iter().filter_map(|record| match &record.entry.event {
        Event::ResourceReady { id, .. } => Some(id.to_string()),
        _ => None,
    });
    // An id that is made of names becomes another one with them.
    for id in ids.filter(|id| !names.iter().any(|name| id.contains(name))) {
        if !slots.iter().any(|slot| slot.first == id) {
            slots.push(Slot { first: id, sort: Sort::Id });
        }
    }
    slots
}

/// A text, cut where the names stand.
fn pieces(text: &str, slots: &[Slot]) -> Vec<Piece> {
    let mut found: BTreeMap<usize, usize> = BTreeMap::new();
    for (number, slot) in slots.iter().enumerate() {
        for (at, _) in text.match_indices(&slot.first) {
            let taken = found.range(..=at).next_back();
            if taken.is_none_or(|(from, by)| from + slots[*by].first.len() <= at) {
                found.insert(at, number);
            }
        }
    }
    let mut pieces = Vec::new();
    let mut from = 0;
    for (at, number) in found {
        pieces.push(Piece::Same(text[from..at].to_owned()));
        pieces.push(Piece::Slot(number));
        from = at + slots[number].first.len();
    }
    pieces.push(Piece::Same(text[from..].to_owned()));
    pieces
}

fn told(pieces: &[Piece], values: &[String]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Same(text) => text.clone(),
        Piece::Slot(number) => values[*number].clone(),
    };
    pieces.iter().map(text).collect()
}

/// A UUID from hexadecimal digits.
fn uuid(digits: &str) -> String {
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..32]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use exokit_ledger::Registry;

    #[tokio::test(start_paused = true)]
    async fn lives_are_told_under_names_of_their_own() {
        let ledger_generator = LedgerGenerator::of(3).await.unwrap();
        let mut records: Vec<Record> = Vec::new();
        let cases = [Until::Gone, Until::Ready, Until::Parked, Until::Making];
        for (number, until) in (0..).zip(cases) {
            for entry in ledger_generator.life(number, until) {
                let prev = records.last().map_or(Digest([0; 32]), |last| last.hash);
                records.push(Record::chain(prev, records.len() as u64 + 1, entry).unwrap());
            }
        }
        let registry = Registry::fold(&records).unwrap();
        let phases: Vec<&str> = registry.environments().values().map(|view| view.phase.as_str()).collect();
        assert_eq!(phases, ["gone", "ready", "needs-human", "provisioning"]);
        assert_eq!(registry.operations().len(), 5);
        let whole =
            records.iter().take(ledger_generator.length(Until::Gone)).map(|record| text(&record.entry));
        let first = whole.collect::<String>();
        for slot in &ledger_generator.slots {
            assert!(!first.contains(&slot.first), "{} stands there still", slot.first);
        }
    }
}
