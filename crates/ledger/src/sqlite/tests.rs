//! Tests of the file: several processes, damage, full disks, dead holders.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use exokit_model::event::{Entry, Event, Record};
use exokit_model::ids::OperationId;
use exokit_model::plan::Action;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::*;
use crate::condition::Condition;
use crate::lease::Lease;
use crate::testing::contract::{self, Subject};
use crate::testing::fixtures::{Story, at, entry, life, operation, plan};
use crate::verify::verify;

pub(super) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A ledger with a clock that a test moves.
pub(super) struct Timed {
    pub(super) ledger: SqliteLedger,
    pub(super) seconds: Arc<AtomicI64>,
}

impl Deref for Timed {
    type Target = SqliteLedger;

    fn deref(&self) -> &SqliteLedger {
        &self.ledger
    }
}

impl Timed {
    /// Acquires a lease when the clock of the store shows this time.
    pub(super) async fn acquire_at(
        &self,
        operation: &OperationId,
        holder: &str,
        seconds: i64,
    ) -> Result<Lease, LedgerError> {
        self.seconds.store(seconds, Ordering::Relaxed);
        self.ledger.acquire(operation, holder).await
    }
}

pub(super) fn open(folder: &Path) -> Timed {
    let seconds = Arc::new(AtomicI64::new(0));
    let read = Arc::clone(&seconds);
    let clock: StoreClock = Arc::new(move || at(read.load(Ordering::Relaxed)));
    let ledger = SqliteLedger::open_with(folder, clock, &mut |_, _| {}).unwrap();
    Timed { ledger, seconds }
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_store() {
    let folder = folder();
    let count = AtomicI64::new(0);
    contract::check(|| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let Timed { ledger, seconds } = open(&folder.path().join(number.to_string()));
        let advance = move |by: jiff::SignedDuration| {
            seconds.fetch_add(by.as_secs(), Ordering::Relaxed);
        };
        Subject { ledger: Box::new(ledger), advance: Box::new(advance) }
    })
    .await;
}

pub(super) async fn append(ledger: &Timed, number: u64) -> Result<Vec<Record>, LedgerError> {
    ledger.append(&Condition::default(), vec![entry(number)]).await
}

pub(super) async fn all(ledger: &Timed) -> Vec<Record> {
    ledger.read(Filter::All, 0).await.unwrap()
}

#[tokio::test]
async fn many_waiters_and_two_ledgers_on_one_file_keep_one_chain() {
    let folder = folder();
    let write = |ledger: Timed| async move {
        let appends = (0..100).map(|_| append(&ledger, 1));
        let mut seqs = Vec::new();
        for written in futures_join(appends.collect()).await {
            seqs.push(written.unwrap()[0].seq);
        }
        seqs
    };
    let path = folder.path().to_owned();
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(write(open(&path)))
    });
    let mut seqs = write(open(folder.path())).await;
    seqs.extend(other.join().unwrap());
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=200).collect::<Vec<u64>>());
    let records = all(&open(folder.path())).await;
    assert_eq!(verify(&records).unwrap().seq, 200);
}

#[test]
fn of_two_ledgers_on_one_file_only_one_begins_each_operation() {
    let folder = folder();
    let path = folder.path().to_owned();
    let barrier = std::sync::Arc::new(std::sync::Barrier::new(2));
    let begin = move || {
        let ledger = open(&path);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut begun = Vec::new();
        for number in 0..60 {
            let unused = Some(operation(number));
            let entries = vec![Entry { operation: unused.clone(), ..entry(1) }];
            barrier.wait();
            match runtime.block_on(ledger.append(&Condition { unused, ..Condition::default() }, entries)) {
                Ok(_) => begun.push(number),
                Err(LedgerError::Used(used)) => assert_eq!(used, operation(number)),
                Err(error) => panic!("{error:?}"),
            }
        }
        begun
    };
    let other = std::thread::spawn(begin.clone());
    let mut begun = begin();
    begun.extend(other.join().unwrap());
    begun.sort_unstable();
    assert_eq!(begun, (0..60).collect::<Vec<u8>>());
}

