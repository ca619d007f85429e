//! The one step of the projection: an entry, taken into the few rows that it
//! is about. Where the rows are kept, in memory or in tables, is not known
//! here.

use exokit_model::canonical::Digest;
use exokit_model::event::{Entry, Event};
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::{EnvironmentName, OperationId, PersonId, RoleName, Zone};
use exokit_model::kind::Kind;
use exokit_model::plan::Action;
use exokit_model::ready_time::ReadyTime;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;

use super::environment::EnvironmentView;
use super::summary::OperationSummary;
use crate::plans::Plans;

/// Most that one plan adds to the sum of a day, so that no sum overflows and
/// what was added can be taken away again.
const HOURLY_MAX: Decimal = Decimal::from_parts(1_000_000_000, 0, 0, false, 0);

/// Which sum a plan is added to: day in UTC, then requester and team.
pub(crate) type RequestKey = (Date, (PersonId, Option<RoleName>));

/// Most times kept of one kind in one zone: enough to know the range, few
/// enough to follow a cloud that becomes slower or faster.
const READY_TIMES_MAX: usize = 32;

/// What took its time where.
pub(crate) type ReadyKey = (Zone, Kind);

/// Where the rows are kept.
pub(crate) trait Rows {
    /// Why a row cannot be read.
    type Error;

    /// Version of the newest roster; 0 without one.
    fn roster(&mut self) -> Result<u64, Self::Error>;
    /// One operation.
    fn operation(&mut self, id: &OperationId) -> Result<Option<OperationSummary>, Self::Error>;
    /// The operation of the plan with this digest.
    fn operation_of(&mut self, digest: &Digest) -> Result<Option<OperationId>, Self::Error>;
    /// One environment.
    fn environment(&mut self, name: &EnvironmentName) -> Result<Option<EnvironmentView>, Self::Error>;
    /// What was asked for under this key; zero when nothing was.
    fn requested(&mut self, key: &RequestKey) -> Result<Decimal, Self::Error>;
    /// How long the newest resources under this key took, the last one last.
    fn ready_times(&mut self, key: &ReadyKey) -> Result<Vec<ReadyTime>, Self::Error>;

    /// Sets the version of the newest roster.
    fn put_roster(&mut self, version: u64);
    /// Puts an operation in the place of the one with its id.
    fn put_operation(&mut self, operation: OperationSummary);
    /// Puts an environment in the place of the one with its name.
    fn put_environment(&mut self, environment: EnvironmentView);
    /// Sets what was asked for under this key.
    fn put_requested(&mut self, key: RequestKey, hourly: Decimal);
    /// Sets how long the newest resources under this key took.
    fn put_ready_times(&mut self, key: ReadyKey, times: Vec<ReadyTime>);
    /// Notes that a plan of this operation holds this owner token.
    fn put_mark(&mut self, token: &str, operation: &OperationId);
}

/// Why an entry was not taken in. No row was changed then.
#[derive(Debug)]
pub(crate) enum Fault<E> {
    /// It cannot follow what came before it.
    Misfit(String),
    /// A row cannot be read.
    Rows(E),
}

type Taken<R> = Result<(), Fault<<R as Rows>::Error>>;

/// Takes an entry in.
pub(crate) fn take<R: Rows>(rows: &mut R, plans: &Plans, entry: &Entry) -> Taken<R> {
    match &entry.event {
        Event::RosterInstalled { version, .. } => install(rows, *version),
        Event::PlanProposed { digest, plan, .. } => {
            let plan = read_plan(plans, entry, *digest, plan).map_err(Fault::Misfit)?;
            propose(rows, entry, &plan)
        }
        Event::AccountBound { .. }
        | Event::ApprovalRefused { .. }
        | Event::DriftObserved { .. }
        | Event::ExpiryNoticed { .. } => Ok(()),
        Event::KeptAlive { until, .. } => change(rows, entry, |view| view.keep(*until)),
        Event::ExpiryWarned { expires_at } => change(rows, entry, |view| view.warned_of = Some(*expires_at)),
        Event::ResourceReady { time: Some(time), .. } => {
            advance(rows, entry)?;
            remember(rows, time)
        }
        _ => advance(rows, entry),
    }
}

/// Keeps how long a resource took, in the place of the oldest one kept.
fn remember<R: Rows>(rows: &mut R, time: &ReadyTime) -> Taken<R> {
    let key = (time.zone.clone(), time.kind);
    let mut times = rows.ready_times(&key).map_err(Fault::Rows)?;
    times.push(time.clone());
    times.drain(..times.len().saturating_sub(READY_TIMES_MAX));
    rows.put_ready_times(key, times);
    Ok(())
}

/// The UTC day of a time.
pub(crate) fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

/// Reads the plan of a proposal and checks that it is what the entry says.
pub(super) fn read_plan(
    plans: &Plans,
    entry: &Entry,
    digest: Digest,
    text: &str,
) -> Result<FixedPlan, String> {
    let plan = plans.read(digest, text).map_err(|error| error.to_string())?;
    let operation = plan.plan_id.operation();
    match entry.operation.as_ref().is_some_and(|named| *named != operation)
        || entry.environment.as_ref().is_some_and(|named| *named != plan.environment)
    {
        true => Err("the plan is for another operation or environment".to_owned()),
        false => Ok(plan),
    }
}

