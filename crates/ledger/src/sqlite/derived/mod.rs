//! The projection in tables: rows that stand for the records up to a sequence
//! number, in a file of their own.
//!
//! They are computed and never believed over the records. They are written
//! after the records, and nobody waits for the disk to have them: what a power
//! failure takes of them is computed again. Each row carries a digest of
//! itself; where one does not fit, where a page is damaged, where the tables are
//! missing or of another version, or where they name another record than the
//! ledger has, they are made again and filled from the first record.

#[cfg(test)]
mod damage_tests;
mod load;
mod query;
#[cfg(test)]
mod several_tests;
mod sheet;
#[cfg(test)]
mod tests;

use std::fs;
use std::time::Duration;

use exokit_model::canonical::Digest;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, ffi, params};

use super::keeper;
use super::store::{self, Files, Place, Tell, Trouble, from_column, keep_plans, to_column};
use crate::error::LedgerError;
use crate::ledger::Head;
use crate::plans::Plans;
use crate::projection::Misfit;

pub(super) use load::load;
pub(super) use query::{environments, holdings, operations, ready_times, requested};
use sheet::Sheet;

/// Version of the tables and of what is computed into them.
const VERSION: i64 = 3;

const NAMES: [&str; 7] =
    ["standing", "operations", "environments", "requests", "ready_times", "marks", "holdings"];

const TABLES: &str = "
CREATE TABLE derived_standing (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    roster INTEGER NOT NULL,
    misfit TEXT,
    sum BLOB NOT NULL
) STRICT;
CREATE TABLE derived_operations (
    operation TEXT PRIMARY KEY,
    environment TEXT NOT NULL,
    digest TEXT NOT NULL,
    phase TEXT NOT NULL,
    until INTEGER NOT NULL,
    entry TEXT NOT NULL,
    sum BLOB NOT NULL
) STRICT;
CREATE INDEX derived_operations_digest ON derived_operations (digest);
CREATE INDEX derived_operations_open ON derived_operations (phase, until)
    WHERE phase NOT IN ('succeeded', 'rolled-back', 'rejected');
CREATE INDEX derived_operations_environment ON derived_operations (environment)
    WHERE phase NOT IN ('succeeded', 'rolled-back', 'rejected');
CREATE TABLE derived_environments (
    environment TEXT PRIMARY KEY,
    over INTEGER NOT NULL,
    until INTEGER,
    entry TEXT NOT NULL,
    sum BLOB NOT NULL
) STRICT;
CREATE INDEX derived_environments_present ON derived_environments (environment) WHERE over = 0;
CREATE INDEX derived_environments_until ON derived_environments (until)
    WHERE over = 0 AND until IS NOT NULL;
CREATE TABLE derived_requests (
    day TEXT NOT NULL,
    requester TEXT NOT NULL,
    team TEXT NOT NULL,
    hourly TEXT NOT NULL,
    sum BLOB NOT NULL,
    PRIMARY KEY (day, requester, team)
) STRICT, WITHOUT ROWID;
CREATE TABLE derived_ready_times (
    zone TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry TEXT NOT NULL,
    sum BLOB NOT NULL,
    PRIMARY KEY (zone, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE derived_marks (
    token TEXT NOT NULL,
    operation TEXT NOT NULL,
    PRIMARY KEY (token, operation)
) STRICT, WITHOUT ROWID;
CREATE TABLE derived_holdings (
    id TEXT NOT NULL,
    environment TEXT NOT NULL,
    PRIMARY KEY (id, environment)
) STRICT, WITHOUT ROWID;
";

/// Up to where the tables stand for the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) head: Head,
    pub(super) roster: u64,
    /// Why the record after `head` cannot be taken in, if it cannot.
    pub(super) misfit: Option<String>,
}

impl Standing {
    const EMPTY: Standing = Standing { head: Head::EMPTY, roster: 0, misfit: None };

    fn sum(&self) -> Digest {
        let (seq, roster) = (self.head.seq.to_string(), self.roster.to_string());
        let misfit = self.misfit.as_deref().unwrap_or_default();
        sum(&[&VERSION.to_string(), &seq, &self.head.hash.to_string(), &roster, misfit])
    }

    /// None when it is of another version, was damaged, or is not there.
    fn read(connection: &Connection) -> Result<Option<Self>, Trouble> {
        let row = connection
            .prepare_cached("SELECT version, seq, hash, roster, misfit, sum FROM derived_standing")
            .and_then(|mut statement| {
                let row = statement.query_row([], |row| {
                    let head = Head { seq: from_column(row.get(1)?), hash: Digest(row.get(2)?) };
                    let standing = Self { head, roster: from_column(row.get(3)?), misfit: row.get(4)? };
                    Ok((row.get::<_, i64>(0)?, standing, Digest(row.get(5)?)))
                });
                row.optional()
            });
        let row = match row {
            Err(error) if is_strange(&error) => return Ok(None),
            row => row.map_err(Trouble::of_tables)?,
        };
        let whole = row.filter(|(version, standing, sum)| *version == VERSION && standing.sum() == *sum);
        Ok(whole.map(|(_, standing, _)| standing))
    }

    fn write(&self, connection: &Connection) -> Result<(), Trouble> {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO derived_standing (one, version, seq, hash, roster, misfit, sum)
                 VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                VERSION,
                to_column(self.head.seq),
                self.head.hash.0,
                to_column(self.roster),
                self.misfit,
                self.sum().0,
            ])?;
        Ok(())
    }
}

