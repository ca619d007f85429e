//! The statements that read and write records.

use exokit_model::canonical::Digest;
use exokit_model::event::{Entry, Record};
use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::text::excerpt;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::paths::SqliteError;
use crate::condition::Filter;
use crate::error::LedgerError;
use crate::head::Head;

/// A sequence number or epoch as SQLite holds it.
pub(super) fn to_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A sequence number or epoch from a column; never negative in our tables.
pub(super) fn from_column(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn head(connection: &Connection) -> Result<Head, SqliteError> {
    let row = connection
        .prepare_cached("SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?)))
        .optional()?;
    Ok(row.map_or(Head::EMPTY, |(seq, hash)| Head { seq: from_column(seq), hash: Digest(hash) }))
}

/// The hash of the record with a number; none when there is no such record.
pub(super) fn hash_of(connection: &Connection, seq: u64) -> Result<Option<Digest>, SqliteError> {
    let hash = connection
        .prepare_cached("SELECT hash FROM records WHERE seq = ?1")?
        .query_row([to_column(seq)], |row| row.get(0))
        .optional()?;
    Ok(hash.map(Digest))
}

pub(super) fn environment_head(connection: &Connection, name: &EnvironmentName) -> Result<u64, SqliteError> {
    let seq = connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM records WHERE environment = ?1")?
        .query_row([name.as_str()], |row| row.get(0))?;
    Ok(from_column(seq))
}

pub(super) fn newest_epoch(
    connection: &Connection,
    operation: &OperationId,
) -> Result<Option<u64>, SqliteError> {
    let epoch: Option<i64> = connection
        .prepare_cached("SELECT max(epoch) FROM records WHERE operation = ?1")?
        .query_row([operation.as_str()], |row| row.get(0))?;
    Ok(epoch.map(from_column))
}

pub(super) fn insert(connection: &Connection, record: &Record, text: &str) -> Result<(), SqliteError> {
    connection
        .prepare_cached("INSERT INTO records (seq, prev, hash, entry) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![to_column(record.seq), record.prev.0, record.hash.0, text])?;
    Ok(())
}

/// The condition of a filter, with a text for its parameter `?2`.
pub(super) fn condition(filter: &Filter) -> (&'static str, String) {
    match filter {
        Filter::All => ("?2 = ''", String::new()),
        Filter::Account => ("environment IS NULL AND ?2 = ''", String::new()),
        Filter::Environment(name) => ("environment = ?2", name.to_string()),
        Filter::Operation(operation) => ("operation = ?2", operation.to_string()),
        // As the index says it, so that it is used.
        Filter::Requests(day) => (
            "substr(entry ->> '$.at', 1, 10) = ?2
             AND entry ->> '$.event.type' IN ('plan-proposed', 'plan-rejected')",
            day.to_string(),
        ),
    }
}

/// The question for records behind `?1` that meet a condition on `?2`.
pub(super) fn select_sql(condition: &str) -> String {
    format!("SELECT seq, prev, hash, entry FROM records WHERE seq > ?1 AND {condition} ORDER BY seq LIMIT ?3")
}

/// Reads records, and checks each against its own hash, and against the one
/// before where no other can be between them.
pub(super) fn select(
    connection: &Connection,
    filter: &Filter,
    after: u64,
    most: usize,
) -> Result<Vec<Record>, SqliteError> {
    let (condition, key) = condition(filter);
    let mut statement = connection.prepare_cached(&select_sql(condition))?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![to_column(after), key, most])?;
    let mut records: Vec<Record> = Vec::new();
    while let Some(row) = rows.next()? {
        let record = decode(row)?;
        if let (Filter::All, Some(last)) = (filter, records.last())
            && !Head::after(last).precedes(&record)
        {
            return Err(damaged(record.seq, "it does not follow the record before it"));
        }
        records.push(record);
    }
    Ok(records)
}

/// At most so many records behind `head`, each checked against its own hash
/// and the record before it.
pub(super) fn after(connection: &Connection, head: Head, most: u64) -> Result<Vec<Record>, SqliteError> {
    let records = select(connection, &Filter::All, head.seq, usize::try_from(most).unwrap_or(usize::MAX))?;
    match records.first() {
        Some(first) if !head.precedes(first) => {
            Err(damaged(first.seq, "it does not follow the record before it"))
        }
        _ => Ok(records),
    }
}

/// How many records at the end of the ledger are checked at every start.
const TAIL: u64 = 64;

/// Checks the end of the ledger: what a crash, a bad disk or a hand may have
/// changed last. The whole chain is checked by an audit.
pub(super) fn check_tail(connection: &Connection) -> Result<(), SqliteError> {
    let seq = head(connection)?.seq.saturating_sub(TAIL);
    let from = match seq {
        0 => Head::EMPTY,
        seq => {
            let hash = hash_of(connection, seq)?.ok_or_else(|| damaged(seq, "it is missing"))?;
            Head { seq, hash }
        }
    };
    after(connection, from, TAIL).map(drop)
}

pub(super) fn damaged(seq: u64, why: &str) -> SqliteError {
    SqliteError::Ledger(LedgerError::Damaged { seq, why: why.to_owned() })
}

fn decode(row: &Row<'_>) -> Result<Record, SqliteError> {
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
