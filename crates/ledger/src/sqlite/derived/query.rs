//! Reading the tables. No question but those for everything reads more rows
//! than its answer has; a test looks at the query plans.

use std::collections::{BTreeMap, BTreeSet};

use exokit_model::canonical::Digest;
use exokit_model::ids::{EnvironmentName, OperationId, Zone};
use exokit_model::phase::Phase;
use exokit_model::ready_time::ReadyTime;
use jiff::civil::Date;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use rust_decimal::Decimal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sum;
use crate::error::LedgerError;
use crate::projection::{
    EnvironmentView, Environments, Holdings, OperationSummary, Operations, ReadyKey, Request, RequestKey,
    tokens_of,
};
use crate::sqlite::store::Trouble;

/// As the indexes on unfinished operations say it, so that they are used.
const OPEN: &str = "phase NOT IN ('succeeded', 'rolled-back', 'rejected')";

/// Began, and neither ended nor waits for a human.
const ACTIVE: &str = "phase IN ('running', 'rolling-back')";

/// A row of `derived_operations`.
pub(super) struct OperationRow {
    pub(super) key: String,
    pub(super) environment: String,
    pub(super) digest: String,
    pub(super) phase: String,
    pub(super) until: i64,
    pub(super) entry: String,
}

impl OperationRow {
    const COLUMNS: &str = "operation, environment, digest, phase, until, entry, sum";

    pub(super) fn sum(&self) -> Digest {
        let until = self.until.to_string();
        sum(&[&self.key, &self.environment, &self.digest, &self.phase, &until, &self.entry])
    }

    fn read(row: &Row<'_>) -> Result<OperationSummary, Trouble> {
        let own = Self {
            key: row.get(0)?,
            environment: row.get(1)?,
            digest: row.get(2)?,
            phase: row.get(3)?,
            until: row.get(4)?,
            entry: row.get(5)?,
        };
        decode(&own.entry, own.sum() == Digest(row.get(6)?))
    }
}

/// A row of `derived_environments`.
pub(super) struct EnvironmentRow {
    pub(super) key: String,
    pub(super) over: bool,
    pub(super) until: Option<i64>,
    pub(super) entry: String,
}

impl EnvironmentRow {
    const COLUMNS: &str = "environment, over, until, entry, sum";

    pub(super) fn sum(&self) -> Digest {
        let until = self.until.map(|until| until.to_string()).unwrap_or_default();
        sum(&[&self.key, if self.over { "1" } else { "0" }, &until, &self.entry])
    }

    fn read(row: &Row<'_>) -> Result<EnvironmentView, Trouble> {
        let own = Self { key: row.get(0)?, over: row.get(1)?, until: row.get(2)?, entry: row.get(3)? };
        decode(&own.entry, own.sum() == Digest(row.get(4)?))
    }
}

/// A row is believed only whole.
fn decode<T: DeserializeOwned>(entry: &str, whole: bool) -> Result<T, Trouble> {
    match (whole, serde_json::from_str(entry)) {
        (true, Ok(value)) => Ok(value),
        _ => Err(Trouble::Spoiled),
    }
}

fn encode(value: &impl Serialize) -> Result<String, Trouble> {
    serde_json::to_string(value).map_err(|error| LedgerError::Entry { why: error.to_string() }.into())
}

pub(super) fn operation_row(operation: &OperationSummary) -> Result<OperationRow, Trouble> {
    Ok(OperationRow {
        key: operation.operation.to_string(),
        environment: operation.environment.to_string(),
        digest: operation.digest.to_string(),
        phase: operation.phase.name().to_owned(),
        until: operation.not_after.as_second(),
        entry: encode(operation)?,
    })
}

pub(super) fn environment_row(view: &EnvironmentView) -> Result<EnvironmentRow, Trouble> {
    Ok(EnvironmentRow {
        key: view.environment.to_string(),
        over: view.is_over(),
        until: view.expires_at.map(|at| at.as_second()),
        entry: encode(view)?,
    })
}

/// Day, requester and team as the columns hold them; no team is an empty text.
pub(super) fn request_key((day, (requester, team)): &RequestKey) -> (String, &str, &str) {
    (day.to_string(), requester.as_str(), team.as_ref().map_or("", |team| team.as_str()))
}

pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    read: impl Fn(&Row<'_>) -> Result<T, Trouble>,
) -> Result<Vec<T>, Trouble> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn environments_sql(which: &Environments) -> (String, Vec<Value>) {
    let (clause, values) = match which {
        Environments::All => ("1", Vec::new()),
        Environments::Present => ("over = 0", Vec::new()),
        Environments::Page { after, all, most } => {
            let clause = match all {
                true => "environment > ?1 ORDER BY environment LIMIT ?2",
                false => "over = 0 AND environment > ?1 ORDER BY environment LIMIT ?2",
            };
            let after = after.as_ref().map(ToString::to_string).unwrap_or_default();
            (clause, vec![after.into(), i64::from(*most).into()])
        }
        Environments::Named(name) => ("environment = ?1", vec![name.to_string().into()]),
        Environments::Expired(now) => {
            ("over = 0 AND until IS NOT NULL AND until <= ?1", vec![now.as_second().into()])
        }
    };
    (format!("SELECT {} FROM derived_environments WHERE {clause}", EnvironmentRow::COLUMNS), values)
}

/// The environments that are asked for, by name.
pub(in crate::sqlite) fn environments(
    connection: &Connection,
    which: &Environments,
) -> Result<Vec<EnvironmentView>, Trouble> {
    let (sql, values) = environments_sql(which);
    let mut found = rows(connection, &sql, values, EnvironmentRow::read)?;
    if let Environments::Expired(now) = which {
        // The column counts whole seconds.
        found.retain(|view| view.expires_at.is_some_and(|at| at <= *now));
    }
    found.sort_by(|a, b| a.environment.cmp(&b.environment));
    Ok(found)
}

pub(super) fn operations_sql(which: &Operations) -> (String, Vec<Value>) {
    let (clause, values) = match which {
        Operations::All => ("1".to_owned(), Vec::new()),
        Operations::Named(id) => ("operation = ?1".to_owned(), vec![id.to_string().into()]),
        Operations::Active => (format!("{ACTIVE} AND {OPEN}"), Vec::new()),
        Operations::Waiting(now) => (
            format!("phase = '{}' AND until >= ?1 AND {OPEN}", Phase::AwaitingApproval.name()),
            vec![now.as_second().into()],
        ),
        Operations::Open(name) => (format!("environment = ?1 AND {OPEN}"), vec![name.to_string().into()]),
        Operations::Digest(digits) => {
            // No digit comes after f.
            let after = format!("{digits}g");
            ("digest >= ?1 AND digest < ?2".to_owned(), vec![digits.clone().into(), after.into()])
        }
    };
    (format!("SELECT {} FROM derived_operations WHERE {clause}", OperationRow::COLUMNS), values)
}

/// The operations that are asked for, by id.
pub(in crate::sqlite) fn operations(
    connection: &Connection,
    which: &Operations,
) -> Result<Vec<OperationSummary>, Trouble> {
    let (sql, values) = operations_sql(which);
    let mut found = rows(connection, &sql, values, OperationRow::read)?;
    if let Operations::Waiting(now) = which {
        // The column counts whole seconds.
        found.retain(|operation| operation.not_after >= *now);
    }
    found.sort_by(|a, b| a.operation.cmp(&b.operation));
    Ok(found)
}

pub(super) fn environment(
    connection: &Connection,
    name: &EnvironmentName,
) -> Result<Option<EnvironmentView>, Trouble> {
    Ok(environments(connection, &Environments::Named(name.clone()))?.pop())
}

pub(super) fn operation(
    connection: &Connection,
    id: &OperationId,
) -> Result<Option<OperationSummary>, Trouble> {
    Ok(operations(connection, &Operations::Named(id.clone()))?.pop())
}

pub(super) fn operation_of(connection: &Connection, digest: &str) -> Result<Option<OperationId>, Trouble> {
    // Two plans never have one digest, as each holds its own id.
    let found = operations(connection, &Operations::Digest(digest.to_owned()))?;
    Ok(found.into_iter().next().map(|operation| operation.operation))
}

pub(super) const REQUESTS: &str =
    "SELECT day, requester, team, hourly, sum FROM derived_requests WHERE day = ?1";

