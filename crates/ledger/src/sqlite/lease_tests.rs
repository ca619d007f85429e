//! Leases on a file: who holds them, who is proven dead, and which files show it.

use std::fs;

use exokit_model::ids::OperationId;

use super::tests::{Timed, appends, carry_out, folder, futures_join, open, writer};
use super::*;
use crate::store::Transaction;
use crate::testing::fixtures::{at, entry, operation};

#[tokio::test]
async fn a_holder_can_be_proven_dead_until_the_end_of_its_lease_is_durable() {
    let folder = folder();
    let acquire = |holder: &str| Change::Acquire { operation: operation(1), holder: holder.to_owned() };
    let dead = |writer: &mut Writer| {
        let lease = crate::poll::ready(Transaction::lease(&mut writer.database, &operation(1)));
        lease.unwrap().unwrap().dead
    };
    // The end of the lease never becomes durable.
    let undone = |writer: &mut Writer, change: Change| {
        let connection = writer.database.connection();
        connection
            .execute_batch(
                "CREATE TEMP TRIGGER stop BEFORE INSERT ON main.records
            BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .unwrap();
        let mut changes = vec![change];
        changes.extend(appends(vec![entry(1)]));
        assert!(carry_out(writer, changes).iter().all(Result::is_err));
        writer.database.connection().execute_batch("DROP TRIGGER stop").unwrap();
        writer.failed = None;
    };
    let mut first = writer(folder.path());
    assert!(carry_out(&mut first, vec![acquire("first")])[0].is_ok());
    first.database.leave();
    drop(first);

    let mut second = writer(folder.path());
    undone(&mut second, acquire("second"));
    assert!(dead(&mut second), "its file is still there");
    let Ok(ChangeOutcome::Lease(lease)) = carry_out(&mut second, vec![acquire("second")]).remove(0) else {
        panic!("acquired");
    };
    assert!(!dead(&mut second), "nobody is dead to itself");
    undone(&mut second, Change::Release(lease.clone()));
    second.database.leave();
    drop(second);

    let mut third = writer(folder.path());
    assert!(dead(&mut third), "its file is still there");
    assert!(carry_out(&mut third, vec![Change::Release(lease)])[0].is_ok());
    drop(writer(folder.path()));
    assert_eq!(locks(folder.path()).len(), 2, "the file of a released lease is gone");
}

#[tokio::test]
async fn a_dead_holder_is_taken_over_at_once_and_a_living_one_after_its_time() {
    let folder = folder();
    let one = open(folder.path());
    let two = open(folder.path());
    let op = operation(1);
    one.acquire_at(&op, "one", 0).await.unwrap();
    let held = two.acquire_at(&op, "two", 1).await;
    assert!(matches!(held, Err(LedgerError::LeaseHeld { .. })));
    drop(one);
    assert_eq!(two.acquire_at(&op, "two", 2).await.unwrap().epoch, 2);

    // Taken over from a living holder: its end proves nothing about the new.
    let three = open(folder.path());
    assert_eq!(three.acquire_at(&op, "three", 92).await.unwrap().epoch, 3);
    drop(two);
    let four = open(folder.path());
    let held = four.acquire_at(&op, "four", 93).await;
    assert!(matches!(held, Err(LedgerError::LeaseHeld { .. })));
    // Without the lock file nothing is proven, so the time must pass.
    drop(three);
    fs::remove_dir_all(folder.path().join("leases")).unwrap();
    fs::create_dir(folder.path().join("leases")).unwrap();
    assert!(four.acquire_at(&op, "four", 181).await.is_err());
    assert!(four.acquire_at(&op, "four", 182).await.is_ok());
}

/// The lock files of a ledger, by name.
fn locks(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder.join("leases")).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn some_operation(number: u16) -> OperationId {
    let [high, low] = number.to_be_bytes();
    exokit_model::ids::PlanId::from_random([high, low, 0, 0, 0, 0, 0, 0, 0, 0]).operation()
}

fn is_held<T>(result: &Result<T, LedgerError>) -> bool {
    matches!(result, Err(LedgerError::LeaseHeld { .. }))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn two_thousand_leases_need_no_more_open_files_than_one() {
    let folder = folder();
    let path = folder.path().canonicalize().unwrap();
    let open_files = || {
        let files = fs::read_dir("/proc/self/fd").unwrap();
        let targets = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
        targets.filter(|target| target.starts_with(&path)).count()
    };
    let ledger = open(&path);
    ledger.acquire_at(&some_operation(0), "one", 0).await.unwrap();
    let before = open_files();
    let operations: Vec<OperationId> = (1..2_000).map(some_operation).collect();
    let acquired = operations.iter().map(|operation| ledger.acquire_at(operation, "one", 0));
    assert!(futures_join(acquired.collect()).await.iter().all(Result::is_ok));
    assert_eq!((open_files(), locks(&path).len()), (before, 1));
    // All of them are held, and free at once when the ledger is gone.
    let other = open(&path);
    for operation in operations.iter().step_by(97) {
        assert!(is_held(&other.acquire_at(operation, "two", 1).await));
    }
    drop(ledger);
    for operation in operations.iter().step_by(97) {
        assert_eq!(other.acquire_at(operation, "two", 1).await.unwrap().epoch, 2);
    }
}

#[tokio::test]
async fn two_ledgers_of_one_process_are_alive_apart_from_each_other() {
    let folder = folder();
    // They call themselves by one name, as two in one test may.
    let (one, two, third) = (open(folder.path()), open(folder.path()), open(folder.path()));
    one.acquire_at(&operation(1), "same", 0).await.unwrap();
    two.acquire_at(&operation(2), "same", 0).await.unwrap();
    drop(one);
    assert!(is_held(&third.acquire_at(&operation(2), "third", 1).await));
    assert_eq!(third.acquire_at(&operation(1), "third", 1).await.unwrap().epoch, 2);
    // One that was taken over and still runs is alive for what it holds.
    let later = third.acquire_at(&operation(2), "third", 90).await.unwrap();
    two.acquire_at(&operation(3), "same", 90).await.unwrap();
    assert!(is_held(&third.acquire_at(&operation(3), "third", 91).await));
    drop(two);
    let fourth = open(folder.path());
    assert!(is_held(&fourth.acquire_at(&later.operation, "fourth", 91).await));
    assert_eq!(fourth.acquire_at(&operation(3), "fourth", 91).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn files_of_the_dead_stay_as_long_as_a_lease_names_them() {
    let folder = folder();
    // A process without leases leaves no file; a killed one leaves its file.
    drop(open(folder.path()));
    assert_eq!(locks(folder.path()), Vec::<String>::new());
    let one = open(folder.path());
    one.acquire_at(&operation(1), "one", 0).await.unwrap();
    let dead = locks(folder.path());
    drop(one);
    let two = open(folder.path());
    assert!(locks(folder.path()).contains(&dead[0]) && locks(folder.path()).len() == 2);
    let lease = two.acquire_at(&operation(1), "two", 1).await.unwrap();
    // What somebody else put there is left alone, what an earlier version left
    // is not.
    fs::write(folder.path().join("leases/op_aaaaaaaaaaaaaaaa.1.lock"), "").unwrap();
    fs::write(folder.path().join("leases/notes.txt"), "").unwrap();
    let three = open(folder.path());
    let now = locks(folder.path());
    assert!(!now.contains(&dead[0]) && now.contains(&"notes.txt".to_owned()) && now.len() == 3, "{now:?}");
    assert!(is_held(&three.acquire_at(&operation(1), "three", 2).await), "two is alive");
    two.release(&lease).await.unwrap();
    drop((two, three));
    assert_eq!(locks(folder.path()), ["notes.txt"]);
}

#[tokio::test]
async fn a_lease_that_names_no_file_proves_nothing() {
    let folder = folder();
    drop(open(folder.path()));
    let file = Connection::open(folder.path().join("ledger.db")).unwrap();
    // As an earlier version left it: one lock file for each lease, which nobody
    // holds.
    let row = format!("INSERT INTO leases VALUES ('{}', 4, 'old', '{}')", operation(1), at(90));
    file.execute_batch(&row).unwrap();
    drop(file);
    fs::write(folder.path().join(format!("leases/{}.4.lock", operation(1))), "").unwrap();
    let ledger = open(folder.path());
    let held = ledger.acquire_at(&operation(1), "new", 89).await;
    let (holder, until) = ("old".to_owned(), at(90));
    assert_eq!(held, Err(LedgerError::LeaseHeld { operation: operation(1), holder, until }));
    assert_eq!(ledger.acquire_at(&operation(1), "new", 90).await.unwrap().epoch, 5);
    let file = Connection::open(folder.path().join("ledger.db")).unwrap();
    let sql = "EXPLAIN QUERY PLAN SELECT holder FROM leases WHERE holder IS NOT NULL";
    let plan: String = file.query_row(sql, [], |row| row.get(3)).unwrap();
    assert!(plan.contains("leases_held"), "{plan}");
}

/// The argument that makes this program the holder that is killed: filters
/// that skip what is not there are all that the test runner lets through.
const HOLD_IN: &str = "hold-in:";

#[test]
fn a_lease_is_free_at_once_after_kill_9() {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let acquire = |ledger: &Timed, holder: &str, seconds| {
        runtime.block_on(ledger.acquire_at(&operation(1), holder, seconds))
    };
    if let Some(path) = std::env::args().find_map(|word| word.strip_prefix(HOLD_IN).map(str::to_owned)) {
        let ledger = open(Path::new(&path));
        acquire(&ledger, "killed", 0).unwrap();
        println!("\nholds");
        loop {
            std::thread::park();
        }
    }
    let folder = folder();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "sqlite::lease_tests::a_lease_is_free_at_once_after_kill_9",
            "--nocapture",
            "--skip",
        ])
        .arg(format!("{HOLD_IN}{}", folder.path().display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holds"));
    // Opened before and after the kill: neither takes the living for dead, and
    // neither removes what shows that it is dead.
    let before = open(folder.path());
    assert!(is_held(&acquire(&before, "before", 1)));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let after = open(folder.path());
    assert_eq!(acquire(&after, "after", 2).unwrap().epoch, 2);
    assert!(is_held(&acquire(&before, "before", 3)));
}
