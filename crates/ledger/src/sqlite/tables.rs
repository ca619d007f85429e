//! The statements that read and write rows. No question but those for
//! everything reads more rows than its answer has; a test looks at the query
//! plans.

use std::collections::{BTreeMap, BTreeSet};

use exokit_model::canonical::Digest;
use exokit_model::ids::Zone;
use exokit_model::kind::Kind;
use exokit_model::phase::Phase;
use exokit_model::ready_time::ReadyTime;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, ToSql, params, params_from_iter};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::paths::SqliteError;
use super::records::{from_column, to_column};
use crate::error::LedgerError;
use crate::head::Head;
use crate::rows::environment::EnvironmentView;
use crate::rows::operation::OperationSummary;
use crate::rows::query::{Environments, Holdings, Operations, tokens_of};
use crate::rows::step::{Row, RowsHead};

/// As the indexes on unfinished operations say it, so that they are used.
const OPEN: &str = "phase NOT IN ('succeeded', 'rolled-back', 'rejected')";

/// Began, and neither ended nor waits for a human.
const ACTIVE: &str = "phase IN ('running', 'rolling-back')";

/// Reads values that are stored as JSON in the first column.
fn read<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<T>, SqliteError> {
    rows(connection, sql, values, |row| {
        let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))
    })
}

