//! Tests of the derived tables: they say what the records say, always.

use std::path::Path;
use std::sync::Arc;

use exokit_model::event::Record;
use exokit_model::plan::Action;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::*;
use crate::ledger::{Condition, Filter, Ledger as _};
use crate::projection::{Environments, Operations, Registry};
use crate::sqlite::SqliteLedger;
use crate::testing::{Story, at, chain, entry, life, operation, plan};

pub(super) fn files(folder: &Path) -> Files {
    store::open_reader(&Place::prepare(folder).unwrap()).unwrap()
}

/// The tables, to be changed.
pub(super) fn tables(folder: &Path) -> Connection {
    Connection::open(folder.join("derived.db")).unwrap()
}

/// The records, to be changed.
pub(super) fn records_of(folder: &Path) -> Connection {
    Connection::open(folder.join("ledger.db")).unwrap()
}

async fn write(folder: &Path, records: &[Record]) {
    let ledger = SqliteLedger::open(folder).unwrap();
    for record in records {
        ledger.append(&Condition::default(), vec![record.entry.clone()]).await.unwrap();
    }
}

pub(super) async fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &life()).await;
    folder
}

pub(super) fn loaded(folder: &Path) -> Registry {
    load(&tables(folder)).unwrap().unwrap()
}

pub(super) fn is_current(folder: &Path) -> bool {
    matches!(state(&files(folder)).unwrap(), State::Current)
}

/// Records that many rows are computed from.
pub(super) fn many() -> Vec<Record> {
    let stories = (0..100).map(|number| Story::new(plan(number, Action::Provision), 0));
    chain(stories.flat_map(|story| story.entries))
}

/// Puts records in, and leaves the tables behind.
pub(super) fn insert(folder: &Path, records: &[Record]) {
    let connection = records_of(folder);
    let entries = records.iter().map(|record| record.entry.clone()).collect();
    store::insert(&connection, store::head(&connection).unwrap(), entries).unwrap();
}

#[tokio::test]
async fn the_tables_follow_every_record_without_being_filled() {
    let folder = tempfile::tempdir().unwrap();
    let records = life();
    for length in 0..records.len() {
        write(folder.path(), &records[length..=length]).await;
        assert!(is_current(folder.path()), "{length}");
        assert_eq!(loaded(folder.path()), Registry::fold(&records[..=length]).unwrap(), "{length}");
    }
}

#[tokio::test]
async fn whatever_a_power_failure_leaves_of_the_tables_they_are_in_line_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    for record in life() {
        ledger.append(&Condition::default(), vec![record.entry]).await.unwrap();
        // Who asks for the tables has them brought in line.
        ledger.operations(Operations::Active).await.unwrap();
    }
    let names = ["ledger.db", "ledger.db-wal", "derived.db"];
    let wal = std::fs::read(folder.path().join("derived.db-wal")).unwrap();
    let fold = Registry::fold(&life()).unwrap();
    let mut stood = std::collections::BTreeSet::new();
    // In and between pages, each with 24 bytes before it.
    let page = PAGE_BYTES as usize + 24;
    for length in (0..wal.len()).step_by(page * 5 / 2) {
        let torn = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::copy(folder.path().join(name), torn.path().join(name)).unwrap();
        }
        std::fs::write(torn.path().join("derived.db-wal"), &wal[..length]).unwrap();
        if count(&tables(torn.path())).unwrap() == NAMES.len()
            && let Some(head) = stands_at(&tables(torn.path())).unwrap()
        {
            assert_eq!(load(&tables(torn.path())).unwrap().map(|found| found.head()), Some(head));
            stood.insert(head.seq);
        }
        drop(SqliteLedger::open(torn.path()).unwrap());
        assert_eq!(loaded(torn.path()), fold, "{length}");
    }
    assert!(stood.len() > life().len() / 2, "{stood:?}");
}

/// The tables where format 2 had them, and format 1 when it was interrupted as
/// it was brought to format 2.
fn as_format(folder: &Path, format: i64) {
    let files = Files { records: records_of(folder), tables: records_of(folder) };
    assert!(advance(&files, &Plans::default(), None).unwrap().1);
    files.records.pragma_update(None, "user_version", format).unwrap();
    assert_eq!(load(&files.records).unwrap().unwrap().operations().len(), 3);
}

