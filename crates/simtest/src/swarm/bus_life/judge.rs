//! What the judge of a life holds against a life over a bus besides: requests
//! had one effect however often they came, others' messages none, and the
//! subscriber knows what the ledger says.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64URL_NOPAD;
use exokit_model::event::{Event, Record};
use exokit_model::ids::OperationId;
use serde_json::Value;

use super::super::effect::State;
use super::BusLife;
use super::agent::REQUESTS_MAX;
use super::strangers::OTHER;

impl BusLife {
    /// Notes everything that is wrong.
    pub(super) fn judge(&self) {
        let records = self.simulation.borrow().records();
        let mut wrong = each_wish_has_one_plan(&records);
        wrong.extend(nothing_ran_twice(&records));
        wrong.extend(nothing_of_others(&records));
        wrong.extend(votes_held_at_the_start(&records));
        wrong.extend(nothing_began_after_a_denial(&records));
        wrong.extend(self.not_too_much_at_once());
        wrong.extend(self.one_answer_to_one_key());
        wrong.extend(self.events_arrived(&records));
        wrong.extend(self.stream_is_the_ledger(&records));
        wrong.extend(self.view_is_the_ledger(&records));
        if self.over.get() && wrong.is_empty() {
            wrong.extend(self.nothing_is_left());
        }
        (0..self.broke_off()).for_each(|_| {
            self.witness.note_in("task broke off, and it went on", State::Resting);
        });
        wrong.into_iter().for_each(|finding| self.wrong(finding));
    }

    /// Each record reached the server, and none before one that is older.
    fn events_arrived(&self, records: &[Record]) -> Option<String> {
        if !self.over.get() {
            return None;
        }
        let mut next = 1;
        for event in self.bus.arrived() {
            match event.seq {
                seq if seq == next => next += 1,
                seq if seq < next => {}
                seq => return Some(format!("F14 the event {seq} came before the event {next}")),
            }
        }
        let all = records.len() as u64;
        (next != all + 1).then(|| format!("F14 of {all} events {} arrived", next - 1))
    }

    /// However often an event was published, the stream took it once: by its
    /// message id, which it remembers unless it went back. Then it has every
    /// event again, and some of them twice.
    fn stream_is_the_ledger(&self, records: &[Record]) -> Option<String> {
        let stream = self.bus.stream();
        let same = match self.bus.went_back() {
            true => self.bus.is_whole(records.len() as u64),
            false => stream.iter().map(|event| event.seq).eq(records.iter().map(|record| record.seq)),
        };
        (self.over.get() && !same)
            .then(|| format!("F14 the stream has {} events of {} records", stream.len(), records.len()))
    }

    /// A request with a key that led to an operation is answered by that one
    /// each time, also where the first answer was quicker and nobody listens.
    fn one_answer_to_one_key(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (request, answers) in self.bus.answers() {
            let request: Value = serde_json::from_slice(&request).unwrap_or_default();
            let key = &request["idempotency_key"];
            let led_to: BTreeSet<String> =
                answers.iter().map(|answer| answer["result"]["operation"].to_string()).collect();
            let led_to = led_to.iter().filter(|operation| *operation != "null").count();
            let passes = |error: &Value| matches!(error["status"].as_u64(), None | Some(429 | 500..));
            let refused = answers.iter().map(|answer| &answer["error"]).find(|error| !passes(error));
            match (key.is_null(), led_to, refused) {
                (true, ..) | (false, 0, _) | (false, 1, None) => {}
                (false, _, refused) => {
                    wrong.push(format!("I11 {key} led to {led_to} operations, and was refused: {refused:?}"));
                }
            }
        }
        wrong
    }

    fn not_too_much_at_once(&self) -> Option<String> {
        let most = self.bus.crowd();
        (most > REQUESTS_MAX)
            .then(|| format!("I24 {most} requests were answered at once, {REQUESTS_MAX} are taken on"))
    }

    fn view_is_the_ledger(&self, records: &[Record]) -> Option<String> {
        let view = self.view.borrow();
        let differs = records.iter().find(|record| view.get(&record.seq) != Some(&record.hash))?;
        self.over.get().then(|| format!("F14 the subscriber does not know the record {}", differs.seq))
    }

