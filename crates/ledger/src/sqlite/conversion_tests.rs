//! Tests of files of earlier formats: each gets its rows once, whenever it is
//! interrupted, and keeps its records.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::database::Database;
use super::tests::{file, filled, open};
use super::*;
use crate::rows::registry::Registry;
use crate::testing::fixtures::{at, life};

/// Makes a file of this format one of an earlier format. Formats 1 and 2 had
/// rows of another kind in the same file, format 3 in another one.
fn as_format(folder: &Path, format: i64) {
    let file = file(folder);
    for table in schema::ROW_TABLES {
        file.execute_batch(&format!("DROP TABLE {table}")).unwrap();
    }
    file.execute_batch("DROP INDEX records_requests; DROP INDEX leases_held").unwrap();
    let old = "CREATE TABLE derived_operations (operation TEXT PRIMARY KEY, entry TEXT)";
    match format {
        3 => Connection::open(folder.join("derived.db")).unwrap().execute_batch(old).unwrap(),
        _ => file.execute_batch(old).unwrap(),
    }
    file.pragma_update(None, "user_version", format).unwrap();
}

/// How many tables and files of earlier formats there are.
fn remains(folder: &Path) -> i64 {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'derived_%'";
    let tables: i64 = file(folder).query_row(sql, [], |row| row.get(0)).unwrap();
    tables + i64::from(folder.join("derived.db").exists())
}

async fn is_converted(folder: &Path) {
    let ledger = open(folder);
    assert_eq!(ledger.read(Filter::All, 0).await.unwrap(), life());
    let fold = Registry::fold(&life()).unwrap();
    assert!(ledger.operations(Operations::All).await.unwrap().iter().eq(fold.operations().values()));
    assert_eq!(ledger.audit(None).await.unwrap().differing, Vec::<String>::new());
    let day = life()[0].entry.at.to_zoned(jiff::tz::TimeZone::UTC).date();
    assert_eq!(ledger.read(Filter::Requests(day), 0).await.unwrap().len(), 3);
    drop(ledger);
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name IN ('leases_held', 'records_requests')";
    assert_eq!(file(folder).query_row(sql, [], |row| row.get(0)), Ok(2));
    assert_eq!(remains(folder), 0);
    let mut told = false;
    drop(SqliteLedger::open_with_progress(folder, &mut |_, _| told = true).unwrap());
    assert!(!told, "it is converted once");
}

#[tokio::test]
async fn a_file_of_an_earlier_format_is_converted_once() {
    for format in [1, 2, 3] {
        let folder = filled().await;
        as_format(folder.path(), format);
        assert_eq!(remains(folder.path()), 1);
        let mut told = Vec::new();
        drop(SqliteLedger::open_with_progress(folder.path(), &mut |seq, of| told.push((seq, of))).unwrap());
        assert_eq!(told, [(life().len() as u64, life().len() as u64)], "{format}");
        is_converted(folder.path()).await;
    }
}

#[tokio::test]
async fn a_file_of_an_earlier_format_is_left_alone_while_a_process_uses_it() {
    for format in [1, 2, 3] {
        let folder = filled().await;
        let user = open(folder.path());
        as_format(folder.path(), format);
        let refused = SqliteLedger::open(folder.path()).unwrap_err();
        let told = matches!(&refused, LedgerError::InUse { found, known: 4, .. } if *found == format);
        assert!(told && refused.hint().contains("stop"), "{refused:?}");
        assert_eq!(remains(folder.path()), 1);
        drop(user);
        is_converted(folder.path()).await;
    }
}

#[tokio::test]
async fn an_interrupted_conversion_continues_where_it_was() {
    for steps in 0..6 {
        let folder = filled().await;
        as_format(folder.path(), 3);
        let paths = LedgerPaths::prepare(folder.path()).unwrap();
        let mut database = Database::new(file(folder.path()), paths, Arc::new(|| at(0)));
        schema::create_rows(database.connection()).unwrap();
        for step in 1..=steps {
            let head = schema::convert_step(&mut database, &Plans::default(), 4).unwrap();
            assert_eq!(head.seq, 4 * step);
        }
        // A kill in the middle of a step: its transaction never ends.
        database.connection().execute_batch("BEGIN IMMEDIATE; DELETE FROM operations").unwrap();
        drop(database);
        is_converted(folder.path()).await;
    }
}

#[tokio::test]
async fn a_record_that_cannot_follow_stops_the_conversion_and_is_named() {
    let folder = filled().await;
    let records = life();
    let last = records.last().unwrap();
    let again =
        exokit_model::event::Record::chain(last.hash, last.seq + 1, records[0].entry.clone()).unwrap();
    let text = String::from_utf8(again.entry.to_bytes().unwrap()).unwrap();
    super::records::insert(&file(folder.path()), &again, &text).unwrap();
    as_format(folder.path(), 3);
    fs::remove_file(folder.path().join("ledger.head")).unwrap();
    for _ in 0..2 {
        let refused = SqliteLedger::open(folder.path()).unwrap_err();
        assert!(
            matches!(&refused, LedgerError::IllegalRecord(illegal) if illegal.seq == again.seq),
            "{refused:?}"
        );
    }
}
