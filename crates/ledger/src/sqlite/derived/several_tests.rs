//! Tests of the tables with several processes: none waits for another without
//! end, and what one appended is there when it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use exokit_model::plan::Action;

use super::tests::{files, filled, insert, is_current, loaded, many, records_of, tables};
use super::*;
use crate::ledger::{Condition, Ledger as _};
use crate::projection::{Environments, Operations, Registry};
use crate::sqlite::SqliteLedger;
use crate::testing::{Story, entry, life, plan};

#[tokio::test]
async fn tables_that_another_process_holds_keep_no_ledger_from_being_opened() {
    let folder = filled().await;
    let other = tables(folder.path());
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    // They are in line, so nobody has to write them.
    assert_eq!(ledger.environments(Environments::All).await.unwrap().len(), 1);
    let next = Story::new(plan(77, Action::Provision), 0).entries;
    ledger.append(&Condition::default(), next).await.unwrap();
    drop(ledger);
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    assert!(!is_current(folder.path()));
    let asked = ledger.environments(Environments::All).await;
    assert_eq!(asked, Err(LedgerError::Busy { seconds: BUSY_SECONDS }));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(ledger.operations(Operations::All).await.unwrap().len(), 4);
}

#[tokio::test]
async fn tables_that_two_found_broken_are_made_again_once() {
    let folder = filled().await;
    let place = Place::prepare(folder.path()).unwrap();
    let files = Files { tables: open(&place).unwrap(), ..files(folder.path()) };
    files.tables.execute_batch("UPDATE derived_operations SET entry = 'x'").unwrap();
    let found = || match ask(&files, |tables| operations(tables, &Operations::All)).unwrap() {
        Reply::Known(answer) => panic!("{answer:?}"),
        Reply::Behind(filling) => filling,
    };
    let (mut first, mut second, before) = (found(), found(), making(&files.tables));
    assert!(first.step(&files, &Plans::default()).unwrap().1);
    let made = making(&files.tables);
    assert_ne!(made, before);
    assert!(second.step(&files, &Plans::default()).unwrap().1);
    assert_eq!(making(&files.tables), made);
    assert_eq!(loaded(folder.path()), Registry::fold(&life()).unwrap());
}

#[test]
fn a_filling_ends_although_others_append_as_fast_as_it_fills() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteLedger::open(folder.path()).unwrap());
    let mut version = 0;
    let mut append = || {
        let records = records_of(folder.path());
        let transaction = records.unchecked_transaction().unwrap();
        let entries = (version + 1..=version + store::STEP).map(entry).collect();
        store::insert(&records, store::head(&records).unwrap(), entries).unwrap();
        transaction.commit().unwrap();
        version += store::STEP;
    };
    append();
    append();
    let place = Place::prepare(folder.path()).unwrap();
    let files = Files { tables: open(&place).unwrap(), ..files(folder.path()) };
    let mut filling = Filling::new(&files, None).unwrap();
    assert_eq!(filling.step(&files, &Plans::default()).unwrap(), (store::STEP, false));
    append();
    assert_eq!(filling.step(&files, &Plans::default()).unwrap(), (2 * store::STEP, true));
    assert!(!is_current(folder.path()));
}

#[tokio::test]
async fn nobody_appends_while_the_writer_asks() {
    let folder = filled().await;
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    insert(folder.path(), &many()[..1]);
    let path = folder.path().to_owned();
    let question = move |tables: &Connection| {
        let other = records_of(&path);
        other.busy_timeout(Duration::ZERO)?;
        let locked_out = other.execute_batch("BEGIN IMMEDIATE").unwrap_err();
        assert_eq!(locked_out.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
        operations(tables, &Operations::All)
    };
    let found = ledger.between(move |writer| writer.ask(question)).await.unwrap();
    assert_eq!(found.len(), 4);
    ledger.append(&Condition::default(), vec![entry(9)]).await.unwrap();
}

#[test]
fn two_processes_that_append_and_ask_find_what_they_appended() {
    const EACH: u8 = 60;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let work = move |from: u8| {
        let ledger = Arc::new(SqliteLedger::open(&path).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let one = |number| {
            let ledger = ledger.clone();
            async move {
                let planned = Story::new(plan(number, Action::Provision), 0);
                let id = planned.plan.plan_id.operation();
                ledger.append(&Condition::default(), planned.entries).await.unwrap();
                let found = ledger.operations(Operations::Named(id.clone())).await.unwrap();
                assert_eq!(found.iter().map(|found| &found.operation).collect::<Vec<_>>(), [&id]);
            }
        };
        runtime.block_on(async {
            let tasks: Vec<_> = (from..from + EACH).map(|number| tokio::spawn(one(number))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    };
    let other = std::thread::spawn({
        let work = work.clone();
        move || work(EACH)
    });
    work(0);
    other.join().unwrap();
    let head = store::head(&records_of(folder.path())).unwrap();
    assert!(head.seq >= 2 * u64::from(EACH), "{head:?}");
    assert_eq!(loaded(folder.path()).operations().len(), 2 * usize::from(EACH));
}

#[tokio::test]
async fn who_asks_is_answered_although_another_process_appends_without_a_pause() {
    let folder = filled().await;
    let ledger = SqliteLedger::open(folder.path()).unwrap();
    let (asked, appended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (path, over, count) = (folder.path().to_owned(), asked.clone(), appended.clone());
    let other = std::thread::spawn(move || {
        let records = records_of(&path);
        records.pragma_update(None, "synchronous", "off").unwrap();
        while !over.load(Ordering::Relaxed) {
            let transaction = Transaction::new_unchecked(&records, TransactionBehavior::Immediate).unwrap();
            let version = count.fetch_add(1, Ordering::Relaxed) + 2;
            store::insert(&records, store::head(&records).unwrap(), vec![entry(version)]).unwrap();
            transaction.commit().unwrap();
        }
    });
    let mut met = 0;
    while met < 200 && !other.is_finished() {
        let before = appended.load(Ordering::Relaxed);
        assert_eq!(ledger.operations(Operations::All).await.unwrap().len(), 3);
        met += u64::from(appended.load(Ordering::Relaxed) > before);
    }
    asked.store(true, Ordering::Relaxed);
    other.join().unwrap();
    assert_eq!(met, 200);
}