#[tokio::test]
async fn a_ledger_of_an_earlier_format_gets_tables_of_their_own() {
    for format in [1, 2] {
        let folder = filled().await;
        as_format(folder.path(), format);
        fs::remove_file(folder.path().join("derived.db")).unwrap();
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        assert_eq!(ledger.read(Filter::All, 0).await.unwrap(), life());
        assert_eq!(loaded(folder.path()), Registry::fold(&life()).unwrap());
        assert_eq!(count(&records_of(folder.path())).unwrap(), 0, "{format}");
    }
}

#[tokio::test]
async fn a_ledger_of_an_earlier_format_is_left_alone_while_somebody_uses_it() {
    for format in [1, 2] {
        let folder = filled().await;
        let user = SqliteLedger::open(folder.path()).unwrap();
        as_format(folder.path(), format);
        let refused = SqliteLedger::open(folder.path()).unwrap_err();
        let told = matches!(&refused, LedgerError::InUse { found, known: 3, .. } if *found == format);
        assert!(told && refused.hint().contains("stop"), "{refused:?}");
        assert_eq!(count(&records_of(folder.path())).unwrap(), NAMES.len());
        drop(user);
        SqliteLedger::open(folder.path()).unwrap();
        assert_eq!(count(&records_of(folder.path())).unwrap(), 0, "{format}");
    }
}

