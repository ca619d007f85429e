//! The file: its tables, and the statements that read and write them.

use std::fs::{DirBuilder, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use exokit_model::canonical::{CanonicalError, Digest};
use exokit_model::event::{Entry, Record};
use exokit_model::text::excerpt;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use crate::check::{check_environment, check_epoch, check_head, check_unused};
use crate::error::LedgerError;
use crate::ledger::{Condition, Filter, Head};
use crate::plans::Plans;

use super::derived;
use super::keeper;
use super::liveness::{self, Liveness};

/// Format of the file; grows with each change of the tables. Format 2 had the
/// derived tables in the same file.
const FORMAT: i64 = 3;

/// Marks the file as an exokit ledger ("exok").
const APPLICATION: i64 = 0x6578_6f6b;

/// How long to wait for another process that writes.
const BUSY_SECONDS: u64 = 10;

/// `environment`, `operation` and `epoch` are computed from the entry, so they
/// cannot contradict it.
const TABLES: &str = "
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

/// Who holds leases is found without the leases of all operations that ever
/// ran. Files of format 2 that have no such index get it when they are opened.
const LEASES_HELD: &str =
    "CREATE INDEX IF NOT EXISTS leases_held ON leases (holder) WHERE holder IS NOT NULL";

/// Why a statement did not do what was asked.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The request is refused; the storage is well.
    Refused(LedgerError),
    /// The file of the records is not well.
    Storage(rusqlite::Error),
    /// The file of the tables that are computed from them is not well.
    Tables(rusqlite::Error),
    /// A row that is computed from the records is not as it was written.
    Spoiled,
}

impl Trouble {
    /// The same, of a statement that ran on the computed tables.
    pub(super) fn of_tables(trouble: impl Into<Trouble>) -> Self {
        match trouble.into() {
            Trouble::Storage(error) => Trouble::Tables(error),
            other => other,
        }
    }
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Trouble::Refused(error)
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Trouble::Storage(error)
    }
}

impl From<CanonicalError> for Trouble {
    fn from(error: CanonicalError) -> Self {
        Trouble::Refused(error.into())
    }
}

/// Where a ledger is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: PathBuf,
}

impl Place {
    /// Makes the folders, readable for their owner only.
    pub(super) fn prepare(folder: &Path) -> Result<Self, LedgerError> {
        let place = Self { folder: folder.to_owned() };
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(place.leases()).map_err(|error| place.not_writable(error.to_string()))?;
        Ok(place)
    }

    pub(super) fn leases(&self) -> PathBuf {
        self.folder.join("leases")
    }

    fn database(&self) -> PathBuf {
        self.folder.join("ledger.db")
    }

    /// Where the tables are that are computed from the records.
    pub(super) fn tables(&self) -> PathBuf {
        self.folder.join("derived.db")
    }

    /// Where it is noted how far the ledger had come.
    pub(super) fn high_water(&self) -> PathBuf {
        self.folder.join("ledger.head")
    }

    /// The file, for messages.
    pub(super) fn file(&self) -> String {
        self.database().display().to_string()
    }

    pub(super) fn not_writable(&self, why: String) -> LedgerError {
        LedgerError::NotWritable { path: self.file(), why }
    }

    /// Puts trouble into words that help, about the file that has it.
    pub(super) fn explain(&self, doing: &'static str, trouble: Trouble) -> LedgerError {
        let path = self.tables().display().to_string();
        match trouble {
            Trouble::Refused(error) => error,
            Trouble::Storage(error) => self.explain_records(doing, &error),
            Trouble::Tables(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => LedgerError::Full { path },
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    LedgerError::Busy { seconds: derived::BUSY_SECONDS }
                }
                _ => LedgerError::Tables { doing, path, why: error.to_string() },
            },
            Trouble::Spoiled => {
                let why = "they do not stay as they were written".to_owned();
                LedgerError::Tables { doing, path, why }
            }
        }
    }

    fn explain_records(&self, doing: &'static str, error: &rusqlite::Error) -> LedgerError {
        let path = self.file();
        let why = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => LedgerError::Full { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                LedgerError::Busy { seconds: BUSY_SECONDS }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                LedgerError::NotWritable { path, why }
            }
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                LedgerError::NotALedger { path, why }
            }
            _ => LedgerError::Storage { doing, path, why },
        }
    }

    /// Only one process at a time makes or converts the file.
    fn lock(&self) -> Result<File, LedgerError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join("open.lock"))
            .map_err(|error| self.not_writable(error.to_string()))?;
        file.lock().map_err(|error| self.not_writable(error.to_string()))?;
        Ok(file)
    }
}