    fn nothing_is_left(&self) -> Vec<String> {
        let left = crate::oracle::leftovers(&self.simulation.borrow().rig);
        left.into_iter().map(|line| format!("I2 left: {line}")).collect()
    }
}

/// Each wish has a name and a key of its own, so it leads to one plan: one to
/// make an environment, one to remove it.
fn each_wish_has_one_plan(records: &[Record]) -> Vec<String> {
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for plan in crate::oracle::plans(records).values() {
        if plan.action != exokit_model::plan::Action::Extend {
            *count.entry(format!("{} {}", plan.action, plan.environment)).or_default() += 1;
        }
    }
    let twice = count.into_iter().filter(|(_, count)| *count != 1);
    twice.map(|(what, count)| format!("I12 {count} plans to {what}")).collect()
}

fn nothing_ran_twice(records: &[Record]) -> Vec<String> {
    let mut count: BTreeMap<String, u32> = BTreeMap::new();
    for record in records {
        if let (Some(operation), Event::OperationStarted { .. } | Event::OperationSucceeded { .. }) =
            (&record.entry.operation, &record.entry.event)
        {
            *count.entry(format!("{} of {operation}", record.entry.event.name())).or_default() += 1;
        }
    }
    let twice = count.into_iter().filter(|(_, count)| *count > 1);
    twice.map(|(what, count)| format!("I12 {what} is recorded {count} times")).collect()
}

fn nothing_of_others(records: &[Record]) -> Option<String> {
    let others = ["othes", OTHER];
    let found = records.iter().find(|record| {
        record.entry.environment.as_ref().is_some_and(|name| others.contains(&name.as_str()))
    })?;
    Some(format!("I14 what others sent had an effect: record {}", found.seq))
}

/// The claims of a signed text, by a reading of its own.
fn claims_of(signed: &str) -> Value {
    let claims = signed.split('.').nth(1).and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
    claims.and_then(|claims| serde_json::from_slice(&claims).ok()).unwrap_or_default()
}

/// An operation begins with as many votes as its level demands whose keys
/// nobody has revoked by then. What came in the same moment may not have been
/// seen.
fn votes_held_at_the_start(records: &[Record]) -> Vec<String> {
    let plans = crate::oracle::plans(records);
    let mut votes: BTreeMap<&OperationId, Vec<Value>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let Some(operation) = &record.entry.operation else { continue };
        match &record.entry.event {
            Event::ApprovalRecorded { token, .. } => {
                votes.entry(operation).or_default().push(claims_of(token)["key_id"].clone());
            }
            Event::OperationStarted { .. } => {
                let revoked = revoked_before(&records[..at], record);
                let keys = votes.get(operation).into_iter().flatten();
                let held = keys.filter(|key| !revoked.contains(key)).count();
                let need = plans.get(operation).map_or(0, |plan| plan.level.persons());
                if held < need {
                    wrong.push(format!("I14 {operation} began with {held} of {need} votes that hold"));
                }
            }
            _ => {}
        }
    }
    wrong
}

/// The keys that the roster in force before a record has revoked.
fn revoked_before(before: &[Record], record: &Record) -> Vec<Value> {
    let roster = before.iter().rev().find_map(|earlier| match &earlier.entry.event {
        Event::RosterInstalled { signed, .. } if earlier.entry.at < record.entry.at => {
            Some(claims_of(signed))
        }
        _ => None,
    });
    let persons = roster.as_ref().and_then(|roster| roster["persons"].as_array());
    let keys = persons.into_iter().flatten().filter_map(|person| person["keys"].as_array()).flatten();
    keys.filter(|key| !key["revoked_at"].is_null()).map(|key| key["id"].clone()).collect()
}

fn nothing_began_after_a_denial(records: &[Record]) -> Vec<String> {
    let mut denied: BTreeSet<&OperationId> = BTreeSet::new();
    let mut wrong = Vec::new();
    for record in records {
        let Some(operation) = &record.entry.operation else { continue };
        match &record.entry.event {
            Event::DenialRecorded { .. } => drop(denied.insert(operation)),
            Event::OperationStarted { .. } if denied.contains(operation) => {
                wrong.push(format!("I15 {operation} began after it was denied"));
            }
            _ => {}
        }
    }
    wrong
}