#[tokio::test]
async fn an_interruption_only_delays_the_filling() {
    let fold = Registry::fold(&life()).unwrap();
    for interrupted_after in 0..4 {
        let folder = filled().await;
        let place = Place::prepare(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join("derived.db")).unwrap();
        let files = Files { tables: open(&place).unwrap(), ..files(folder.path()) };
        let part = || {
            let transaction = files.tables.unchecked_transaction().unwrap();
            assert!(!step(&files, &Plans::default(), 4).unwrap().1);
            transaction
        };
        for _ in 0..interrupted_after {
            part().commit().unwrap();
        }
        // A kill in the middle of a step: its transaction never ends.
        drop(part());
        drop(files);
        assert!(!is_current(folder.path()));
        drop(SqliteLedger::open(folder.path()).unwrap());
        assert_eq!(loaded(folder.path()), fold, "{interrupted_after}");
        assert!(is_current(folder.path()));
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_replaced() {
    let folder = filled().await;
    std::fs::write(folder.path().join("derived.db"), "This is no database. ".repeat(500)).unwrap();
    drop(SqliteLedger::open(folder.path()).unwrap());
    assert_eq!(loaded(folder.path()), Registry::fold(&life()).unwrap());
}

#[tokio::test]
async fn tables_that_cannot_be_written_keep_no_record_from_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    // Whatever is appended cannot be taken into the tables, and they are whole.
    let stop = "CREATE TRIGGER stop BEFORE INSERT ON derived_operations BEGIN SELECT RAISE(ABORT, 'no'); END";
    tables(folder.path()).execute_batch(stop).unwrap();
    for record in life() {
        ledger.append(&Condition::default(), vec![record.entry]).await.unwrap();
    }
    let asked = ledger.environments(Environments::All).await.unwrap_err();
    assert!(matches!(asked, LedgerError::Tables { .. }), "{asked:?}");
    assert!(asked.to_string().contains("derived.db"), "{asked}");
    assert_eq!(ledger.read(Filter::All, 0).await.unwrap(), life());
    drop(ledger);
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    assert!(!is_current(folder.path()));
    tables(folder.path()).execute_batch("DROP TRIGGER stop").unwrap();
    ledger.environments(Environments::All).await.unwrap();
    assert_eq!(loaded(folder.path()), Registry::fold(&life()).unwrap());
}

#[tokio::test]
async fn tables_that_do_not_fit_the_records_are_filled_again() {
    let fold = Registry::fold(&life()).unwrap();
    for damage in [
        "DELETE FROM derived_standing",
        "UPDATE derived_standing SET version = 99",
        "UPDATE derived_standing SET seq = seq - 1",
        "UPDATE derived_standing SET hash = zeroblob(32)",
        "UPDATE derived_standing SET sum = zeroblob(32)",
        "DROP TABLE derived_marks",
    ] {
        let folder = filled().await;
        tables(folder.path()).execute_batch(damage).unwrap();
        drop(SqliteLedger::open(folder.path()).unwrap());
        assert_eq!(loaded(folder.path()), fold, "{damage}");
    }
}

#[tokio::test]
async fn a_row_that_was_changed_is_never_shown() {
    let records = life();
    for damage in [
        "UPDATE derived_environments SET entry = replace(entry, '\"gone\"', '\"ready\"')",
        "UPDATE derived_environments SET over = 0",
        "UPDATE derived_operations SET entry = replace(entry, '\"bob\"', '\"eve\"')",
        "UPDATE derived_operations SET entry = 'x'",
        "UPDATE derived_requests SET hourly = '0.01'",
    ] {
        let folder = filled().await;
        assert!(tables(folder.path()).execute(damage, []).unwrap() > 0, "{damage}");
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let fold = Registry::fold(&records).unwrap();
        let environments = ledger.environments(Environments::All).await.unwrap();
        let operations = ledger.operations(Operations::All).await.unwrap();
        let day = at(0).to_zoned(jiff::tz::TimeZone::UTC).date();
        assert_eq!(ledger.requested(day).await.unwrap(), fold.requested(day), "{damage}");
        assert!(environments.iter().eq(fold.environments().values()), "{damage}");
        assert!(operations.iter().eq(fold.operations().values()), "{damage}");
        assert_eq!(loaded(folder.path()), fold, "{damage}");
    }
}

#[tokio::test]
async fn an_audit_finds_rows_that_are_missing_and_puts_them_back() {
    for damage in [
        "DELETE FROM derived_environments",
        "DELETE FROM derived_operations WHERE phase = 'succeeded'",
        "DELETE FROM derived_requests",
        "INSERT INTO derived_holdings (id, environment) VALUES ('x', 'demo')",
        "INSERT INTO derived_marks (token, operation) VALUES ('x', 'op_aaaaaaaaaaaaaaaa')",
    ] {
        let folder = filled().await;
        tables(folder.path()).execute_batch(damage).unwrap();
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let audit = ledger.audit(None).await.unwrap();
        assert_eq!((audit.tables_agreed, audit.environments, audit.operations), (false, 1, 3), "{damage}");
        assert!(ledger.audit(None).await.unwrap().tables_agreed, "{damage}");
    }
}

#[tokio::test]
async fn records_that_were_changed_or_cut_off_at_the_end_stop_the_start() {
    for (damage, seq) in [
        (
            "UPDATE records SET hash = zeroblob(32) WHERE seq = (SELECT max(seq) FROM records)",
            life().len() as u64,
        ),
        ("UPDATE records SET entry = replace(entry, 'id-cluster', 'id-clustex') WHERE seq = 10", 10),
        ("DELETE FROM records WHERE seq = 10", 11),
    ] {
        let folder = filled().await;
        let connection = records_of(folder.path());
        connection.execute_batch("DROP TRIGGER records_unchanged; DROP TRIGGER records_kept").unwrap();
        assert_eq!(connection.execute(damage, []).unwrap(), 1, "{damage}");
        drop(connection);
        let found = SqliteLedger::open(folder.path()).unwrap_err();
        assert!(matches!(found, LedgerError::Damaged { seq: at, .. } if at == seq), "{damage}: {found:?}");
    }
    let folder = filled().await;
    let connection = records_of(folder.path());
    connection.execute_batch("DROP TRIGGER records_kept").unwrap();
    let cut = connection.execute("DELETE FROM records WHERE seq = (SELECT max(seq) FROM records)", []);
    assert_eq!(cut.unwrap(), 1);
    drop(connection);
    let (noted, refused) = (life().len() as u64, SqliteLedger::open(folder.path()).unwrap_err());
    let told = matches!(refused, LedgerError::RolledBack { noted: at, found, .. } if (at, found) == (noted, noted - 1));
    assert!(told, "{refused:?}");
}

#[tokio::test]
async fn a_record_that_cannot_follow_is_named_at_each_question_and_hinders_no_append() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    let entries = [2, 1, 3].map(entry).to_vec();
    ledger.append(&Condition::default(), entries).await.unwrap();
    for _ in 0..2 {
        let asked = ledger.environments(Environments::All).await;
        assert!(matches!(asked, Err(LedgerError::Misfit(Misfit { seq: 2, .. }))), "{asked:?}");
    }
    ledger.append(&Condition::default(), vec![entry(4)]).await.unwrap();
    let audit = ledger.audit(None).await;
    assert!(matches!(audit, Err(LedgerError::Misfit(Misfit { seq: 2, .. }))), "{audit:?}");
    drop(ledger);
    assert_eq!(SqliteLedger::open(folder.path()).unwrap().head().await.unwrap().seq, 4);
}

