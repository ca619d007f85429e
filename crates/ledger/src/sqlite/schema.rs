//! The tables, and how a file of an earlier format gets them.

use std::fs;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::database::Database;
use super::liveness;
use super::paths::{LedgerPaths, SqliteError};
use super::records;
use super::tables;
use crate::error::LedgerError;
use crate::head::Head;
use crate::plans::Plans;
use crate::poll::ready;
use crate::rows::step::{Rows as _, RowsHead, project};

/// Format of the file; grows with each change of the tables. Formats 1 and 2
/// had no rows of this kind, format 3 had them in a database of their own.
pub(super) const FORMAT: i64 = 4;

/// Marks the file as an exokit ledger ("exok").
const APPLICATION: i64 = 0x6578_6f6b;

/// `environment`, `operation` and `epoch` are computed from the entry, so they
/// cannot contradict it.
const RECORDS: &str = "
CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    prev BLOB NOT NULL,
    hash BLOB NOT NULL,
    entry TEXT NOT NULL,
    environment TEXT GENERATED ALWAYS AS (entry ->> '$.environment') VIRTUAL,
    operation TEXT GENERATED ALWAYS AS (entry ->> '$.operation') VIRTUAL,
    epoch INTEGER GENERATED ALWAYS AS (entry ->> '$.epoch') VIRTUAL
) STRICT;
CREATE INDEX records_environment ON records (environment, seq) WHERE environment IS NOT NULL;
CREATE INDEX records_account ON records (seq) WHERE environment IS NULL;
CREATE INDEX records_operation ON records (operation, seq) WHERE operation IS NOT NULL;
CREATE TRIGGER records_unchanged BEFORE UPDATE ON records
    BEGIN SELECT RAISE(ABORT, 'records are never changed'); END;
CREATE TRIGGER records_kept BEFORE DELETE ON records
    BEGIN SELECT RAISE(ABORT, 'records are never deleted'); END;
CREATE TABLE leases (
    operation TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    holder TEXT,
    until TEXT NOT NULL
) STRICT;
";