/// Hears how far work on the derived tables has come: up to which record, of
/// how many.
pub type Tell<'a> = &'a mut dyn FnMut(u64, u64);

/// How many records are taken in by one transaction while tables are filled.
pub(super) const STEP: u64 = 5_000;

/// The two files of a ledger, opened.
pub(super) struct Files {
    /// The records and the leases.
    pub(super) records: Connection,
    /// The tables that are computed from the records.
    pub(super) tables: Connection,
}

/// Opens the files for writing, makes the tables where there are none, and
/// fills those that are computed where they do not fit the records. From then
/// on the ledger is shown to be open.
pub(super) fn open(place: &Place, plans: &Plans, tell: Tell<'_>) -> Result<(Files, Liveness), LedgerError> {
    let _lock = place.lock()?;
    let records = open_records(place)?;
    let trouble = |trouble| place.explain("opening", trouble);
    check_tail(&records).map_err(trouble)?;
    let tables = derived::open(place).map_err(|error| trouble(Trouble::of_tables(error)))?;
    let files = Files { records, tables };
    match derived::fill(&files, plans, tell) {
        // Whoever asks for the tables has them filled, or hears why that cannot
        // be. The records need them for nothing.
        Ok(()) | Err(Trouble::Tables(_) | Trouble::Spoiled) => {}
        Err(error) => return Err(place.explain("filling the tables of", error)),
    }
    let liveness = Liveness::enter(place, &files.records).map_err(trouble)?;
    Ok((files, liveness))
}

/// Opens the file of the records for writing, and makes it where there is none.
fn open_records(place: &Place) -> Result<Connection, LedgerError> {
    let explain = |error: rusqlite::Error| place.explain("opening", error.into());
    let mut connection = Connection::open(place.database()).map_err(explain)?;
    connection.busy_timeout(Duration::from_secs(BUSY_SECONDS)).map_err(explain)?;
    keep_plans(&connection).map_err(explain)?;
    check_format(place, &connection)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).map_err(explain)?;
    if mode != "wal" {
        return Err(LedgerError::Storage {
            doing: "switching to a write-ahead log in",
            path: place.file(),
            why: format!("the journal mode stays {mode}"),
        });
    }
    connection.pragma_update(None, "synchronous", "full").map_err(explain)?;
    make_tables(place, &mut connection).map_err(|trouble| place.explain("opening", trouble))?;
    connection.execute_batch(LEASES_HELD).map_err(explain)?;
    // From here on the keeper does that.
    connection.pragma_update(None, "wal_autocheckpoint", keeper::PAGES_MAX).map_err(explain)?;
    Ok(connection)
}

/// Keeps SQLite from planning a statement anew for each value that is bound to
/// it: with statistics in the file, or a build that can read them, it would do
/// that, and the planning takes longer than most of our statements.
pub(super) fn keep_plans(connection: &Connection) -> rusqlite::Result<bool> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
}

/// Opens the files a second time, for reading only.
pub(super) fn open_reader(place: &Place) -> Result<Files, LedgerError> {
    let open = |path: PathBuf, seconds: u64| {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(seconds))?;
        keep_plans(&connection)?;
        connection.pragma_update(None, "query_only", "on")?;
        Ok::<_, rusqlite::Error>(connection)
    };
    let explain = |trouble| place.explain("opening", trouble);
    let records = open(place.database(), BUSY_SECONDS).map_err(|error| explain(error.into()))?;
    let tables = open(place.tables(), derived::BUSY_SECONDS);
    Ok(Files { records, tables: tables.map_err(|error| explain(Trouble::of_tables(error)))? })
}