pub(super) fn request_of(row: &Row<'_>) -> Result<Request, Trouble> {
    let columns: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
    let [day, requester, team, hourly] = &columns;
    if sum(&[day, requester, team, hourly]) != Digest(row.get(4)?) {
        return Err(Trouble::Spoiled);
    }
    let team = match team.as_str() {
        "" => Ok(None),
        team => team.parse().map(Some),
    };
    match (requester.parse(), team, hourly.parse()) {
        (Ok(requester), Ok(team), Ok(hourly)) => Ok(Request { requester, team, hourly }),
        _ => Err(Trouble::Spoiled),
    }
}

/// What was asked for on a UTC day, by requester and team.
pub(in crate::sqlite) fn requested(connection: &Connection, day: Date) -> Result<Vec<Request>, Trouble> {
    let mut found = rows(connection, REQUESTS, vec![day.to_string().into()], request_of)?;
    found.sort_by(|a, b| (&a.requester, &a.team).cmp(&(&b.requester, &b.team)));
    Ok(found)
}

pub(super) fn request(connection: &Connection, key: &RequestKey) -> Result<Option<Decimal>, Trouble> {
    let (day, requester, team) = request_key(key);
    let sql = format!("{REQUESTS} AND requester = ?2 AND team = ?3");
    let values = [day.as_str(), requester, team].map(|text| text.to_owned().into()).to_vec();
    Ok(rows(connection, &sql, values, request_of)?.pop().map(|request| request.hourly))
}

pub(super) const READY_TIMES: &str = "SELECT zone, kind, entry, sum FROM derived_ready_times WHERE zone = ?1";

pub(super) fn ready_times_of(row: &Row<'_>) -> Result<Vec<ReadyTime>, Trouble> {
    let columns: [String; 3] = [row.get(0)?, row.get(1)?, row.get(2)?];
    let [zone, kind, entry] = &columns;
    decode(entry, sum(&[zone, kind, entry]) == Digest(row.get(3)?))
}

/// Zone, kind, entry and digest of the row of these times.
pub(super) fn ready_times_row(
    (zone, kind): &ReadyKey,
    times: &[ReadyTime],
) -> Result<(String, &'static str, String, Digest), Trouble> {
    let (zone, kind, entry) = (zone.to_string(), kind.as_str(), encode(&times)?);
    let sum = sum(&[&zone, kind, &entry]);
    Ok((zone, kind, entry, sum))
}

/// How long the newest resources of a zone took.
pub(in crate::sqlite) fn ready_times(
    connection: &Connection,
    zone: &Zone,
) -> Result<Vec<ReadyTime>, Trouble> {
    let mut found = rows(connection, READY_TIMES, vec![zone.to_string().into()], ready_times_of)?;
    found.sort_by_key(|times| times.first().map(|time| time.kind));
    Ok(found.into_iter().flatten().collect())
}

pub(super) fn ready_times_for(
    connection: &Connection,
    (zone, kind): &ReadyKey,
) -> Result<Option<Vec<ReadyTime>>, Trouble> {
    let sql = format!("{READY_TIMES} AND kind = ?2");
    let values = vec![zone.to_string().into(), kind.as_str().to_owned().into()];
    Ok(rows(connection, &sql, values, ready_times_of)?.pop())
}

pub(super) const HELD: &str = "SELECT 1 FROM derived_holdings WHERE id = ?1 LIMIT 1";
pub(super) const MARKED: &str =
    "SELECT o.phase FROM derived_marks m JOIN derived_operations o USING (operation)
    WHERE m.token >= ?1 AND m.token < ?2";

/// What is known of resources with these ids and these marks.
pub(in crate::sqlite) fn holdings(
    connection: &Connection,
    ids: &[String],
    marks: &[String],
) -> Result<Holdings, Trouble> {
    let mut held = connection.prepare_cached(HELD)?;
    let mut live = BTreeSet::new();
    for id in ids {
        if held.query_row([id], |_| Ok(())).optional()?.is_some() {
            live.insert(id.clone());
        }
    }
    let idle = ["awaiting-approval", "succeeded", "rolled-back", "rejected"];
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    for mark in marks {
        let (from, to) = tokens_of(mark);
        let phases =
            rows(connection, MARKED, vec![from.into(), to.into()], |row| Ok(row.get::<_, String>(0)?))?;
        for phase in phases {
            *known.entry(mark.clone()).or_default() |= !idle.contains(&phase.as_str());
        }
    }
    Ok(Holdings { live, marks: known })
}
