//! The database as a transaction of the ledger.
//!
//! SQLite answers without waiting, on the thread that asks, so the futures here
//! are ready when they are first polled.

use exokit_model::event::Record;
use exokit_model::ids::{EnvironmentName, OperationId, Zone};
use exokit_model::kind::Kind;
use exokit_model::ready_time::ReadyTime;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::liveness::{Holder, Liveness};
use super::paths::{LedgerPaths, SqliteError};
use super::records::{self, from_column, to_column};
use super::tables;
use super::write_ahead_log::WriteAheadLog;
use crate::error::LedgerError;
use crate::head::Head;
use crate::lease::LeaseRow;
use crate::rows::environment::EnvironmentView;
use crate::rows::operation::OperationSummary;
use crate::rows::query::{Environments, Operations};
use crate::rows::step::{Row, Rows, RowsHead};
use crate::store::{StoreClock, Transaction};

/// An open connection that writes.
pub(super) struct Database {
    connection: Connection,
    paths: LedgerPaths,
    clock: StoreClock,
    /// Shows this process alive, once the file is ready for it.
    liveness: Option<Liveness>,
}

impl Database {
    pub(super) fn new(connection: Connection, paths: LedgerPaths, clock: StoreClock) -> Self {
        Self { connection, paths, clock, liveness: None }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn paths(&self) -> &LedgerPaths {
        &self.paths
    }

    /// Takes the copying of the write-ahead log over from SQLite.
    pub(super) fn take_over_log(&mut self) -> Result<WriteAheadLog, SqliteError> {
        Ok(WriteAheadLog::take_over(&mut self.connection)?)
    }

    /// Shows from now on that this process is alive.
    pub(super) fn enter(&mut self) -> Result<(), SqliteError> {
        self.liveness = Some(Liveness::enter(&self.paths, &self.connection)?);
        Ok(())
    }

    /// Removes what shows this process alive, unless a lease needs it.
    pub(super) fn leave(&mut self) {
        if let Some(liveness) = self.liveness.take() {
            liveness.leave(&self.connection);
        }
    }

    fn reading<T>(&self, result: Result<T, SqliteError>) -> Result<T, LedgerError> {
        result.map_err(|error| self.paths.explain("reading", error))
    }

    fn writing<T>(&self, result: Result<T, SqliteError>) -> Result<T, LedgerError> {
        result.map_err(|error| self.paths.explain("writing", error))
    }

    fn read_lease(&self, operation: &OperationId) -> Result<Option<LeaseRow>, SqliteError> {
        let row = self
            .connection
            .prepare_cached("SELECT epoch, holder, until FROM leases WHERE operation = ?1")?
            .query_row([operation.as_str()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, String>(2)?))
            })
            .optional()?;
        let Some((epoch, holder, until)) = row else { return Ok(None) };
        let until = until.parse().map_err(|error: jiff::Error| LedgerError::Storage {
            doing: "reading a lease in",
            path: self.paths.file(),
            why: error.to_string(),
        })?;
        let holder = holder.map(|text| Holder::read(&text));
        let dead = match (&self.liveness, &holder) {
            (Some(liveness), Some(holder)) => liveness.is_dead(holder),
            _ => false,
        };
        Ok(Some(LeaseRow {
            epoch: from_column(epoch),
            holder: holder.map(|holder| holder.name),
            until,
            dead,
        }))
    }

    fn write_lease(&self, operation: &OperationId, lease: &LeaseRow) -> Result<(), SqliteError> {
        let holder = lease.holder.as_ref().map(|holder| match &self.liveness {
            Some(liveness) => liveness.sign(holder),
            None => holder.clone(),
        });
        self.connection
            .prepare_cached(
                "INSERT INTO leases (operation, epoch, holder, until) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (operation) DO UPDATE SET
                     epoch = excluded.epoch, holder = excluded.holder, until = excluded.until",
            )?
            .execute(params![operation.as_str(), to_column(lease.epoch), holder, lease.until.to_string()])?;
        Ok(())
    }
}

impl Rows for Database {
    async fn rows_head(&mut self) -> Result<RowsHead, LedgerError> {
        self.reading(tables::head(&self.connection))
    }

    async fn operations(&mut self, which: &Operations) -> Result<Vec<OperationSummary>, LedgerError> {
        self.reading(tables::operations(&self.connection, which))
    }

    async fn environments(&mut self, which: &Environments) -> Result<Vec<EnvironmentView>, LedgerError> {
        self.reading(tables::environments(&self.connection, which))
    }

    async fn ready_times(&mut self, zone: &Zone, kind: Option<Kind>) -> Result<Vec<ReadyTime>, LedgerError> {
        self.reading(tables::ready_times(&self.connection, zone, kind))
    }

    async fn put(&mut self, row: Row<'_>) -> Result<(), LedgerError> {
        self.writing(tables::put(&self.connection, row))
    }
}

impl Transaction for Database {
    async fn now(&mut self) -> Result<Timestamp, LedgerError> {
        Ok((self.clock)())
    }

    async fn head(&mut self) -> Result<Head, LedgerError> {
        self.reading(records::head(&self.connection))
    }

    async fn environment_head(&mut self, name: &EnvironmentName) -> Result<u64, LedgerError> {
        self.reading(records::environment_head(&self.connection, name))
    }

    async fn newest_epoch(&mut self, operation: &OperationId) -> Result<Option<u64>, LedgerError> {
        self.reading(records::newest_epoch(&self.connection, operation))
    }

    async fn insert(&mut self, record: &Record, text: &str) -> Result<(), LedgerError> {
        self.writing(records::insert(&self.connection, record, text))
    }

    async fn lease(&mut self, operation: &OperationId) -> Result<Option<LeaseRow>, LedgerError> {
        self.reading(self.read_lease(operation))
    }

    async fn put_lease(&mut self, operation: &OperationId, lease: &LeaseRow) -> Result<(), LedgerError> {
        self.writing(self.write_lease(operation, lease))
    }
}