fn install<R: Rows>(rows: &mut R, version: u64) -> Taken<R> {
    match version < rows.roster().map_err(Fault::Rows)? {
        true => Err(Fault::Misfit(format!("roster version {version} is older than the newest"))),
        false => {
            rows.put_roster(version);
            Ok(())
        }
    }
}

fn propose<R: Rows>(rows: &mut R, entry: &Entry, plan: &FixedPlan) -> Taken<R> {
    let operation = OperationSummary::new(plan, plan.digest(), entry);
    if rows.operation(&operation.operation).map_err(Fault::Rows)?.is_some() {
        return Err(Fault::Misfit(format!("{} was proposed before", plan.plan_id)));
    }
    let shown = rows.environment(&operation.environment).map_err(Fault::Rows)?;
    let view = match shown {
        Some(mut view) if operation.action != Action::Provision || !view.is_replaceable() => {
            view.operations.push(operation.operation.clone());
            view
        }
        shown => {
            let before = shown.map(|view| view.operations).unwrap_or_default();
            EnvironmentView::planned(&operation, before, entry.at)
        }
    };
    count(rows, &operation, true)?;
    for token in plan.graph.nodes().iter().filter_map(|node| node.token.as_ref()) {
        rows.put_mark(token.as_str(), &operation.operation);
    }
    rows.put_environment(view);
    rows.put_operation(operation);
    Ok(())
}

/// Changes the environment that an entry is about, unless nothing of it is left.
fn change<R: Rows>(rows: &mut R, entry: &Entry, change: impl FnOnce(&mut EnvironmentView)) -> Taken<R> {
    let Some(name) = &entry.environment else {
        return Err(Fault::Misfit(format!("{} is about no environment", entry.event.name())));
    };
    let view = rows.environment(name).map_err(Fault::Rows)?;
    if let Some(mut view) = view.filter(|view| !view.is_over()) {
        change(&mut view);
        rows.put_environment(view);
    }
    Ok(())
}

/// Events of an operation that was proposed before.
fn advance<R: Rows>(rows: &mut R, entry: &Entry) -> Taken<R> {
    let named = match &entry.event {
        Event::ApprovalRecorded { digest, .. }
        | Event::DenialRecorded { digest, .. }
        | Event::OperationStarted { digest } => rows.operation_of(digest).map_err(Fault::Rows)?,
        _ => entry.operation.clone(),
    };
    let id = named.ok_or_else(|| Fault::Misfit(format!("{} is about no plan", entry.event.name())))?;
    if entry.operation.as_ref().is_some_and(|other| *other != id) {
        return Err(Fault::Misfit("its digest belongs to another operation".to_owned()));
    }
    let operation = rows.operation(&id).map_err(Fault::Rows)?;
    let mut operation = operation.ok_or_else(|| Fault::Misfit(format!("{id} was never proposed")))?;
    operation.apply(entry).map_err(Fault::Misfit)?;
    let view = rows.environment(&operation.environment).map_err(Fault::Rows)?;
    if operation.is_rejected() && matches!(entry.event, Event::PlanRejected { .. }) {
        count(rows, &operation, false)?;
    }
    if let Some(mut view) = view {
        view.apply(&operation, entry);
        rows.put_environment(view);
    }
    operation.shrink();
    rows.put_operation(operation);
    Ok(())
}

/// Adds what a plan asks for to the sum of its day, or takes it away again.
fn count<R: Rows>(rows: &mut R, operation: &OperationSummary, add: bool) -> Taken<R> {
    let hourly = operation.hourly.clamp(Decimal::ZERO, HOURLY_MAX);
    let key = (day(operation.proposed_at), (operation.requester.clone(), operation.team.clone()));
    let sum = rows.requested(&key).map_err(Fault::Rows)?;
    rows.put_requested(key, if add { sum.saturating_add(hourly) } else { sum.saturating_sub(hourly) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::registry::Maps;

    #[test]
    fn the_newest_times_of_each_kind_and_zone_are_kept() {
        let mut maps = Maps::default();
        for number in 0..40 {
            for (zone, kind) in [("ch-gva-2", Kind::SksCluster), ("de-fra-1", Kind::DbaasPg)] {
                let zone = zone.parse().unwrap();
                remember(&mut maps, &ReadyTime { kind, zone, after_ms: number, by_ms: number + 1 }).unwrap();
            }
        }
        let Ok(times) = Rows::ready_times(&mut maps, &("ch-gva-2".parse().unwrap(), Kind::SksCluster));
        assert_eq!(times.len(), READY_TIMES_MAX);
        assert!(times.iter().all(|time| time.kind == Kind::SksCluster));
        assert_eq!((times[0].after_ms, times[31].after_ms), (8, 39));
        let Ok(none) = Rows::ready_times(&mut maps, &("de-fra-1".parse().unwrap(), Kind::SksCluster));
        assert_eq!(none, []);
    }
}