/// How the tables stand to the records.
enum State {
    /// They say what the records say.
    Current,
    /// A record cannot be taken in, so they say what held before it.
    Stuck(LedgerError),
    /// They must be filled, or filled again.
    Behind,
}

/// Which making of the tables: it changes each time that they are made. None
/// where the file does not even say that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Making(Option<i64>);

pub(super) fn making(tables: &Connection) -> Making {
    Making(tables.query_row("PRAGMA schema_version", [], |row| row.get(0)).ok())
}

/// How the tables stand to the records now.
fn state(files: &Files) -> Result<State, Trouble> {
    // The tables first: what is appended after they were looked at shows.
    let Some(standing) = Standing::read(&files.tables)? else { return Ok(State::Behind) };
    let head = store::head(&files.records)?;
    match standing.misfit {
        _ if standing.head == head => Ok(State::Current),
        Some(why) if store::holds(&files.records, standing.head)? => {
            Ok(State::Stuck(LedgerError::Misfit(Misfit { seq: standing.head.seq + 1, why })))
        }
        _ => Ok(State::Behind),
    }
}

/// An answer from the tables.
pub(super) enum Reply<T> {
    /// What they say.
    Known(T),
    /// They must be filled first.
    Behind(Filling),
}

/// A filling of the tables, in steps: up to where the ledger ended when it was
/// begun, as others may append without end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling {
    aim: u64,
    /// How many steps it may still take.
    steps: u64,
    /// The tables that are not as they were written, and are made again.
    broken: Option<Making>,
}

impl Filling {
    pub(super) fn new(files: &Files, broken: Option<Making>) -> Result<Self, Trouble> {
        let aim = store::head(&files.records)?.seq;
        // More than are needed even where it finds on its way that it must begin
        // again: only tables that never stay as they are written take them all.
        Ok(Self { aim, steps: 2 * (aim / store::STEP + 2), broken })
    }

    /// Takes in a step of records. Says up to which record the tables stand, and
    /// whether that was all.
    pub(super) fn step(&mut self, files: &Files, plans: &Plans) -> Result<(u64, bool), Trouble> {
        self.steps = self.steps.checked_sub(1).ok_or(Trouble::Spoiled)?;
        let (seq, done) = advance(files, plans, self.broken.take())?;
        Ok((seq, done || seq >= self.aim))
    }
}