/// Runs futures at once and gives their results in order.
pub(super) async fn futures_join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, slot) in futures.iter_mut().zip(&mut done) {
            if slot.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *slot = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        match waiting {
            true => std::task::Poll::Pending,
            false => std::task::Poll::Ready(()),
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn records_survive_a_new_process() {
    let folder = folder();
    let first = open(folder.path());
    append(&first, 1).await.unwrap();
    let before = all(&first).await;
    drop(first);
    let second = open(folder.path());
    assert_eq!(all(&second).await, before);
    assert_eq!(append(&second, 2).await.unwrap()[0].seq, 2);
}

/// Copies the files of a running ledger, as they are on the disk.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[tokio::test]
async fn a_torn_tail_leaves_a_valid_prefix() {
    let folder = folder();
    let ledger = open(folder.path());
    for number in 0..8 {
        append(&ledger, number).await.unwrap();
    }
    let written = all(&ledger).await;
    let copied = folder.path().join("whole");
    copy(folder.path(), &copied);
    let wal = fs::read(copied.join("ledger.db-wal")).unwrap();
    let mut lengths = std::collections::BTreeSet::new();
    for step in 1..=40 {
        let torn = folder.path().join(format!("torn-{step}"));
        copy(&copied, &torn);
        let length = wal.len() - step * wal.len() / 60;
        fs::write(torn.join("ledger.db-wal"), &wal[..length]).unwrap();
        let after = all(&open(&torn)).await;
        assert_eq!(after, written[..after.len()], "{length}");
        lengths.insert(after.len());
    }
    assert!(lengths.len() > 3, "{lengths:?}");
}

#[tokio::test]
async fn a_changed_record_is_noticed_when_it_is_read() {
    for change in [
        "UPDATE records SET entry = replace(entry, '\"version\":2', '\"version\":9')",
        "UPDATE records SET hash = zeroblob(32) WHERE seq = 2",
        "UPDATE records SET prev = zeroblob(32) WHERE seq = 2",
        "UPDATE records SET entry = 'x' WHERE seq = 2",
        "DELETE FROM records WHERE seq = 2",
    ] {
        let folder = folder();
        let ledger = open(folder.path());
        for number in 1..=3 {
            append(&ledger, number).await.unwrap();
        }
        let file = Connection::open(folder.path().join("ledger.db")).unwrap();
        assert!(file.execute_batch(change).is_err(), "{change}");
        file.execute_batch("DROP TRIGGER records_unchanged; DROP TRIGGER records_kept").unwrap();
        // A text that is no JSON is refused even so, by the computed columns.
        if file.execute_batch(change).is_ok() {
            let read = ledger.read(Filter::All, 0).await;
            assert!(matches!(read, Err(LedgerError::Damaged { .. })), "{change}");
        }
    }
}

/// A writer without its thread.
pub(super) fn writer(folder: &Path) -> Writer {
    let paths = LedgerPaths::prepare(folder).unwrap();
    let plans = Plans::default();
    let (mut database, high_water) =
        open_database(&paths, Arc::new(|| at(0)), &plans, &mut |_, _| {}).unwrap();
    let log = database.take_over_log().unwrap();
    Writer { database, log, plans, high_water, watcher: Arc::default(), failed: None }
}

/// Lets a writer carry out changes in one transaction.
pub(super) fn carry_out(
    writer: &mut Writer,
    changes: Vec<Change>,
) -> Vec<Result<ChangeOutcome, LedgerError>> {
    let channels = changes.into_iter().map(|change| (change, oneshot::channel()));
    let (jobs, answers): (Vec<Job>, Vec<_>) =
        channels.map(|(change, (reply, answer))| (Job { change, reply }, answer)).unzip();
    writer.commit(jobs);
    answers.into_iter().map(|mut answer| answer.try_recv().unwrap()).collect()
}

pub(super) fn appends(entries: Vec<Entry>) -> Vec<Change> {
    vec![Change::Append { condition: Condition::default(), entries }]
}

#[tokio::test]
async fn after_a_full_disk_nothing_more_is_written() {
    let folder = folder();
    let mut writer = writer(folder.path());
    assert!(carry_out(&mut writer, appends(vec![entry(1)]))[0].is_ok());
    let connection = writer.database.connection();
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    let sql = format!("PRAGMA max_page_count = {pages}");
    let most: i64 = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
    assert_eq!(most, pages);
    let full = carry_out(&mut writer, appends((2..500).map(entry).collect()));
    assert!(matches!(full[0], Err(LedgerError::Full { .. })), "{full:?}");
    let next = carry_out(&mut writer, appends(vec![entry(2)]));
    assert!(matches!(next[0], Err(LedgerError::Failed { .. })), "{next:?}");
    drop(writer);
    let ledger = open(folder.path());
    assert_eq!(all(&ledger).await.len(), 1);
    assert_eq!(append(&ledger, 2).await.unwrap()[0].seq, 2);
}

#[tokio::test]
async fn a_refused_change_takes_nothing_of_its_group_with_it() {
    let folder = folder();
    let mut writer = writer(folder.path());
    let story = |number| Story::new(plan(number, Action::Provision), 0).entries;
    let twice: Vec<Entry> = story(2).into_iter().chain(story(1)).collect();
    let changes = [story(1), twice, story(3)].into_iter().flat_map(appends).collect();
    let answers = carry_out(&mut writer, changes);
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    assert!(matches!(answers[1], Err(LedgerError::IllegalRecord(_))), "{answers:?}");
    drop(writer);
    let ledger = open(folder.path());
    assert_eq!(all(&ledger).await.len(), 2);
    assert_eq!(ledger.audit(None).await.unwrap().differing, Vec::<String>::new());
}

#[tokio::test]
async fn a_writer_that_is_locked_out_says_so_and_goes_on_later() {
    let folder = folder();
    let mut writer = writer(folder.path());
    writer.database.connection().busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = Connection::open(folder.path().join("ledger.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = carry_out(&mut writer, appends(vec![entry(1)]));
    assert!(matches!(busy[0], Err(LedgerError::Busy { .. })), "{busy:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert!(carry_out(&mut writer, appends(vec![entry(1)]))[0].is_ok());
}

/// The records of a ledger that ends at the anchor or later.
async fn audited(folder: &Path, anchor: Head) -> Result<Vec<Record>, LedgerError> {
    let ledger = SqliteLedger::open(folder)?;
    ledger.audit(Some(anchor)).await?;
    ledger.read(Filter::All, 0).await
}

#[tokio::test]
async fn an_older_end_is_an_anchor_and_another_chain_is_none() {
    let folder = folder();
    let ledger = open(folder.path());
    for number in 1..=6 {
        append(&ledger, number).await.unwrap();
    }
    let records = all(&ledger).await;
    let head = Head::after(records.last().unwrap());
    for anchor in records.iter().map(Head::after).chain([Head::EMPTY]) {
        assert_eq!(ledger.audit(Some(anchor)).await.unwrap().head, head);
    }
    let later = Head { seq: 7, ..head };
    let other = Head { seq: 5, ..head };
    for (anchor, expected) in [(later, 7), (other, 5)] {
        let found = ledger.audit(Some(anchor)).await;
        assert!(matches!(found, Err(LedgerError::Damaged { seq, .. }) if seq == expected), "{found:?}");
    }
}

#[tokio::test]
async fn a_flipped_byte_in_the_file_never_shows_as_a_changed_record() {
    let folder = folder();
    let whole = folder.path().join("whole");
    let ledger = open(&whole);
    for number in 0..20 {
        append(&ledger, number).await.unwrap();
    }
    let written = all(&ledger).await;
    drop(ledger);
    let anchor = Head::after(written.last().unwrap());
    let bytes = fs::read(whole.join("ledger.db")).unwrap();
    let mut noticed = 0;
    for place in (0..bytes.len()).step_by(61) {
        let flipped = folder.path().join("flipped");
        fs::create_dir(&flipped).unwrap();
        let mut bytes = bytes.clone();
        bytes[place] ^= 0x15;
        fs::write(flipped.join("ledger.db"), bytes).unwrap();
        match audited(&flipped, anchor).await {
            Ok(records) => assert_eq!(records, written, "byte {place}"),
            Err(_) => noticed += 1,
        }
        fs::remove_dir_all(&flipped).unwrap();
    }
    assert!(noticed > 50, "{noticed}");
}

#[tokio::test]
async fn a_statement_is_planned_once_for_all_values() {
    let folder = folder();
    let ledger = open(folder.path());
    for number in 1..=3 {
        append(&ledger, number).await.unwrap();
    }
    let paths = LedgerPaths::prepare(folder.path()).unwrap();
    let reader = open_reader(&paths).unwrap();
    let mut statement = reader
        .prepare("SELECT seq FROM records WHERE seq > ?1 AND environment IS NULL AND ?2 = '' LIMIT ?3")
        .unwrap();
    for after in 0..3 {
        let mut rows = statement.query(rusqlite::params![after, "", 10]).unwrap();
        while rows.next().unwrap().is_some() {}
    }
    assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0);
}

/// The records and rows of a whole life.
pub(super) async fn filled() -> TempDir {
    let folder = folder();
    let ledger = open(folder.path());
    for record in life() {
        ledger.append(&Condition::default(), vec![record.entry]).await.unwrap();
    }
    folder
}

/// The file, to be changed.
pub(super) fn file(folder: &Path) -> Connection {
    Connection::open(folder.join("ledger.db")).unwrap()
}

#[tokio::test]
async fn an_audit_names_each_row_that_differs_and_no_other() {
    for (damage, expected) in [
        ("SELECT 1", &[][..]),
        ("DELETE FROM environments", &["environments demo"]),
        ("UPDATE environments SET row = replace(row, '\"gone\"', '\"ready\"')", &["environments demo"]),
        ("UPDATE environments SET row = 'x'", &["environments demo"]),
        ("UPDATE environments SET over = 0", &["environments demo"]),
        (
            "DELETE FROM operations WHERE operation = (SELECT max(operation) FROM operations)",
            &["operations op_"],
        ),
        ("UPDATE operations SET phase = 'running'", &["operations op_"; 3]),
        ("INSERT INTO resources VALUES ('x', 'demo')", &["resources x"]),
        ("INSERT INTO owner_tokens VALUES ('x', 'op_aaaaaaaaaaaaaaaa')", &["owner_tokens x"]),
        ("INSERT INTO ready_times VALUES ('x', 'y', 'z')", &["ready_times x"]),
    ] {
        let folder = filled().await;
        file(folder.path()).execute_batch(damage).unwrap();
        let audit = open(folder.path()).audit(None).await.unwrap();
        assert_eq!((audit.environments, audit.operations), (1, 3), "{damage}");
        assert_eq!(audit.differing.len(), expected.len(), "{damage}: {:?}", audit.differing);
        let fits = audit.differing.iter().zip(expected).all(|(found, start)| found.starts_with(start));
        assert!(fits, "{damage}: {:?}", audit.differing);
    }
}

#[test]
fn no_question_reads_what_is_at_rest() {
    let folder = folder();
    drop(open(folder.path()));
    let connection = file(folder.path());
    let name = || "demo".parse().unwrap();
    let page = |all| Environments::Page { after: Some(name()), all, most: 9 };
    let environments = [
        Environments::Named(name()),
        Environments::Expired(at(0)),
        page(true),
        page(false),
        Environments::Present,
    ];
    let operations = [
        Operations::Named(operation(1)),
        Operations::Active,
        Operations::Waiting(at(0)),
        Operations::Open(name()),
        Operations::Digest("ab".to_owned()),
    ];
    let filters = [
        Filter::Account,
        Filter::Environment(name()),
        Filter::Operation(operation(1)),
        Filter::Requests("2026-11-28".parse().unwrap()),
    ];
    let texts = |count: usize| vec![Value::from("x".to_owned()); count];
    let mut questions: Vec<(String, Vec<Value>)> =
        environments.iter().map(tables::environments_sql).collect();
    questions.extend(operations.iter().map(tables::operations_sql));
    questions.extend(filters.iter().map(|filter| {
        let (condition, key) = records::condition(filter);
        (records::select_sql(condition), vec![Value::from(1), key.into(), Value::from(9)])
    }));
    questions.push((tables::READY_TIMES.to_owned(), texts(1)));
    questions.push((tables::HELD.to_owned(), texts(1)));
    questions.push((tables::MARKED.to_owned(), texts(2)));
    for (sql, values) in questions {
        let plan = format!("EXPLAIN QUERY PLAN {sql}");
        let steps =
            tables::rows(&connection, &plan, values, |row| Ok(row.get::<_, String>("detail")?)).unwrap();
        assert!(!steps.is_empty());
        for step in steps {
            // Those that are present are the answer itself.
            let allowed = step.starts_with("SEARCH") && !step.contains("INTEGER PRIMARY KEY (rowid>?)")
                || step.contains("environments_present");
            assert!(allowed, "{sql}: {step}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_appended_finds_it_at_once_however_many_append_meanwhile() {
    let folder = folder();
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
    assert_eq!(ledger.audit(None).await.unwrap().differing, Vec::<String>::new());
}

/// An event that one signed word fills.
fn long(number: u64) -> Entry {
    let signed = "x".repeat(1 << 20);
    Entry { event: Event::RosterInstalled { version: number, signed }, ..entry(number) }
}

#[tokio::test]
async fn the_log_does_not_grow_without_end() {
    let folder = folder();
    let ledger = open(folder.path());
    for number in 1..40 {
        ledger.append(&Condition::default(), vec![long(number)]).await.unwrap();
    }
    let log = fs::metadata(folder.path().join("ledger.db-wal")).unwrap().len();
    assert!(log < 10 << 20, "{log}");
}