/// The rows. Each has the columns that it is found by, and itself as JSON.
const ROWS: &str = "
CREATE TABLE IF NOT EXISTS rows_head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    roster INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS operations (
    operation TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    digest TEXT NOT NULL,
    phase TEXT NOT NULL,
    until INTEGER NOT NULL,
    row TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS operations_digest ON operations (digest);
CREATE INDEX IF NOT EXISTS operations_open ON operations (phase, until)
    WHERE phase NOT IN ('succeeded', 'rolled-back', 'rejected');
CREATE INDEX IF NOT EXISTS operations_environment ON operations (environment)
    WHERE phase NOT IN ('succeeded', 'rolled-back', 'rejected');
CREATE TABLE IF NOT EXISTS environments (
    environment TEXT PRIMARY KEY,
    over INTEGER NOT NULL,
    until INTEGER,
    row TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS environments_present ON environments (environment) WHERE over = 0;
CREATE INDEX IF NOT EXISTS environments_until ON environments (until)
    WHERE over = 0 AND until IS NOT NULL;
CREATE TABLE IF NOT EXISTS ready_times (
    zone TEXT NOT NULL,
    kind TEXT NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (zone, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owner_tokens (
    token TEXT NOT NULL,
    operation TEXT NOT NULL,
    PRIMARY KEY (token, operation)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS resources (
    id TEXT NOT NULL,
    environment TEXT NOT NULL,
    PRIMARY KEY (id, environment)
) STRICT, WITHOUT ROWID;
";

/// The names of these tables.
pub(super) const ROW_TABLES: [&str; 6] =
    ["rows_head", "operations", "environments", "ready_times", "owner_tokens", "resources"];

/// What files of earlier formats lack: who holds leases is found without the
/// leases of all operations that ever ran, and what was requested on a day
/// without all other records.
const INDEXES: &str = "
CREATE INDEX IF NOT EXISTS leases_held ON leases (holder) WHERE holder IS NOT NULL;
CREATE INDEX IF NOT EXISTS records_requests ON records (substr(entry ->> '$.at', 1, 10), seq)
    WHERE entry ->> '$.event.type' IN ('plan-proposed', 'plan-rejected');
";

/// Hears how far a conversion has come: up to which record, of how many.
pub(super) type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// How many records one transaction of a conversion takes in.
const STEP: u64 = 5_000;

/// How many statements a connection keeps prepared: all that we have.
const STATEMENTS: usize = 64;

/// Settings that each connection needs.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(super::paths::BUSY_SECONDS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // What a savepoint would restore is else written to a file in /var/tmp, which
    // costs more than the commit and may not be there to write to.
    connection.pragma_update(None, "temp_store", "memory")?;
    // Without this SQLite plans a statement again for each value that is bound
    // to it, which takes longer than most of our statements.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Brings the file to this format: makes the tables of a new one, and computes
/// the rows of one that has none. The caller holds the lock of the folder.
pub(super) fn prepare(
    paths: &LedgerPaths,
    database: &mut Database,
    plans: &Plans,
    progress: Progress<'_>,
) -> Result<(), SqliteError> {
    let format = check_format(paths, database.connection())?;
    use_log(paths, database.connection())?;
    match format {
        FORMAT => {}
        0 => create(database.connection())?,
        found if liveness::is_open(paths)? => {
            return Err(LedgerError::InUse { path: paths.file(), found, known: FORMAT }.into());
        }
        _ => convert(paths, database, plans, progress).map_err(|error| paths.explain("converting", error))?,
    }
    check_end(database.connection())
}

/// Checks the last records, and that the rows stand for the last one.
fn check_end(connection: &Connection) -> Result<(), SqliteError> {
    // One view of records and rows, whatever is appended meanwhile.
    let _view = connection.unchecked_transaction()?;
    records::check_tail(connection)?;
    let head = records::head(connection)?;
    match tables::head(connection)?.head == head {
        true => Ok(()),
        false => Err(tables::damaged(&format!("they do not stand for record {}", head.seq))),
    }
}

/// The format of the file; 0 for a new one.
fn check_format(paths: &LedgerPaths, connection: &Connection) -> Result<i64, SqliteError> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let (application, format) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if tables > 0 && application != APPLICATION {
        let why = "it is a database of another program".to_owned();
        return Err(LedgerError::NotALedger { path: paths.file(), why }.into());
    }
    match format > FORMAT {
        true => Err(LedgerError::NewerFormat { path: paths.file(), found: format, known: FORMAT }.into()),
        false => Ok(format),
    }
}

/// Switches to a write-ahead log that is flushed at each commit.
fn use_log(paths: &LedgerPaths, connection: &Connection) -> Result<(), SqliteError> {
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        let (doing, why) = ("switching to a write-ahead log in", format!("the journal mode stays {mode}"));
        return Err(LedgerError::Storage { doing, path: paths.file(), why }.into());
    }
    Ok(connection.pragma_update(None, "synchronous", "full")?)
}

fn begin(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    transaction.execute_batch(RECORDS)?;
    create_rows(&transaction)?;
    transaction.execute_batch(INDEXES)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// Makes the tables of the rows where there are none.
pub(super) fn create_rows(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(ROWS)
}

/// Computes the rows of a file of an earlier format, and then makes it one of
/// this format. An interrupted conversion continues where it was.
fn convert(
    paths: &LedgerPaths,
    database: &mut Database,
    plans: &Plans,
    progress: Progress<'_>,
) -> Result<(), SqliteError> {
    records::check_tail(database.connection())?;
    create_rows(database.connection())?;
    let end = records::head(database.connection())?.seq;
    loop {
        let seq = convert_step(database, plans, STEP)?.seq;
        progress(seq, end);
        if seq >= end {
            break;
        }
    }
    finish(database.connection())?;
    for file in paths.format_3_rows() {
        // A file that stays is in nobody's way.
        let _ = fs::remove_file(file);
    }
    Ok(())
}

/// Takes at most so many records into the rows, in one transaction. Returns up
/// to where they stand.
pub(super) fn convert_step(database: &mut Database, plans: &Plans, most: u64) -> Result<Head, SqliteError> {
    database.connection().execute_batch("BEGIN IMMEDIATE")?;
    let taken = take_records(database, plans, most);
    database.connection().execute_batch(if taken.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    taken
}

fn take_records(database: &mut Database, plans: &Plans, most: u64) -> Result<Head, SqliteError> {
    let RowsHead { mut head, .. } = ready(database.rows_head())?;
    for record in records::after(database.connection(), head, most)? {
        ready(project(database, plans, &record))?;
        head = Head::after(&record);
    }
    Ok(head)
}

fn finish(connection: &Connection) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    // Format 2 had its rows in this file.
    for name in ["standing", "operations", "environments", "requests", "ready_times", "marks", "holdings"] {
        transaction.execute_batch(&format!("DROP TABLE IF EXISTS derived_{name}"))?;
    }
    transaction.execute_batch(INDEXES)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}