/// Asks the tables, if they say what the records say.
pub(super) fn ask<T>(
    files: &Files,
    question: impl FnOnce(&Connection) -> Result<T, Trouble>,
) -> Result<Reply<T>, Trouble> {
    // One view of the tables: the one that was compared with the records.
    let transaction = files.tables.unchecked_transaction().map_err(Trouble::of_tables)?;
    let answer = match state(files) {
        Ok(State::Current) => question(&transaction).map_err(Trouble::of_tables),
        Ok(State::Stuck(misfit)) => Err(misfit.into()),
        Ok(State::Behind) => return Ok(Reply::Behind(Filling::new(files, None)?)),
        Err(trouble) => Err(trouble),
    };
    match answer {
        Err(trouble) if are_broken(&trouble) => {
            Ok(Reply::Behind(Filling::new(files, Some(making(&transaction)))?))
        }
        answer => answer.map(Reply::Known),
    }
}

/// Whether the tables are not what was written there: making them again helps.
fn are_broken(trouble: &Trouble) -> bool {
    match trouble {
        Trouble::Tables(error) => is_damaged(error) || is_strange(error),
        Trouble::Spoiled => true,
        Trouble::Refused(_) | Trouble::Storage(_) => false,
    }
}

/// Whether a file is no database, or not in all places.
fn is_damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// Whether a file has not the tables that our statements name, or has in them
/// what we never write.
fn is_strange(error: &rusqlite::Error) -> bool {
    error.sqlite_extended_error_code().is_none_or(|code| code == ffi::SQLITE_ERROR)
}

/// Bytes of a page of a new file. A plan changes one row or two in each of some
/// twenty pages, and each of those is written whole.
const PAGE_BYTES: u32 = 1024;

/// How long to wait for another process that writes the tables. Records wait
/// meanwhile, and whoever needs longer was stopped.
pub(super) const BUSY_SECONDS: u64 = 1;

/// Opens the file of the tables for writing, and makes it where there is none.
/// One that cannot be opened because it is no database is replaced.
pub(super) fn open(place: &Place) -> rusqlite::Result<Connection> {
    match open_file(place) {
        Err(error) if is_damaged(&error) => {
            for end in ["", "-wal", "-shm"] {
                // What stays shows when the file is opened again.
                let _ = fs::remove_file(format!("{}{end}", place.tables().display()));
            }
            open_file(place)
        }
        opened => opened,
    }
}

fn open_file(place: &Place) -> rusqlite::Result<Connection> {
    let connection = Connection::open(place.tables())?;
    connection.busy_timeout(Duration::from_secs(BUSY_SECONDS))?;
    keep_plans(&connection)?;
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    // The file stays whole whatever happens; what was written last may be lost.
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "wal_autocheckpoint", keeper::PAGES_MAX)?;
    count(&connection)?;
    Ok(connection)
}

/// Makes a database without tables of one that may be damaged in any place. What
/// others read from it meanwhile they read to its end.
fn empty(connection: &Connection) -> rusqlite::Result<()> {
    // It is read once, so that its log is known of: without that it would be
    // written beside its log, and wait for all who have it open.
    let _ = count(connection);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, true)?;
    let emptied = connection.execute_batch("VACUUM");
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_RESET_DATABASE, false)?;
    emptied?;
    // It counts the makings from the beginning again, and whoever remembers the
    // tables of the same number would look for them where they no longer are.
    let number: i64 = connection.query_row("SELECT abs(random() % 1000000000)", [], |row| row.get(0))?;
    connection.pragma_update(None, "schema_version", number)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
}

/// Removes the tables.
pub(super) fn remove(connection: &Connection) -> rusqlite::Result<()> {
    NAMES
        .iter()
        .try_for_each(|name| connection.execute_batch(&format!("DROP TABLE IF EXISTS derived_{name}")))
}

/// Makes the tables, in place of those that are there.
fn make(connection: &Connection) -> rusqlite::Result<()> {
    remove(connection)?;
    connection.execute_batch(TABLES)
}

/// Makes the tables where they are missing or incomplete, and empties them.
fn clear(connection: &Connection) -> Result<(), Trouble> {
    make(connection).map_err(Trouble::of_tables)?;
    Standing::EMPTY.write(connection)
}

/// How many of the tables are there.
fn count(connection: &Connection) -> rusqlite::Result<usize> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'derived_%'";
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Up to which record the tables stand; none when they do not say.
pub(super) fn stands_at(tables: &Connection) -> Result<Option<Head>, Trouble> {
    Ok(Standing::read(tables)?.map(|standing| standing.head))
}