/// Opens the files once more, for copying their logs into them.
pub(super) fn open_keeper(place: &Place) -> rusqlite::Result<Files> {
    let open = |path: PathBuf| {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(BUSY_SECONDS))?;
        connection.pragma_update(None, "synchronous", "full")?;
        Ok::<_, rusqlite::Error>(connection)
    };
    Ok(Files { records: open(place.database())?, tables: open(place.tables())? })
}

fn check_format(place: &Place, connection: &Connection) -> Result<(), LedgerError> {
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let number = |sql| connection.query_row(sql, [], |row| row.get(0));
        Ok((
            number("PRAGMA application_id")?,
            number("PRAGMA user_version")?,
            number("SELECT count(*) FROM sqlite_schema")?,
        ))
    };
    let (application, format, tables) = read().map_err(|error| place.explain("opening", error.into()))?;
    if tables > 0 && application != APPLICATION {
        return Err(LedgerError::NotALedger {
            path: place.file(),
            why: "it is a database of another program".to_owned(),
        });
    }
    match format > FORMAT {
        true => Err(LedgerError::NewerFormat { path: place.file(), found: format, known: FORMAT }),
        false => Ok(()),
    }
}

/// Makes the tables of the records, or brings a file of an earlier format to
/// this one. Nobody may use it meanwhile: what an earlier version has computed
/// goes with its tables.
fn make_tables(place: &Place, connection: &mut Connection) -> Result<(), Trouble> {
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if format == FORMAT {
        return Ok(());
    }
    if format > 0 && liveness::is_open(place)? {
        return Err(LedgerError::InUse { path: place.file(), found: format, known: FORMAT }.into());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    match format {
        0 => {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
        }
        _ => derived::remove(&transaction)?,
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    Ok(transaction.commit()?)
}

/// A sequence number or epoch as SQLite holds it.
pub(super) fn to_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A sequence number or epoch from a column; never negative in our tables.
pub(super) fn from_column(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn head(connection: &Connection) -> Result<Head, Trouble> {
    let row = connection
        .prepare_cached("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()?;
    Ok(row.map_or(Head::EMPTY, |(seq, hash)| Head { seq: from_column(seq), hash: Digest(hash) }))
}

/// Checks the conditions of an append, inside its transaction.
pub(super) fn check(connection: &Connection, condition: &Condition) -> Result<(), Trouble> {
    if let Some(fence) = &condition.fence {
        let row = connection
            .prepare_cached("SELECT epoch, holder IS NOT NULL FROM leases WHERE operation = ?1")?
            .query_row([fence.operation.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
            .optional()?;
        let (epoch, held) = row.map_or((0, false), |(epoch, held)| (from_column(epoch), held));
        check_epoch(fence, epoch, held)?;
    }
    if let Some(operation) = &condition.unused {
        let used: bool = connection
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM records WHERE operation = ?1)")?
            .query_row([operation.as_str()], |row| row.get(0))?;
        check_unused(operation, used)?;
    }
    if let Some((environment, expected)) = &condition.environment_head {
        let found: i64 = connection
            .prepare_cached("SELECT coalesce(max(seq), 0) FROM records WHERE environment = ?1")?
            .query_row([environment.as_str()], |row| row.get(0))?;
        check_environment(environment, *expected, from_column(found))?;
    }
    if condition.head.is_some() {
        check_head(condition, head(connection)?.seq)?;
    }
    Ok(())
}

/// Puts entries behind the head, and says how many bytes they have. Nothing is
/// written when one of them cannot be.
pub(super) fn insert(
    connection: &Connection,
    mut head: Head,
    entries: Vec<Entry>,
) -> Result<(Vec<Record>, usize), Trouble> {
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let text = entry.to_bytes()?;
        let (prev, seq) = (head.hash, head.seq + 1);
        let record = Record { seq, prev, hash: Record::hash_of_bytes(prev, seq, &text), entry };
        head = Head::after(&record);
        rows.push((record, text));
    }
    let mut statement =
        connection.prepare_cached("INSERT INTO records (seq, prev, hash, entry) VALUES (?1, ?2, ?3, ?4)")?;
    let (mut written, mut bytes) = (Vec::with_capacity(rows.len()), 0);
    for (record, text) in rows {
        statement.execute(params![
            to_column(record.seq),
            record.prev.0,
            record.hash.0,
            String::from_utf8_lossy(&text),
        ])?;
        written.push(record);
        bytes += text.len();
    }
    Ok((written, bytes))
}

/// Reads records, and checks each against its own hash and the one before.
pub(super) fn select(
    connection: &Connection,
    filter: &Filter,
    after: u64,
    most: usize,
) -> Result<Vec<Record>, Trouble> {
    let (clause, key) = match filter {
        Filter::All => ("?2 = ''", ""),
        Filter::Account => ("environment IS NULL AND ?2 = ''", ""),
        Filter::Environment(name) => ("environment = ?2", name.as_str()),
        Filter::Operation(operation) => ("operation = ?2", operation.as_str()),
    };
    let sql = format!(
        "SELECT seq, prev, hash, entry FROM records WHERE seq > ?1 AND {clause} ORDER BY seq LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![to_column(after), key, most])?;
    let mut records: Vec<Record> = Vec::new();
    while let Some(row) = rows.next()? {
        let record = decode(row)?;
        if let (Filter::All, Some(last)) = (filter, records.last())
            && (record.seq != last.seq + 1 || record.prev != last.hash)
        {
            return Err(damaged(record.seq, "it does not follow the record before it"));
        }
        records.push(record);
    }
    Ok(records)
}

/// Whether `head` is the record of the ledger with its number.
pub(super) fn holds(connection: &Connection, head: Head) -> Result<bool, Trouble> {
    Ok(head == Head::EMPTY || before(connection, head.seq + 1)? == head)
}

/// The record before the one with number `seq`; empty when there is none.
pub(super) fn before(connection: &Connection, seq: u64) -> Result<Head, Trouble> {
    let seq = seq.saturating_sub(1);
    let hash = connection
        .prepare_cached("SELECT hash FROM records WHERE seq = ?1")?
        .query_row([to_column(seq)], |row| row.get(0))
        .optional()?;
    Ok(hash.map_or(Head::EMPTY, |hash| Head { seq, hash: Digest(hash) }))
}

/// Goes through at most so many records behind `head`, each checked against
/// its own hash and the record before it.
pub(super) fn each(
    connection: &Connection,
    mut head: Head,
    most: u64,
    mut work: impl FnMut(&Record) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut statement = connection
        .prepare_cached("SELECT seq, prev, hash, entry FROM records WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query([to_column(head.seq), to_column(most)])?;
    while let Some(row) = rows.next()? {
        let record = decode(row)?;
        if record.seq != head.seq + 1 || record.prev != head.hash {
            return Err(damaged(record.seq, "it does not follow the record before it"));
        }
        work(&record)?;
        head = Head::after(&record);
    }
    Ok(())
}

/// How many records at the end of the ledger are checked at every start.
const TAIL: u64 = 64;

/// Checks the end of the ledger: what a crash, a bad disk or a hand may have
/// changed last. The whole chain is checked by an audit.
fn check_tail(connection: &Connection) -> Result<(), Trouble> {
    let from = before(connection, head(connection)?.seq.saturating_sub(TAIL) + 1)?;
    each(connection, from, TAIL, |_| Ok(()))
}

pub(super) fn damaged(seq: u64, why: &str) -> Trouble {
    Trouble::Refused(LedgerError::Damaged { seq, why: why.to_owned() })
}

fn decode(row: &Row<'_>) -> Result<Record, Trouble> {
    let seq = from_column(row.get(0)?);
    let (prev, hash) = (Digest(row.get(1)?), Digest(row.get(2)?));
    let text = row.get_ref(3)?.as_bytes().map_err(rusqlite::Error::from)?;
    // The very bytes that were written, so that nothing beside what this
    // program reads can be slipped in or lost.
    if Record::hash_of_bytes(prev, seq, text) != hash {
        return Err(damaged(seq, "its hash does not fit its content"));
    }
    let entry: Entry = serde_json::from_slice(text)
        .map_err(|error| damaged(seq, &format!("it cannot be read: {}", excerpt(&error))))?;
    Ok(Record { seq, prev, hash, entry })
}
