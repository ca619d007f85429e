//! The one step of the rows: a record, taken into the few rows that it is
//! about. Where the rows are kept, in memory or in a database, is not known
//! here.

use std::collections::BTreeSet;

use exokit_model::canonical::Digest;
use exokit_model::event::{Entry, Event, Record};
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::{EnvironmentName, OperationId, ResourceId, Zone};
use exokit_model::kind::Kind;
use exokit_model::plan::Action;
use exokit_model::ready_time::ReadyTime;

use super::environment::EnvironmentView;
use super::operation::OperationSummary;
use super::query::{Environments, Operations};
use crate::error::{IllegalRecord, LedgerError};
use crate::head::Head;
use crate::plans::Plans;

/// Most times kept of one kind in one zone: enough to know the range, few
/// enough to follow a cloud that becomes slower or faster.
const READY_TIMES_MAX: usize = 32;

/// Up to where the rows stand for the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RowsHead {
    /// The last record taken in.
    pub(crate) head: Head,
    /// Version of the newest roster; 0 without one.
    pub(crate) roster: u64,
}

/// A row to be written.
pub(crate) enum Row<'a> {
    /// Up to where the rows stand.
    Head(RowsHead),
    /// An operation.
    Operation(&'a OperationSummary),
    /// An environment.
    Environment(&'a EnvironmentView),
    /// How long the newest resources of a kind in a zone took.
    ReadyTimes(&'a Zone, Kind, &'a [ReadyTime]),
    /// The plan of an operation holds this owner token.
    Token(&'a str, &'a OperationId),
    /// Whether a live resource belongs to an environment.
    Resource(&'a ResourceId, &'a EnvironmentName, bool),
}

/// Where the rows are kept. All methods fail only when the storage does.
pub(crate) trait Rows: Send {
    /// Up to where they stand.
    async fn rows_head(&mut self) -> Result<RowsHead, LedgerError>;
    /// The operations that are asked for, by id.
    async fn operations(&mut self, which: &Operations) -> Result<Vec<OperationSummary>, LedgerError>;
    /// The environments that are asked for, by name.
    async fn environments(&mut self, which: &Environments) -> Result<Vec<EnvironmentView>, LedgerError>;
    /// How long the newest resources of a zone, and of one kind if one is
    /// named, took to become ready: by kind, the last one last.
    async fn ready_times(&mut self, zone: &Zone, kind: Option<Kind>) -> Result<Vec<ReadyTime>, LedgerError>;

    /// Writes a row in the place of the one with its key.
    async fn put(&mut self, row: Row<'_>) -> Result<(), LedgerError>;
}

/// Takes the next record into the rows.
///
/// # Errors
/// [`LedgerError::IllegalRecord`] when it cannot follow what came before it; no row
/// was changed then. Errors of the storage.
pub(crate) async fn project<R: Rows>(
    rows: &mut R,
    plans: &Plans,
    record: &Record,
) -> Result<(), LedgerError> {
    let before = rows.rows_head().await?;
    if !before.head.precedes(record) {
        return Err(illegal(record, format!("it does not follow record {}", before.head.seq)));
    }
    let mut after = RowsHead { head: Head::after(record), ..before };
    match &record.entry.event {
        Event::RosterInstalled { version, .. } if *version < before.roster => {
            return Err(illegal(record, format!("roster version {version} is older than the newest")));
        }
        Event::RosterInstalled { version, .. } => after.roster = *version,
        _ => project_entry(rows, plans, record).await?,
    }
    rows.put(Row::Head(after)).await
}

/// Takes in what a record says of operations and environments.
pub(super) async fn project_entry<R: Rows>(
    rows: &mut R,
    plans: &Plans,
    record: &Record,
) -> Result<(), LedgerError> {
    match &record.entry.event {
        Event::PlanProposed { digest, plan, .. } => {
            let plan = read_plan(plans, &record.entry, *digest, plan).map_err(|why| illegal(record, why))?;
            propose(rows, record, &plan).await
        }
        Event::RosterInstalled { .. }
        | Event::AccountBound { .. }
        | Event::ApprovalRefused { .. }
        | Event::DriftObserved { .. }
        | Event::AccessGranted { .. }
        | Event::ExpiryNoticed { .. } => Ok(()),
        Event::KeptAlive { until, .. } => change(rows, record, |view| view.keep(*until)).await,
        Event::ExpiryWarned { expires_at } => {
            change(rows, record, |view| view.warned_of = Some(*expires_at)).await
        }
        Event::ResourceReady { time: Some(time), .. } => {
            advance(rows, record).await?;
            remember(rows, time).await
        }
        _ => advance(rows, record).await,
    }
}

fn illegal(record: &Record, why: String) -> LedgerError {
    LedgerError::IllegalRecord(IllegalRecord { seq: record.seq, why })
}

/// Keeps how long a resource took, in the place of the oldest one kept.
async fn remember<R: Rows>(rows: &mut R, time: &ReadyTime) -> Result<(), LedgerError> {
    let mut times = rows.ready_times(&time.zone, Some(time.kind)).await?;
    times.push(time.clone());
    times.drain(..times.len().saturating_sub(READY_TIMES_MAX));
    rows.put(Row::ReadyTimes(&time.zone, time.kind, &times)).await
}

/// Reads the plan of a proposal and checks that it is what the entry says.
pub(crate) fn read_plan(
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

async fn propose<R: Rows>(rows: &mut R, record: &Record, plan: &FixedPlan) -> Result<(), LedgerError> {
    let operation = OperationSummary::new(plan, plan.digest(), &record.entry);
    if operation_named(rows, &operation.operation).await?.is_some() {
        return Err(illegal(record, format!("{} was proposed before", plan.plan_id)));
    }
    let shown = environment_named(rows, &operation.environment).await?;
    let before = live_ids(shown.as_ref());
    let view = match shown {
        Some(mut view) if operation.action != Action::Provision || !view.is_replaceable() => {
            view.operations.push(operation.operation.clone());
            view
        }
        shown => {
            let operations = shown.map(|view| view.operations).unwrap_or_default();
            EnvironmentView::planned(&operation, operations, record.entry.at)
        }
    };
    for token in plan.graph.nodes().iter().filter_map(|node| node.token.as_ref()) {
        rows.put(Row::Token(token.as_str(), &operation.operation)).await?;
    }
    put_environment(rows, &before, &view).await?;
    rows.put(Row::Operation(&operation)).await
}

/// Changes the environment that a record is about, unless nothing of it is
/// left.
async fn change<R: Rows>(
    rows: &mut R,
    record: &Record,
    change: impl FnOnce(&mut EnvironmentView) + Send,
) -> Result<(), LedgerError> {
    let entry = &record.entry;
    let Some(name) = &entry.environment else {
        return Err(illegal(record, format!("{} is about no environment", entry.event.name())));
    };
    let view = environment_named(rows, name).await?;
    if let Some(mut view) = view.filter(|view| !view.is_over()) {
        change(&mut view);
        rows.put(Row::Environment(&view)).await?;
    }
    Ok(())
}

/// Events of an operation that was proposed before.
async fn advance<R: Rows>(rows: &mut R, record: &Record) -> Result<(), LedgerError> {
    let entry = &record.entry;
    let about_none = || illegal(record, format!("{} is about no plan", entry.event.name()));
    let mut operation = match &entry.event {
        Event::ApprovalRecorded { digest, .. }
        | Event::DenialRecorded { digest, .. }
        | Event::OperationStarted { digest } => {
            // Two plans never have one digest, as each holds its own id.
            let found = rows.operations(&Operations::Digest(digest.to_string())).await?.pop();
            found.ok_or_else(about_none)?
        }
        _ => {
            let id = entry.operation.as_ref().ok_or_else(about_none)?;
            let found = operation_named(rows, id).await?;
            found.ok_or_else(|| illegal(record, format!("{id} was never proposed")))?
        }
    };
    if entry.operation.as_ref().is_some_and(|other| *other != operation.operation) {
        return Err(illegal(record, "its digest belongs to another operation".to_owned()));
    }
    operation.apply(entry).map_err(|why| illegal(record, why))?;
    if let Some(mut view) = environment_named(rows, &operation.environment).await? {
        let before = live_ids(Some(&view));
        view.apply(&operation, entry);
        put_environment(rows, &before, &view).await?;
    }
    operation.shrink();
    rows.put(Row::Operation(&operation)).await
}

async fn operation_named<R: Rows>(
    rows: &mut R,
    id: &OperationId,
) -> Result<Option<OperationSummary>, LedgerError> {
    Ok(rows.operations(&Operations::Named(id.clone())).await?.pop())
}

async fn environment_named<R: Rows>(
    rows: &mut R,
    name: &EnvironmentName,
) -> Result<Option<EnvironmentView>, LedgerError> {
    Ok(rows.environments(&Environments::Named(name.clone())).await?.pop())
}

fn live_ids(view: Option<&EnvironmentView>) -> BTreeSet<ResourceId> {
    view.into_iter().flat_map(EnvironmentView::live_ids).cloned().collect()
}

/// Puts an environment, and brings its live resources in line: `before` are
/// those that it had.
async fn put_environment<R: Rows>(
    rows: &mut R,
    before: &BTreeSet<ResourceId>,
    view: &EnvironmentView,
) -> Result<(), LedgerError> {
    let after = live_ids(Some(view));
    for id in before.symmetric_difference(&after) {
        rows.put(Row::Resource(id, &view.environment, after.contains(id))).await?;
    }
    rows.put(Row::Environment(view)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::ready;
    use crate::rows::registry::Registry;

    #[test]
    fn the_newest_times_of_each_kind_and_zone_are_kept() {
        let mut rows = Registry::default();
        for number in 0..40 {
            for (zone, kind) in [("ch-gva-2", Kind::SksCluster), ("de-fra-1", Kind::DbaasPg)] {
                let zone = zone.parse().unwrap();
                let time = ReadyTime { kind, zone, after_ms: number, by_ms: number + 1 };
                ready(remember(&mut rows, &time)).unwrap();
            }
        }
        let times = rows.find_ready_times(&"ch-gva-2".parse().unwrap(), None);
        assert_eq!(times.len(), READY_TIMES_MAX);
        assert!(times.iter().all(|time| time.kind == Kind::SksCluster));
        assert_eq!((times[0].after_ms, times[31].after_ms), (8, 39));
        assert_eq!(rows.find_ready_times(&"de-fra-1".parse().unwrap(), Some(Kind::SksCluster)), []);
    }
}
