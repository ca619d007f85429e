//! The rows that one transaction works with: read when they are first needed,
//! written once at its end.

use std::collections::{BTreeMap, BTreeSet};

use exokit_model::canonical::Digest;
use exokit_model::event::Record;
use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::ready_time::ReadyTime;
use rusqlite::{Connection, params};
use rust_decimal::Decimal;

use super::query::{self, environment_row, operation_row};
use super::{Standing, sum};
use crate::ledger::Head;
use crate::plans::Plans;
use crate::projection::{EnvironmentView, Fault, OperationSummary, ReadyKey, RequestKey, Rows, take};
use crate::sqlite::store::{Trouble, damaged};

/// The rows of one transaction.
pub(super) struct Sheet<'c> {
    connection: &'c Connection,
    plans: &'c Plans,
    standing: Standing,
    operations: BTreeMap<OperationId, Kept<OperationSummary>>,
    environments: BTreeMap<EnvironmentName, Kept<EnvironmentView>>,
    /// Ids that the tables hold for the environments that were read.
    stored_ids: BTreeMap<EnvironmentName, BTreeSet<String>>,
    requests: BTreeMap<RequestKey, Kept<Decimal>>,
    ready_times: BTreeMap<ReadyKey, Kept<Vec<ReadyTime>>>,
    by_digest: BTreeMap<String, OperationId>,
    marks: BTreeSet<(String, OperationId)>,
}

/// A row, and whether it must be written.
struct Kept<T> {
    row: Option<T>,
    changed: bool,
}

impl<T> Kept<T> {
    fn read(row: Option<T>) -> Self {
        Self { row, changed: false }
    }

    fn put(row: T) -> Self {
        Self { row: Some(row), changed: true }
    }
}

impl<'c> Sheet<'c> {
    /// None when the tables do not say up to where they stand.
    pub(super) fn open(connection: &'c Connection, plans: &'c Plans) -> Result<Option<Self>, Trouble> {
        let standing = Standing::read(connection)?;
        Ok(standing.map(|standing| Self {
            connection,
            plans,
            standing,
            operations: BTreeMap::new(),
            environments: BTreeMap::new(),
            stored_ids: BTreeMap::new(),
            requests: BTreeMap::new(),
            ready_times: BTreeMap::new(),
            by_digest: BTreeMap::new(),
            marks: BTreeSet::new(),
        }))
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes in the next record. After one that does not fit, nothing more is
    /// taken in.
    pub(super) fn take(&mut self, record: &Record) -> Result<(), Trouble> {
        if self.standing.misfit.is_some() {
            return Ok(());
        }
        if record.seq != self.standing.head.seq + 1 || record.prev != self.standing.head.hash {
            return Err(damaged(record.seq, "it does not follow the record before it"));
        }
        match take(self, self.plans, &record.entry) {
            Ok(()) => self.standing.head = Head::after(record),
            Err(Fault::Misfit(why)) => self.standing.misfit = Some(why),
            Err(Fault::Rows(trouble)) => return Err(trouble),
        }
        Ok(())
    }

    /// Writes what was changed.
    pub(super) fn flush(self) -> Result<(), Trouble> {
        let changed = self.operations.values().filter(|kept| kept.changed);
        for operation in changed.filter_map(|kept| kept.row.as_ref()) {
            write_operation(self.connection, operation)?;
        }
        let changed = self.environments.values().filter(|kept| kept.changed);
        for environment in changed.filter_map(|kept| kept.row.as_ref()) {
            write_environment(self.connection, environment)?;
            let stored = self.stored_ids.get(&environment.environment);
            write_ids(self.connection, environment, stored.unwrap_or(&BTreeSet::new()))?;
        }
        for (key, kept) in self.requests.iter().filter(|(_, kept)| kept.changed) {
            write_request(self.connection, key, kept.row.unwrap_or_default())?;
        }
        for (key, kept) in self.ready_times.iter().filter(|(_, kept)| kept.changed) {
            write_ready_times(self.connection, key, kept.row.as_deref().unwrap_or_default())?;
        }
        let mut insert = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO derived_marks (token, operation) VALUES (?1, ?2)")?;
        for (token, operation) in &self.marks {
            insert.execute([token.as_str(), operation.as_str()])?;
        }
        self.standing.write(self.connection)
    }
}

impl Rows for Sheet<'_> {
    type Error = Trouble;

    fn roster(&mut self) -> Result<u64, Trouble> {
        Ok(self.standing.roster)
    }

    fn operation(&mut self, id: &OperationId) -> Result<Option<OperationSummary>, Trouble> {
        if let Some(kept) = self.operations.get(id) {
            return Ok(kept.row.clone());
        }
        let row = query::operation(self.connection, id)?;
        self.operations.insert(id.clone(), Kept::read(row.clone()));
        Ok(row)
    }

