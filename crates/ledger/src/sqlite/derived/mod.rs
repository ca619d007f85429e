//! The projection in tables: rows that stand for the records up to a sequence
//! number, written in the same transaction as the records.
//!
//! They are computed and never believed over the records. Each row carries a
//! digest of itself; where one does not fit, where the tables are missing or
//! of another version, or where they name another record than the ledger has,
//! they are emptied and filled again from the first record.

mod load;
mod query;
mod sheet;
#[cfg(test)]
mod tests;

use exokit_model::canonical::Digest;
use rusqlite::{Connection, OptionalExtension, params};

use super::store::{self, Trouble, from_column, to_column};
use crate::error::LedgerError;
use crate::ledger::Head;
use crate::plans::Plans;
use crate::projection::Misfit;

pub(super) use load::load;
pub(super) use query::{active, environments, holdings, operations, ready_times, requested};
pub(super) use sheet::Sheet;

/// Version of the tables and of what is computed into them.
const VERSION: i64 = 3;

/// How many records at the end of the ledger are checked at every start.
const TAIL: u64 = 64;

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

    /// None when it is of another version or was damaged.
    fn read(connection: &Connection) -> Result<Option<Self>, Trouble> {
        let row = connection
            .prepare_cached("SELECT version, seq, hash, roster, misfit, sum FROM derived_standing")?
            .query_row([], |row| {
                let head = Head { seq: from_column(row.get(1)?), hash: Digest(row.get(2)?) };
                let standing = Self { head, roster: from_column(row.get(3)?), misfit: row.get(4)? };
                Ok((row.get::<_, i64>(0)?, standing, Digest(row.get(5)?)))
            })
            .optional()?;
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
pub(super) enum State {
    /// They say what the records say.
    Current,
    /// A record cannot be taken in, so they say what held before it.
    Stuck(LedgerError),
    /// They must be filled, or filled again.
    Behind,
}

/// How the tables stand to the records now.
pub(super) fn state(connection: &Connection) -> Result<State, Trouble> {
    let Some(standing) = Standing::read(connection)? else { return Ok(State::Behind) };
    let head = store::head(connection)?;
    match standing.misfit {
        _ if standing.head == head => Ok(State::Current),
        Some(why) if store::holds(connection, standing.head)? => {
            Ok(State::Stuck(LedgerError::Misfit(Misfit { seq: standing.head.seq + 1, why })))
        }
        _ => Ok(State::Behind),
    }
}

/// An answer from the tables.
pub(super) enum Reply<T> {
    /// What they say.
    Known(T),
    /// They must be filled first, from the beginning if a row was damaged.
    Behind {
        /// Whether a row was damaged.
        afresh: bool,
    },
}

/// Asks the tables, if they say what the records say.
pub(super) fn ask<T>(
    connection: &Connection,
    question: impl FnOnce(&Connection) -> Result<T, Trouble>,
) -> Result<Reply<T>, Trouble> {
    // One view of records and tables: nobody writes between the two.
    let transaction = connection.unchecked_transaction()?;
    match state(&transaction)? {
        State::Current => {}
        State::Stuck(misfit) => return Err(misfit.into()),
        State::Behind => return Ok(Reply::Behind { afresh: false }),
    }
    match question(&transaction) {
        Err(Trouble::Spoiled) => Ok(Reply::Behind { afresh: true }),
        answer => answer.map(Reply::Known),
    }
}

/// Makes the tables where they are missing or incomplete, and empties them.
pub(super) fn clear(connection: &Connection) -> Result<(), Trouble> {
    for name in NAMES {
        connection.execute_batch(&format!("DROP TABLE IF EXISTS derived_{name}"))?;
    }
    connection.execute_batch(TABLES)?;
    Standing::EMPTY.write(connection)
}

/// Whether all tables are there.
pub(super) fn exist(connection: &Connection) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'derived_%'";
    let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(usize::try_from(count) == Ok(NAMES.len()))
}

/// Takes in at most so many records, in the transaction of the caller. Returns
/// up to which record the tables stand, and whether nothing is left to do.
pub(super) fn advance(
    connection: &Connection,
    plans: &Plans,
    afresh: bool,
    most: u64,
) -> Result<(u64, bool), Trouble> {
    let standing = match afresh {
        true => None,
        false => Standing::read(connection)?,
    };
    let fits = match &standing {
        Some(standing) => store::holds(connection, standing.head)?,
        None => false,
    };
    if !fits {
        clear(connection)?;
    }
    let Some(mut sheet) = Sheet::open(connection, plans)? else { return Err(Trouble::Spoiled) };
    let taken = store::each(connection, sheet.standing().head, most, |record| sheet.take(record));
    match taken {
        Ok(()) => {}
        // A damaged row: begin again.
        Err(Trouble::Spoiled) => {
            clear(connection)?;
            return Ok((0, false));
        }
        Err(trouble) => return Err(trouble),
    }
    let seq = sheet.standing().head.seq;
    sheet.flush()?;
    Ok((seq, !matches!(state(connection)?, State::Behind)))
}

/// Checks the end of the ledger: what a crash, a bad disk or a hand may have
/// changed last. The whole chain is checked by an audit.
pub(super) fn check_tail(connection: &Connection) -> Result<(), Trouble> {
    let head = store::head(connection)?;
    if let Some(standing) = Standing::read(connection)?
        && standing.head.seq > head.seq
    {
        let why = format!("it is missing: the ledger ends at {}, and once ended later", head.seq);
        return Err(LedgerError::Damaged { seq: head.seq + 1, why }.into());
    }
    let from = store::before(connection, head.seq.saturating_sub(TAIL) + 1)?;
    store::each(connection, from, TAIL, |_| Ok(()))
}

/// The digest of a row, over its columns.
fn sum(columns: &[&str]) -> Digest {
    Digest::of("exokit-derived/v1", columns.join("\u{0}").as_bytes())
}