pub(super) fn rows<T>(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    read: impl Fn(&rusqlite::Row<'_>) -> Result<T, SqliteError>,
) -> Result<Vec<T>, SqliteError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

pub(super) fn damaged(why: &str) -> SqliteError {
    SqliteError::Ledger(LedgerError::Rows(why.to_owned()))
}

fn encode(value: &impl Serialize) -> Result<String, SqliteError> {
    serde_json::to_string(value).map_err(|error| LedgerError::Entry(error.to_string()).into())
}

pub(super) fn head(connection: &Connection) -> Result<RowsHead, SqliteError> {
    let head = connection
        .prepare_cached("SELECT seq, hash, roster FROM rows_head")?
        .query_row([], |row| {
            let head = Head { seq: from_column(row.get(0)?), hash: Digest(row.get(1)?) };
            Ok(RowsHead { head, roster: from_column(row.get(2)?) })
        })
        .optional()?;
    Ok(head.unwrap_or_default())
}

/// Writes a row in the place of the one with its key. What never changes is not
/// written again, so that its index is not touched.
pub(super) fn put(connection: &Connection, row: Row<'_>) -> Result<(), SqliteError> {
    let put = |sql: &str, values: &[&dyn ToSql]| connection.prepare_cached(sql)?.execute(values);
    match row {
        Row::Head(RowsHead { head, roster }) => put(
            "INSERT OR REPLACE INTO rows_head (one, seq, hash, roster) VALUES (1, ?1, ?2, ?3)",
            params![to_column(head.seq), head.hash.0, to_column(roster)],
        ),
        Row::Operation(operation) => put(
            "INSERT INTO operations (operation, environment, digest, phase, until, row)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (operation) DO UPDATE SET phase = ?4, row = ?6",
            params![
                operation.operation.as_str(),
                operation.environment.as_str(),
                operation.digest.to_string(),
                operation.phase.name(),
                operation.not_after.as_second(),
                encode(operation)?
            ],
        ),
        Row::Environment(view) => put(
            "INSERT INTO environments (environment, over, until, row) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (environment) DO UPDATE SET over = ?2, until = ?3, row = ?4",
            params![
                view.environment.as_str(),
                view.is_over(),
                view.expires_at.map(|at| at.as_second()),
                encode(view)?
            ],
        ),
        Row::ReadyTimes(zone, kind, times) => put(
            "INSERT OR REPLACE INTO ready_times (zone, kind, row) VALUES (?1, ?2, ?3)",
            params![zone.as_str(), kind.to_string(), encode(&times)?],
        ),
        Row::Token(token, operation) => put(
            "INSERT OR IGNORE INTO owner_tokens (token, operation) VALUES (?1, ?2)",
            params![token, operation.as_str()],
        ),
        Row::Resource(id, name, true) => put(
            "INSERT OR IGNORE INTO resources (id, environment) VALUES (?1, ?2)",
            params![id.as_str(), name.as_str()],
        ),
        Row::Resource(id, name, false) => put(
            "DELETE FROM resources WHERE id = ?1 AND environment = ?2",
            params![id.as_str(), name.as_str()],
        ),
    }?;
    Ok(())
}

pub(super) fn environments_sql(which: &Environments) -> (String, Vec<Value>) {
    let (condition, values) = match which {
        Environments::All => ("1", Vec::new()),
        Environments::Present => ("over = 0", Vec::new()),
        Environments::Page { after, all, most } => {
            let condition = match all {
                true => "environment > ?1 ORDER BY environment LIMIT ?2",
                false => "over = 0 AND environment > ?1 ORDER BY environment LIMIT ?2",
            };
            let after = after.as_ref().map(ToString::to_string).unwrap_or_default();
            (condition, vec![after.into(), i64::from(*most).into()])
        }
        Environments::Named(name) => ("environment = ?1", vec![name.to_string().into()]),
        Environments::Expired(now) => {
            ("over = 0 AND until IS NOT NULL AND until <= ?1", vec![now.as_second().into()])
        }
    };
    (format!("SELECT row FROM environments WHERE {condition}"), values)
}

/// The environments that are asked for, by name.
pub(super) fn environments(
    connection: &Connection,
    which: &Environments,
) -> Result<Vec<EnvironmentView>, SqliteError> {
    let (sql, values) = environments_sql(which);
    let mut found: Vec<EnvironmentView> = read(connection, &sql, values)?;
    // A column counts whole seconds.
    found.retain(|view| which.admits(view));
    found.sort_by(|a, b| a.environment.cmp(&b.environment));
    Ok(found)
}

pub(super) fn operations_sql(which: &Operations) -> (String, Vec<Value>) {
    let (condition, values) = match which {
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
    (format!("SELECT row FROM operations WHERE {condition}"), values)
}

/// The operations that are asked for, by id.
pub(super) fn operations(
    connection: &Connection,
    which: &Operations,
) -> Result<Vec<OperationSummary>, SqliteError> {
    let (sql, values) = operations_sql(which);
    let mut found: Vec<OperationSummary> = read(connection, &sql, values)?;
    // A column counts whole seconds.
    found.retain(|operation| which.admits(operation));
    found.sort_by(|a, b| a.operation.cmp(&b.operation));
    Ok(found)
}

pub(super) const READY_TIMES: &str = "SELECT row FROM ready_times WHERE zone = ?1";

/// How long the newest resources of a zone, and of one kind, took.
pub(super) fn ready_times(
    connection: &Connection,
    zone: &Zone,
    kind: Option<Kind>,
) -> Result<Vec<ReadyTime>, SqliteError> {
    let mut values: Vec<Value> = vec![zone.to_string().into()];
    let sql = match kind {
        Some(kind) => {
            values.push(kind.to_string().into());
            format!("{READY_TIMES} AND kind = ?2")
        }
        None => READY_TIMES.to_owned(),
    };
    let mut found: Vec<Vec<ReadyTime>> = read(connection, &sql, values)?;
    found.sort_by_key(|times| times.first().map(|time| time.kind));
    Ok(found.into_iter().flatten().collect())
}

pub(super) const HELD: &str = "SELECT 1 FROM resources WHERE id = ?1 LIMIT 1";
pub(super) const MARKED: &str = "SELECT o.phase FROM owner_tokens t JOIN operations o USING (operation)
    WHERE t.token >= ?1 AND t.token < ?2";

/// What is known of resources with these ids and these marks.
pub(super) fn holdings(
    connection: &Connection,
    ids: &[String],
    marks: &[String],
) -> Result<Holdings, SqliteError> {
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
