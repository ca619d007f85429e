//! What the judge of a life holds against a life over a bus besides: requests
//! had one effect however often they came, others' messages none, and the
//! subscriber knows what the ledger says.

use std::collections::BTreeMap;

use exokit_model::event::{Event, Record};

use super::super::effect::State;
use super::Talk;
use super::strangers::OTHER;

impl Talk {
    /// Notes everything that is wrong.
    pub(super) fn judge(&self) {
        let records = self.play.borrow().records();
        let mut wrong = each_wish_has_one_plan(&records);
        wrong.extend(nothing_ran_twice(&records));
        wrong.extend(nothing_of_others(&records));
        wrong.extend(self.events_arrived(&records));
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

    fn view_is_the_ledger(&self, records: &[Record]) -> Option<String> {
        let view = self.view.borrow();
        let differs = records.iter().find(|record| view.get(&record.seq) != Some(&record.hash))?;
        self.over.get().then(|| format!("F14 the subscriber does not know the record {}", differs.seq))
    }

    fn nothing_is_left(&self) -> Vec<String> {
        let left = crate::oracle::leftovers(&self.play.borrow().rig);
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
