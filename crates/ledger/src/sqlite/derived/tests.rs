//! Tests of the derived tables: they say what the records say, always.

use std::path::Path;

use exokit_model::event::Record;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::*;
use crate::ledger::{Condition, Filter, Ledger as _};
use crate::projection::{Environments, Operations, Registry};
use crate::sqlite::SqliteLedger;
use crate::testing::{at, entry, life, operation};

fn file(folder: &Path) -> Connection {
    Connection::open(folder.join("ledger.db")).unwrap()
}

async fn write(folder: &Path, records: &[Record]) {
    let ledger = SqliteLedger::open(folder).unwrap();
    for record in records {
        ledger.append(&Condition::default(), vec![record.entry.clone()]).await.unwrap();
    }
}

async fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &life()).await;
    folder
}

fn loaded(folder: &Path) -> Registry {
    load(&file(folder)).unwrap().unwrap()
}

fn is_current(folder: &Path) -> bool {
    matches!(state(&file(folder)).unwrap(), State::Current)
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
async fn a_torn_write_leaves_records_and_tables_in_line() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    for record in life() {
        ledger.append(&Condition::default(), vec![record.entry]).await.unwrap();
    }
    let (database, wal) = (folder.path().join("ledger.db"), folder.path().join("ledger.db-wal"));
    let (database, wal) = (std::fs::read(database).unwrap(), std::fs::read(wal).unwrap());
    let mut heads = std::collections::BTreeSet::new();
    // Every page of the log has 4,120 bytes with its header.
    for length in (0..wal.len()).step_by(2_060) {
        let torn = tempfile::tempdir().unwrap();
        std::fs::write(torn.path().join("ledger.db"), &database).unwrap();
        std::fs::write(torn.path().join("ledger.db-wal"), &wal[..length]).unwrap();
        let connection = file(torn.path());
        if !connection.table_exists(None, "records").unwrap() {
            continue;
        }
        assert!(matches!(state(&connection).unwrap(), State::Current), "{length}");
        let head = load(&connection).unwrap().unwrap().head();
        assert_eq!(head, store::head(&connection).unwrap());
        drop(connection);
        let audit = SqliteLedger::open(torn.path()).unwrap().audit(None).await.unwrap();
        assert_eq!((audit.head, audit.tables_agreed), (head, true), "{length}");
        heads.insert(head.seq);
    }
    assert!(heads.len() > life().len() / 2, "{heads:?}");
}

#[tokio::test]
async fn a_ledger_without_tables_gets_them_and_an_interruption_only_delays_it() {
    let records = life();
    let fold = Registry::fold(&records).unwrap();
    for interrupted_after in 0..6 {
        let folder = filled().await;
        let mut connection = file(folder.path());
        for name in NAMES {
            connection.execute_batch(&format!("DROP TABLE derived_{name}")).unwrap();
        }
        connection.pragma_update(None, "user_version", 1).unwrap();
        if interrupted_after > 0 {
            store::make_tables(&mut connection).unwrap();
        }
        for _ in 1..interrupted_after {
            let transaction = connection.transaction().unwrap();
            assert!(!advance(&transaction, &Plans::default(), false, 5).unwrap().1);
            transaction.commit().unwrap();
        }
        // A kill in the middle of a step: its transaction never ends.
        if interrupted_after > 0 {
            let transaction = connection.transaction().unwrap();
            advance(&transaction, &Plans::default(), false, 5).unwrap();
        }
        drop(connection);
        let mut told = Vec::new();
        let ledger = SqliteLedger::open_telling(folder.path(), &mut |seq, of| told.push((seq, of))).unwrap();
        let length = records.len() as u64;
        assert_eq!(told, [(length, length)], "{interrupted_after}");
        let format: i64 = file(folder.path()).query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        assert_eq!(format, 2);
        assert_eq!(loaded(folder.path()), fold);
        assert_eq!(ledger.read(Filter::All, 0).await.unwrap(), records);
        drop(ledger);
        SqliteLedger::open_telling(folder.path(), &mut |_, _| panic!("filled twice")).unwrap();
    }
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
        file(folder.path()).execute_batch(damage).unwrap();
        let mut told = 0;
        drop(SqliteLedger::open_telling(folder.path(), &mut |_, _| told += 1).unwrap());
        assert!(told > 0, "{damage}");
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
        assert!(file(folder.path()).execute(damage, []).unwrap() > 0, "{damage}");
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
        file(folder.path()).execute_batch(damage).unwrap();
        let ledger = SqliteLedger::open(folder.path()).unwrap();
        let audit = ledger.audit(None).await.unwrap();
        assert_eq!((audit.tables_agreed, audit.environments, audit.operations), (false, 1, 3), "{damage}");
        assert!(ledger.audit(None).await.unwrap().tables_agreed, "{damage}");
    }
}

#[tokio::test]
async fn records_that_were_changed_or_cut_off_at_the_end_stop_the_start() {
    for (damage, seq) in [
        ("DELETE FROM records WHERE seq = (SELECT max(seq) FROM records)", life().len() as u64),
        (
            "UPDATE records SET hash = zeroblob(32) WHERE seq = (SELECT max(seq) FROM records)",
            life().len() as u64,
        ),
        ("UPDATE records SET entry = replace(entry, 'id-cluster', 'id-clustex') WHERE seq = 10", 10),
        ("DELETE FROM records WHERE seq = 10", 11),
    ] {
        let folder = filled().await;
        let connection = file(folder.path());
        connection.execute_batch("DROP TRIGGER records_unchanged; DROP TRIGGER records_kept").unwrap();
        assert_eq!(connection.execute(damage, []).unwrap(), 1, "{damage}");
        drop(connection);
        let found = SqliteLedger::open(folder.path()).unwrap_err();
        assert!(matches!(found, LedgerError::Damaged { seq: at, .. } if at == seq), "{damage}: {found:?}");
    }
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
    let before = store::head(&file(folder.path())).unwrap();
    let entries = missed.iter().map(|record| record.entry.clone()).collect();
    store::insert(&file(folder.path()), before, entries).unwrap();
    assert!(!is_current(folder.path()));
    let found = ledger.environments(Environments::All).await.unwrap();
    assert_eq!(found[0].phase, "gone");
    assert_eq!(loaded(folder.path()), Registry::fold(&records).unwrap());
}

#[test]
fn no_question_reads_what_is_at_rest() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteLedger::open(folder.path()).unwrap());
    let connection = file(folder.path());
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
    questions.push((query::active_sql(), Vec::new()));
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
