//! From a torn file back to a running operation: what SQLite gives back of a
//! ledger whose last transaction is half written is one of the two ledgers
//! from which the crash matrix resumes, and from both the operation ends well.

use std::fs;
use std::path::Path;

use exokit_ledger::{Condition, Filter, Ledger as _, SqliteLedger};
use exokit_model::event::Record;
use exokit_simtest::crash_points::{self, CrashPoint, Outcome};
use exokit_simtest::matrix::in_virtual_time;
use exokit_simtest::scenario::{Scenario, Verb};

/// A file ledger that grows with the records of a run.
struct Growing {
    ledger: SqliteLedger,
    written: usize,
}

impl Growing {
    async fn grow(&mut self, records: &[Record]) {
        for record in &records[self.written..] {
            let copied = self.ledger.append(&Condition::default(), vec![record.entry.clone()]).await.unwrap();
            assert_eq!(copied[0].hash, record.hash, "the same chain");
        }
        self.written = records.len();
    }
}

/// Copies a running ledger with its log cut to `length`, and reads it.
async fn torn(from: &Path, to: &Path, length: u64) -> Vec<Record> {
    fs::create_dir(to).unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    let wal = fs::OpenOptions::new().write(true).open(to.join("ledger.db-wal")).unwrap();
    wal.set_len(length).unwrap();
    SqliteLedger::open(to).unwrap().read(Filter::All, 0).await.unwrap()
}

fn resumes(scenario: &Scenario, point: &CrashPoint, outcome: &Outcome) {
    let wrong = in_virtual_time(async {
        let rig = outcome.left.fork(point.at);
        let ended = scenario.act(&rig).await;
        scenario.judge(&rig, ended).await
    });
    assert_eq!(wrong, Vec::<String>::new(), "{}", point.place(outcome));
}

#[test]
fn an_operation_resumes_on_a_ledger_whose_last_transaction_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let running = folder.path().join("running");
    let scenario = in_virtual_time(Scenario::set(Verb::Provision, 1)).unwrap();
    let points = in_virtual_time(async {
        let rig = scenario.fresh();
        crash_points::follow(&rig, scenario.act(&rig)).await.1
    });
    let file = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut growing = Growing { ledger: SqliteLedger::open(&running).unwrap(), written: 0 };
    let (mut kept, mut lost) = (0, 0);
    for point in &points {
        let [whole, half] = point.outcomes().collect::<Vec<_>>()[..] else { continue };
        let (after, before) = (whole.left.ledger.durable(), half.left.ledger.durable());
        file.block_on(growing.grow(&before));
        let start = fs::metadata(running.join("ledger.db-wal")).unwrap().len();
        file.block_on(growing.grow(&after));
        let end = fs::metadata(running.join("ledger.db-wal")).unwrap().len();
        for length in [start, start + 1, u64::midpoint(start, end), end - 1, end] {
            let place = folder.path().join(format!("{}-{length}", point.polls));
            let found = file.block_on(torn(&running, &place, length));
            // One entry at a time here, so that a batch may be cut in between.
            match found.len() {
                n if n == after.len() => assert_eq!(found, after),
                n if n == before.len() => assert_eq!(found, before),
                _ => assert!(after.starts_with(&found) && found.starts_with(&before)),
            }
            kept += u32::from(found.len() == after.len());
            lost += u32::from(found.len() == before.len());
        }
        resumes(&scenario, point, whole);
        resumes(&scenario, point, half);
    }
    assert!(kept > 10 && lost > 10, "{kept} kept, {lost} lost");
}
