//! The oracle's own reading of a removal that nobody voted on: the environment
//! was approved to be removed when it expires, and it had expired.

use std::collections::BTreeMap;

use exokit_model::event::{Event, Record};
use exokit_model::ids::OperationId;
use exokit_model::plan::{Action, Plan};
use exokit_model::spec::AtExpiry;
use jiff::{SignedDuration, Timestamp};

/// The plan whose approval covers a removal that starts with this record.
#[must_use]
pub(crate) fn consenting<'p>(
    before: &[Record],
    start: &Record,
    plans: &'p BTreeMap<OperationId, Plan>,
) -> Option<(&'p OperationId, &'p Plan)> {
    let removal = plans.get(start.entry.operation.as_ref()?)?;
    let started = |record: &&Record| matches!(record.entry.event, Event::OperationStarted { .. });
    let of_it = |record: &&Record| record.entry.environment.as_ref() == Some(&removal.environment);
    let made = before.iter().rev().filter(started).filter(of_it).find_map(|record| {
        let (id, plan) = plans.get_key_value(record.entry.operation.as_ref()?)?;
        (plan.action == Action::Provision).then_some((id, plan, record.entry.at))
    });
    let (id, plan, began) = made?;
    let spec = plan.spec.as_ref()?;
    let ends = spec.ttl_seconds.map(|ttl| later(began, ttl + extended(before, began, plan, plans)));
    let kept = spec.keep_alive_seconds.and_then(|wait| kept_until(before, id, plan, wait));
    let over = ends.into_iter().chain(kept).min().is_some_and(|end| end <= start.entry.at);
    let covers = removal.action == Action::Teardown
        && spec.at_expiry == AtExpiry::Remove
        && removal.level <= plan.level;
    (covers && over).then_some((id, plan))
}

fn later(at: Timestamp, seconds: u64) -> Timestamp {
    at + SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// What was added to a life that began then.
fn extended(records: &[Record], began: Timestamp, made: &Plan, plans: &BTreeMap<OperationId, Plan>) -> u64 {
    let added = |record: &Record| {
        let plan = plans.get(record.entry.operation.as_ref()?)?;
        let done = matches!(record.entry.event, Event::OperationSucceeded { .. });
        (done && plan.environment == made.environment && record.entry.at >= began)
            .then_some(plan.extend_seconds?)
    };
    records.iter().filter_map(added).sum()
}

fn kept_until(records: &[Record], id: &OperationId, made: &Plan, wait: u64) -> Option<Timestamp> {
    let sign = |record: &Record| match &record.entry.event {
        Event::OperationSucceeded { .. } if record.entry.operation.as_ref() == Some(id) => {
            Some(later(record.entry.at, wait))
        }
        Event::KeptAlive { until, .. } if record.entry.environment.as_ref() == Some(&made.environment) => {
            Some(*until)
        }
        _ => None,
    };
    records.iter().filter_map(sign).max()
}