/// Fills the tables where they are behind, in steps: who is interrupted goes on
/// from there. Where more than a step is missing it tells how far it has come.
pub(super) fn fill(files: &Files, plans: &Plans, tell: Tell<'_>) -> Result<(), Trouble> {
    // Where some of them are missing, those that are there may not tell.
    let sound = count(&files.tables).is_ok_and(|count| [0, NAMES.len()].contains(&count));
    let mut filling = Filling::new(files, (!sound).then(|| making(&files.tables)))?;
    let from = stands_at(&files.tables).unwrap_or_default().map_or(0, |head| head.seq);
    loop {
        let (seq, done) = filling.step(files, plans)?;
        if from.abs_diff(filling.aim) > store::STEP {
            tell(seq, filling.aim.max(seq));
        }
        if done {
            return Ok(());
        }
    }
}

/// Takes in a step of what was appended, and says whether nothing is left to do.
/// Tables of another version, or of another ledger, are left to whoever asks
/// for them.
pub(super) fn follow(files: &Files, plans: &Plans) -> Result<bool, Trouble> {
    match stands_at(&files.tables)? {
        Some(head) if store::holds(&files.records, head)? => Ok(advance(files, plans, None)?.1),
        _ => Ok(true),
    }
}

/// Takes in a step of records, from the first one where the tables are broken:
/// they are then made again, unless somebody did so since they were found to be.
/// Returns up to which record they stand, and whether nothing is left to do.
fn advance(files: &Files, plans: &Plans, broken: Option<Making>) -> Result<(u64, bool), Trouble> {
    let afresh = || {
        empty(&files.tables).map_err(Trouble::of_tables)?;
        go_on(files, plans)
    };
    if broken.is_some_and(|broken| broken == making(&files.tables)) {
        return afresh();
    }
    match go_on(files, plans) {
        Err(trouble) if are_broken(&trouble) => afresh(),
        done => done,
    }
}

/// As [`advance`], with tables that are whole.
fn go_on(files: &Files, plans: &Plans) -> Result<(u64, bool), Trouble> {
    // Nobody is locked out for nothing.
    if let Some(seq) = settled(files)? {
        return Ok((seq, true));
    }
    let transaction = Transaction::new_unchecked(&files.tables, TransactionBehavior::Immediate)
        .map_err(Trouble::of_tables)?;
    let done = step(files, plans, store::STEP)?;
    transaction.commit().map_err(Trouble::of_tables)?;
    Ok(done)
}

/// Up to which record the tables stand, if there is none to take in.
fn settled(files: &Files) -> Result<Option<u64>, Trouble> {
    match (stands_at(&files.tables)?, state(files)?) {
        (None, _) | (_, State::Behind) => Ok(None),
        (Some(head), State::Current | State::Stuck(_)) => Ok(Some(head.seq)),
    }
}

/// As [`go_on`], in the transaction of the caller, with so many records.
fn step(files: &Files, plans: &Plans, most: u64) -> Result<(u64, bool), Trouble> {
    if let Some(seq) = settled(files)? {
        return Ok((seq, true));
    }
    let fits = match stands_at(&files.tables)? {
        Some(head) => store::holds(&files.records, head)?,
        None => false,
    };
    if !fits {
        clear(&files.tables)?;
    }
    let sheet = Sheet::open(&files.tables, plans).map_err(Trouble::of_tables)?;
    let Some(mut sheet) = sheet else { return Err(Trouble::Spoiled) };
    store::each(&files.records, sheet.standing().head, most, |record| {
        sheet.take(record).map_err(Trouble::of_tables)
    })?;
    let seq = sheet.standing().head.seq;
    sheet.flush().map_err(Trouble::of_tables)?;
    Ok((seq, !matches!(state(files)?, State::Behind)))
}

/// The digest of a row, over its columns.
fn sum(columns: &[&str]) -> Digest {
    Digest::of("exokit-derived/v1", columns.join("\u{0}").as_bytes())
}