    fn operation_of(&mut self, digest: &Digest) -> Result<Option<OperationId>, Trouble> {
        let digest = digest.to_string();
        if let Some(id) = self.by_digest.get(&digest) {
            return Ok(Some(id.clone()));
        }
        let id = query::operation_of(self.connection, &digest)?;
        if let Some(id) = &id {
            self.by_digest.insert(digest, id.clone());
        }
        Ok(id)
    }

    fn environment(&mut self, name: &EnvironmentName) -> Result<Option<EnvironmentView>, Trouble> {
        if let Some(kept) = self.environments.get(name) {
            return Ok(kept.row.clone());
        }
        let row = query::environment(self.connection, name)?;
        let ids = row.iter().flat_map(|view| view.live_ids()).map(ToString::to_string).collect();
        self.stored_ids.insert(name.clone(), ids);
        self.environments.insert(name.clone(), Kept::read(row.clone()));
        Ok(row)
    }

    fn requested(&mut self, key: &RequestKey) -> Result<Decimal, Trouble> {
        if let Some(kept) = self.requests.get(key) {
            return Ok(kept.row.unwrap_or_default());
        }
        let row = query::request(self.connection, key)?;
        self.requests.insert(key.clone(), Kept::read(row));
        Ok(row.unwrap_or_default())
    }

    fn ready_times(&mut self, key: &ReadyKey) -> Result<Vec<ReadyTime>, Trouble> {
        if let Some(kept) = self.ready_times.get(key) {
            return Ok(kept.row.clone().unwrap_or_default());
        }
        let row = query::ready_times_for(self.connection, key)?;
        self.ready_times.insert(key.clone(), Kept::read(row.clone()));
        Ok(row.unwrap_or_default())
    }

    fn put_roster(&mut self, version: u64) {
        self.standing.roster = version;
    }

    fn put_operation(&mut self, operation: OperationSummary) {
        let id = operation.operation.clone();
        self.by_digest.insert(operation.digest.to_string(), id.clone());
        self.operations.insert(id, Kept::put(operation));
    }

    fn put_environment(&mut self, environment: EnvironmentView) {
        self.environments.insert(environment.environment.clone(), Kept::put(environment));
    }

    fn put_requested(&mut self, key: RequestKey, hourly: Decimal) {
        self.requests.insert(key, Kept::put(hourly));
    }

    fn put_ready_times(&mut self, key: ReadyKey, times: Vec<ReadyTime>) {
        self.ready_times.insert(key, Kept::put(times));
    }

    fn put_mark(&mut self, token: &str, operation: &OperationId) {
        self.marks.insert((token.to_owned(), operation.clone()));
    }
}

fn write_operation(connection: &Connection, operation: &OperationSummary) -> Result<(), Trouble> {
    let row = operation_row(operation)?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO derived_operations
                 (operation, environment, digest, phase, until, entry, sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            row.key,
            row.environment,
            row.digest,
            row.phase,
            row.until,
            row.entry,
            row.sum().0
        ])?;
    Ok(())
}

fn write_environment(connection: &Connection, environment: &EnvironmentView) -> Result<(), Trouble> {
    let row = environment_row(environment)?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO derived_environments (environment, over, until, entry, sum)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![row.key, row.over, row.until, row.entry, row.sum().0])?;
    Ok(())
}

/// Brings the index of ids in line with an environment.
fn write_ids(
    connection: &Connection,
    environment: &EnvironmentView,
    stored: &BTreeSet<String>,
) -> Result<(), Trouble> {
    let name = environment.environment.as_str();
    let live: BTreeSet<String> = environment.live_ids().map(ToString::to_string).collect();
    let mut delete =
        connection.prepare_cached("DELETE FROM derived_holdings WHERE id = ?1 AND environment = ?2")?;
    for id in stored.difference(&live) {
        delete.execute([id, name])?;
    }
    let mut insert = connection
        .prepare_cached("INSERT OR IGNORE INTO derived_holdings (id, environment) VALUES (?1, ?2)")?;
    for id in live.difference(stored) {
        insert.execute([id, name])?;
    }
    Ok(())
}

fn write_ready_times(connection: &Connection, key: &ReadyKey, times: &[ReadyTime]) -> Result<(), Trouble> {
    let (zone, kind, entry, sum) = query::ready_times_row(key, times)?;
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO derived_ready_times (zone, kind, entry, sum) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![zone, kind, entry, sum.0])?;
    Ok(())
}

fn write_request(connection: &Connection, key: &RequestKey, hourly: Decimal) -> Result<(), Trouble> {
    let (day, requester, team) = query::request_key(key);
    if hourly.is_zero() {
        connection
            .prepare_cached("DELETE FROM derived_requests WHERE day = ?1 AND requester = ?2 AND team = ?3")?
            .execute([day.as_str(), requester, team])?;
        return Ok(());
    }
    let text = hourly.to_string();
    let sum = sum(&[&day, requester, team, &text]);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO derived_requests (day, requester, team, hourly, sum)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![day, requester, team, text, sum.0])?;
    Ok(())
}