#[tokio::test]
async fn tables_that_another_program_left_behind_catch_up_when_they_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    let records = life();
    let (known, missed) = records.split_at(9);
    write(folder.path(), known).await;
    let before = store::head(&records_of(folder.path())).unwrap();
    let entries = missed.iter().map(|record| record.entry.clone()).collect();
    store::insert(&records_of(folder.path()), before, entries).unwrap();
    assert!(!is_current(folder.path()));
    let found = ledger.environments(Environments::All).await.unwrap();
    assert_eq!(found[0].phase, "gone");
    assert_eq!(loaded(folder.path()), Registry::fold(&records).unwrap());
}

#[tokio::test]
async fn an_audit_compares_tables_that_are_behind_with_what_they_stand_for() {
    for (damage, agreed) in [
        ("SELECT 1", true),
        ("DELETE FROM derived_operations", false),
        ("DELETE FROM derived_standing", false),
    ] {
        let folder = filled().await;
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let other = records_of(folder.path());
        store::insert(&other, store::head(&other).unwrap(), vec![entry(9)]).unwrap();
        tables(folder.path()).execute_batch(damage).unwrap();
        assert!(!is_current(folder.path()), "{damage}");
        assert_eq!(ledger.audit(None).await.unwrap().tables_agreed, agreed, "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_appended_finds_it_at_once_however_many_append_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(SqliteLedger::open(folder.path()).unwrap());
    let lives = (0..8).map(|writer| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            for number in 0..25 {
                let planned = Story::new(plan(writer * 25 + number, Action::Provision), 0);
                let id = planned.plan.plan_id.operation();
                ledger.append(&Condition::default(), planned.entries).await.unwrap();
                let found = ledger.operations(Operations::Named(id.clone())).await.unwrap();
                assert_eq!(found.iter().map(|found| &found.operation).collect::<Vec<_>>(), [&id]);
            }
        })
    });
    for life in lives.collect::<Vec<_>>() {
        life.await.unwrap();
    }
    assert!(ledger.audit(None).await.unwrap().tables_agreed);
}

#[test]
fn no_question_reads_what_is_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteLedger::open(folder.path()).unwrap());
    let connection = tables(folder.path());
    let name = || "demo".parse().unwrap();
    let page = |all| Environments::Page { after: Some(name()), all, most: 9 };
    let named = [Environments::Named(name()), Environments::Expired(at(0))];
    let environments = named.into_iter().chain([page(true), page(false), Environments::Present]);
    let operations = [
        Operations::Named(operation(1)),
        Operations::Active,
        Operations::Waiting(at(0)),
        Operations::Open(name()),
        Operations::Digest("ab".to_owned()),
    ];
    let texts = |count: usize| vec![Value::from("x".to_owned()); count];
    let mut questions: Vec<(String, Vec<Value>)> =
        environments.map(|which| query::environments_sql(&which)).collect();
    questions.extend(operations.iter().map(query::operations_sql));
    questions.push((query::REQUESTS.to_owned(), texts(1)));
    questions.push((query::HELD.to_owned(), texts(1)));
    questions.push((query::MARKED.to_owned(), texts(2)));
    for (sql, values) in questions {
        let plan = format!("EXPLAIN QUERY PLAN {sql}");
        let steps =
            query::rows(&connection, &plan, values, |row| Ok(row.get::<_, String>("detail")?)).unwrap();
        assert!(!steps.is_empty());
        for step in steps {
            // Those that are present are the answer itself.
            let allowed = step.starts_with("SEARCH") || step.contains("derived_environments_present");
            assert!(allowed, "{sql}: {step}");
        }
    }
}
