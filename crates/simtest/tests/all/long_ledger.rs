//! A long ledger: how it starts after `kill -9`, and that work costs the same
//! beside many environments at rest. The measurements in full are
//! `cargo xtask bench ledger`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use exokit_engine::engine::{Engine, Parts};
use exokit_ledger::{Condition, Environments, Filter, Ledger as _, Operations, SqliteLedger};
use exokit_model::event::Entry;
use exokit_model::ids::Zone;
use exokit_model::phase::Phase;
use exokit_sim::Config;
use exokit_simtest::counting::Counting;
use exokit_simtest::ledger_generator::{LedgerGenerator, Until};
use exokit_simtest::rig::{Rig, request};
use jiff::SignedDuration;

/// Events in the ledger before the writer is killed.
const EVENTS: usize = 100_000;

/// Far above what a start takes on any machine, and far below a fold of all.
const START_MAX: Duration = Duration::from_secs(5);

/// The argument that makes this program the writer that is killed: filters
/// that skip what is not there are all that the test runner lets through.
const WRITE_INTO: &str = "write-into:";

/// Fills a ledger, then appends one by one until it is killed.
fn write(folder: &Path) {
    let ledger_generator = ledger_generator(3);
    let five = ledger_generator.length(Until::Gone) * 4 + ledger_generator.length(Until::Ready);
    let lives = (EVENTS * 5 / five) as u64 + 1;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let ledger = SqliteLedger::open(folder).unwrap();
        for first in (0..lives).step_by(20) {
            let until = |number| if number % 5 > 0 { Until::Gone } else { Until::Ready };
            let entries: Vec<Entry> = (first..lives.min(first + 20))
                .flat_map(|number| ledger_generator.life(number, until(number)))
                .collect();
            ledger.append(&Condition::default(), entries).await.unwrap();
        }
        for number in lives.. {
            for entry in ledger_generator.life(number, Until::Gone) {
                let written = ledger.append(&Condition::default(), vec![entry]).await.unwrap();
                println!("durable {}", written[0].seq);
            }
        }
    });
}

fn ledger_generator(template: u16) -> LedgerGenerator {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(LedgerGenerator::of(template)).unwrap()
}

/// Starts the writer and kills it after it was told so many times that a
/// single append is durable. Returns the last of those.
fn killed(folder: &Path, singles: usize) -> u64 {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "long_ledger::a_long_ledger_starts_at_once_after_kill_9", "--nocapture", "--skip"])
        .arg(format!("{WRITE_INTO}{}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let durable = lines.filter_map(|line| line.unwrap().strip_prefix("durable ")?.parse().ok());
    let last = durable.take(singles).last();
    writer.kill().unwrap();
    assert!(!writer.wait().unwrap().success());
    last.unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a start is measured in real time")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn a_long_ledger_starts_at_once_after_kill_9() {
    let told = std::env::args().find_map(|word| word.strip_prefix(WRITE_INTO).map(str::to_owned));
    if let Some(folder) = told {
        return write(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let acknowledged = killed(folder.path(), 30);
    assert!(acknowledged > EVENTS as u64, "{acknowledged}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let began = now();
        let ledger = SqliteLedger::open_with_progress(folder.path(), &mut |_, _| {
            panic!("there is nothing to convert")
        })
        .unwrap();
        let active = ledger.operations(Operations::Active).await.unwrap();
        let head = ledger.head().await.unwrap();
        let took = began.elapsed();
        assert!(took < START_MAX, "{took:?}");
        assert!(head.seq >= acknowledged, "{} of {acknowledged}", head.seq);
        assert!(active.len() <= 1, "{}", active.len());
        let present = ledger.environments(Environments::Present).await.unwrap();
        assert!(present.len() > 100, "{}", present.len());
        let audit = ledger.audit(None).await.unwrap();
        assert_eq!((audit.head, audit.differing), (head, Vec::<String>::new()));
        println!("{} records, {} environments: open after {took:?}", head.seq, audit.environments);
    });
}

/// What the parts of an operation cost, in records and rows that were read.
async fn costs(at_rest: u64, parked: &LedgerGenerator) -> Vec<(&'static str, u64)> {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    for first in (0..at_rest).step_by(100) {
        let lives = (first..at_rest.min(first + 100)).flat_map(|number| parked.life(number, Until::Parked));
        // Each process reads the requests of the day once, so these are of the
        // day before.
        let entries = lives.map(|entry| Entry { at: entry.at - SignedDuration::from_hours(24), ..entry });
        rig.ledger.append(&Condition::default(), entries.collect()).await.unwrap();
    }
    let resting = rig.ledger.environments(Environments::Present).await.unwrap();
    assert_eq!(resting.len() as u64, at_rest);
    let ledger = Arc::new(Counting::new(Arc::new(rig.ledger.clone())));
    let parts = Parts { ledger: ledger.clone(), ..rig.engine().parts().clone() };
    let engine = Engine::new(parts);
    let mut costs = Vec::new();
    let plan = engine.plan_provision(request(3), None).await.unwrap();
    costs.push(("plan", ledger.take()));
    let state = engine.propose(&plan, None).await.unwrap();
    costs.push(("propose", ledger.take()));
    rig.approve(&state).await;
    assert_eq!(engine.run(&state.operation).await.unwrap(), Phase::Succeeded);
    costs.push(("run", ledger.take()));
    engine.expire().await.unwrap();
    let active = engine.parts().ledger.operations(Operations::Active).await.unwrap();
    assert!(active.is_empty());
    costs.push(("look for work", ledger.take()));
    let zone: Zone = "ch-dk-2".parse().unwrap();
    assert!(engine.orphans(&zone).await.unwrap().is_empty());
    costs.push(("sweep", ledger.take()));
    let plan = engine.plan_teardown(&state.plan.environment, &state.plan.requester, None).await.unwrap();
    costs.push(("plan teardown", ledger.take()));
    let whole = engine.parts().ledger.read(Filter::All, 0).await.unwrap().len() as u64;
    assert_eq!(ledger.take(), whole, "what is read is counted");
    assert!(!plan.destroys.is_empty());
    costs
}

#[tokio::test(start_paused = true)]
async fn work_costs_the_same_beside_ten_thousand_environments_at_rest() {
    let parked = LedgerGenerator::of(1).await.unwrap();
    let few = costs(100, &parked).await;
    let many = costs(10_000, &parked).await;
    println!("beside 100: {few:?}\nbeside 10,000: {many:?}");
    for ((what, few), (_, many)) in few.into_iter().zip(many) {
        assert!(many * 2 <= few * 3, "{what}: {few} beside 100, {many} beside 10,000");
    }
}
