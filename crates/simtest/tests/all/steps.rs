//! Every step of every template and verb, failed once and done twice.
//!
//! Failed once: each changing request meets each fault, in that call alone;
//! the step that sent it says so in the ledger, and the operation ends well.
//! Done twice: at each record another engine takes over while the first one
//! lives on and goes on later; the end is the same as with one engine.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use exokit_model::canonical::Digest;
use exokit_model::event::{Event, Record};
use exokit_model::ids::NodeKey;
use exokit_model::phase::Phase;
use exokit_sim::{Effect, Fault, FaultRule, JournalEntry, Matcher, World};
use exokit_simtest::crash_points;
use exokit_simtest::matrix::{all_cells, in_virtual_time};
use exokit_simtest::oracle;
use exokit_simtest::parallel::{side_by_side, threads};
use exokit_simtest::rig::Rig;
use exokit_simtest::scenario::{Scenario, Verb, inventory};

/// What a request meets.
fn faults() -> Vec<(&'static str, Fault)> {
    let status = |status, after_effect| Fault::Status {
        status,
        message: Some("no".to_owned()),
        retry_after: None,
        after_effect,
    };
    let fails = |leaves_resource| Fault::OperationFails {
        reason: "partial".to_owned(),
        message: None,
        leaves_resource,
    };
    vec![
        ("500", status(500, false)),
        ("502 after the effect", status(502, true)),
        ("request lost", Fault::DropBefore),
        ("reply lost", Fault::DropAfter),
        ("reply cut", Fault::Garbage),
        ("400", status(400, false)),
        ("401", status(401, false)),
        ("409", status(409, false)),
        ("operation fails", fails(false)),
        ("operation fails half way", fails(true)),
    ]
}

/// One changing request of a run without faults.
struct Call {
    operation: String,
    /// It is the how-manieth of its operation.
    nth: u64,
    /// The node whose step sent it.
    node: String,
    /// The record of the intent to send it.
    intent: u64,
    creates: bool,
    /// Whether it is about object storage, whose replies have no body.
    storage: bool,
    /// Whether the cloud accepts it with an operation that can fail later.
    can_fail_later: bool,
}

/// What came of many runs.
#[derive(Debug, Default, Clone)]
struct Tally {
    runs: u64,
    succeeded: u64,
    rolled_back: u64,
    parked: u64,
    fenced: u64,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.succeeded += other.succeeded;
        self.rolled_back += other.rolled_back;
        self.parked += other.parked;
        self.fenced += other.fenced;
        self.wrong.extend(other.wrong.iter().cloned());
    }
}

/// Prints a table past the test runner, which keeps the output of the macros.
fn print(title: &str, rows: &BTreeMap<String, Tally>) {
    let mut text = format!(
        "| {title} | runs | succeeded | rolled back | parked first | fenced |\n|---|---|---|---|---|---|\n"
    );
    for (name, t) in rows {
        text.push_str(&format!(
            "| {name} | {} | {} | {} | {} | {} |\n",
            t.runs, t.succeeded, t.rolled_back, t.parked, t.fenced
        ));
    }
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

fn all_well(rows: &BTreeMap<String, Tally>) -> Tally {
    let mut sum = Tally::default();
    rows.values().for_each(|row| sum.add(row));
    assert!(sum.wrong.is_empty(), "{:#?}", &sum.wrong[..sum.wrong.len().min(40)]);
    sum
}

/// Node and digest of an intent.
fn intent(record: &Record) -> Option<(&NodeKey, Digest)> {
    match &record.entry.event {
        Event::CreateIntended { node, request, .. } | Event::DeleteIntended { node, request, .. } => {
            Some((node, *request))
        }
        _ => None,
    }
}

/// The changing requests of a run, each with the step that sent it.
fn calls(records: &[Record], journal: &[Arc<JournalEntry>]) -> Vec<Call> {
    let plans = oracle::plans(records);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let call = |entry: &JournalEntry, nth: u64| {
        let storage = !entry.path.starts_with("/v2/") && !entry.in_cluster;
        // The journal keeps no bodies of object storage; its node is the only
        // one of that name.
        let sent_by = |record: &&Record| {
            intent(record).is_some_and(|(node, digest)| {
                record.entry.at.as_millisecond() <= entry.at_ms
                    && (digest == oracle::intended_digest(&plans, entry)
                        || (storage && node.as_str() == "bucket"))
            })
        };
        let intended = records.iter().rfind(sent_by).unwrap();
        let (node, _) = intent(intended).unwrap();
        let creates = matches!(intended.entry.event, Event::CreateIntended { .. });
        let followed = |record: &Record| match &record.entry.event {
            Event::CreateAccepted { node: own, cloud_operation, .. } => {
                creates && own == node && cloud_operation.is_some()
            }
            Event::DeleteAccepted { node: own, cloud_operation, .. } => {
                !creates && own == node && cloud_operation.is_some()
            }
            _ => false,
        };
        Call {
            operation: entry.operation.clone(),
            nth,
            node: node.to_string(),
            intent: intended.seq,
            creates,
            storage,
            can_fail_later: !storage && entry.effect != Effect::None && records.iter().any(followed),
        }
    };
    // Access to a cluster is asked for without an intent: it changes nothing.
    let changes = journal.iter().filter(|entry| entry.operation != "generate-sks-cluster-kubeconfig");
    let numbered = changes.map(|entry| {
        let nth = seen.entry(entry.operation.as_str()).or_default();
        *nth += 1;
        call(entry, *nth)
    });
    numbered.collect()
}

/// The events by which the step that sent a request may say what it met.
fn says(call: &Call, fault: &Fault) -> &'static [&'static str] {
    match (call.creates, call.storage, fault) {
        // Object storage confirms without a body, so there is nothing to cut;
        // and it refuses in XML, so that a refusal in JSON is not its own.
        (true, true, Fault::Garbage) => &["create-accepted"],
        (false, true, Fault::Garbage) => &["delete-accepted", "resource-gone"],
        (true, true, _) => &["create-in-doubt", "create-refused"],
        (true, false, Fault::OperationFails { .. }) => &["resource-failed"],
        (true, false, Fault::Status { status: 400 | 401, .. }) => &["create-refused"],
        (true, false, Fault::Status { status: 409, .. }) => &["create-refused", "create-in-doubt"],
        (true, false, _) => &["create-in-doubt"],
        // A rule goes at once; that its operation fails later brings it not
        // back, and the resource is trusted more than the operation.
        (false, _, Fault::OperationFails { .. }) if call.operation == "delete-rule-from-security-group" => {
            &["resource-gone"]
        }
        (false, _, _) => &["delete-refused"],
    }
}

/// Whether the step of a call said what it met, before it tried again.
fn said(rig: &Rig, call: &Call, expected: &[&str]) -> bool {
    let records = rig.ledger.durable();
    let own = records
        .iter()
        .filter(|r| r.seq > call.intent && r.entry.event.node().is_some_and(|n| n.as_str() == call.node));
    own.take_while(|record| intent(record).is_none()).any(|r| expected.contains(&r.entry.event.name()))
}

/// Faults that took effect, and replies that were not delivered whole: a
/// request that the cloud refuses anyway has no effect that could be lost.
fn effects(rig: &Rig) -> u64 {
    let count = |world: &mut World| {
        let undelivered = world.journal().iter().filter(|entry| !entry.delivered).count();
        world.effects().values().sum::<u64>() + undelivered as u64
    };
    rig.world.with(count).unwrap()
}

/// Acts; where a human is needed, the fault is lifted and the human says so.
async fn act_with_help(scenario: &Scenario, rig: &Rig, tally: &mut Tally) -> Result<Phase, String> {
    let ended = scenario.act(rig).await;
    let Ok(Phase::NeedsHuman { .. }) = &ended else { return ended };
    tally.parked += 1;
    let records = rig.ledger.durable();
    let parked = records.iter().rfind(|record| record.entry.event.name() == "operation-parked").unwrap();
    rig.world.with(|world: &mut World| world.reconfigure(|config| config.faults.clear())).unwrap();
    rig.engine().unpark(parked.entry.operation.as_ref().unwrap(), "dana", false).await.unwrap();
    scenario.act(rig).await
}

/// What is wrong with an end that may also be a rollback.
async fn judge(scenario: &Scenario, rig: &Rig, ended: &Result<Phase, String>, end: &[String]) -> Vec<String> {
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut wrong = oracle::judge(rig);
    match (scenario.verb, ended) {
        (Verb::Provision, Ok(Phase::Succeeded)) => {
            let found = inventory(rig);
            wrong.extend((found != end).then(|| format!("another end: {found:?}")));
        }
        (Verb::Provision | Verb::Rollback, Ok(Phase::RolledBack { .. }))
        | (Verb::Teardown | Verb::Expiry, Ok(Phase::Succeeded)) => wrong.extend(oracle::leftovers(rig)),
        (_, other) => wrong.push(format!("it ended as {other:?}")),
    }
    wrong
}

/// One fault in one call.
async fn fails_once(scenario: &Scenario, call: &Call, fault: &Fault, end: &[String]) -> Tally {
    let mut tally = Tally { runs: 1, ..Tally::default() };
    let rig = scenario.fresh();
    let before = effects(&rig);
    let rule = FaultRule { when: Matcher::nth(&call.operation, call.nth), fault: fault.clone() };
    rig.world.with(|world: &mut World| world.reconfigure(|config| config.faults = vec![rule])).unwrap();
    let ended = act_with_help(scenario, &rig, &mut tally).await;
    match &ended {
        Ok(Phase::Succeeded) => tally.succeeded += 1,
        Ok(Phase::RolledBack { .. }) => tally.rolled_back += 1,
        _ => {}
    }
    let mut wrong = judge(scenario, &rig, &ended, end).await;
    let expected = says(call, fault);
    if !said(&rig, call, expected) {
        wrong.push(format!("its step does not say {expected:?}"));
    }
    if effects(&rig) == before {
        wrong.push("the fault had no effect".to_owned());
    }
    let place =
        format!("T{} {}, {} #{} meets {fault:?}", scenario.template, scenario.verb, call.operation, call.nth);
    tally.wrong = wrong.into_iter().map(|line| format!("{place}: {line}")).collect();
    tally
}

/// Every fault in every call of one template and verb, by fault.
fn each_fails_once(template: u16, verb: Verb) -> BTreeMap<String, Tally> {
    let scenario = in_virtual_time(Scenario::set(verb, template)).unwrap();
    let before = scenario.rig.world.peek(|world| world.journal().len()).unwrap();
    let (calls, end) = in_virtual_time(async {
        let rig = scenario.fresh();
        scenario.act(&rig).await.unwrap();
        let journal = rig.world.peek(|world| world.journal()[before..].to_vec()).unwrap();
        (calls(&rig.ledger.durable(), &journal), inventory(&rig))
    });
    let mut by_fault: BTreeMap<String, Tally> = BTreeMap::new();
    for call in &calls {
        for (name, fault) in faults() {
            if matches!(fault, Fault::OperationFails { .. }) && !call.can_fail_later {
                continue;
            }
            let tally = in_virtual_time(fails_once(&scenario, call, &fault, &end));
            by_fault.entry(name.to_owned()).or_default().add(&tally);
        }
    }
    by_fault
}

#[test]
fn every_step_failed_once_says_so_and_the_operation_ends_well() {
    let mut rows: BTreeMap<String, Tally> = BTreeMap::new();
    for cell in side_by_side(&all_cells(), threads(), |&(template, verb)| each_fails_once(template, verb)) {
        for (name, tally) in cell {
            rows.entry(name).or_default().add(&tally);
        }
    }
    print("each call once meets", &rows);
    let sum = all_well(&rows);
    assert_eq!(rows.len(), faults().len());
    assert!(sum.succeeded > 0 && sum.rolled_back > 0 && sum.parked > 0, "{sum:?}");
}

/// Polls a future so many times and leaves it as it is.
async fn pause_after<F: Future>(future: &mut Pin<&mut F>, polls: u64) -> Option<F::Output> {
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Changes that took effect so far.
fn changes(rig: &Rig) -> usize {
    let count = |world: &mut World| world.journal().iter().filter(|e| e.effect != Effect::None).count();
    rig.world.with(count).unwrap()
}

/// One engine stands still after so many polls; another takes over when the
/// lease has run out, and ends; then the first goes on.
async fn taken_over(scenario: &Scenario, polls: u64, end: &[String]) -> Tally {
    let mut tally = Tally { runs: 1, ..Tally::default() };
    let rig = scenario.fresh();
    let mut first = pin!(scenario.act(&rig));
    let mut wrong = Vec::new();
    if let Some(ended) = pause_after(&mut first, polls).await {
        wrong.push(format!("it was not taken over, it ended as {ended:?}"));
    }
    tokio::time::sleep(Duration::from_secs(91)).await;
    let ended = scenario.act(&rig).await;
    match &ended {
        Ok(Phase::Succeeded) => tally.succeeded += 1,
        Ok(Phase::RolledBack { .. }) => tally.rolled_back += 1,
        _ => {}
    }
    let before = changes(&rig);
    let (records, late) = (rig.ledger.lengths().0, first.await);
    tally.fenced += u64::from(late.is_err());
    wrong.extend(judge(scenario, &rig, &ended, end).await);
    if changes(&rig) != before {
        wrong.push(format!("the first engine changed the cloud afterwards and ended as {late:?}"));
    }
    let known = rig.ledger.durable();
    if known[records..].iter().any(|record| record.entry.epoch > 0) {
        wrong.push(format!("the first engine wrote afterwards and ended as {late:?}"));
    }
    let place = format!("T{} {}, taken over after {polls} polls", scenario.template, scenario.verb);
    tally.wrong = wrong.into_iter().map(|line| format!("{place}: {line}")).collect();
    tally
}

/// A take-over after each record of one template and verb.
fn each_taken_over(template: u16, verb: Verb) -> (String, Tally) {
    let scenario = in_virtual_time(Scenario::set(verb, template)).unwrap();
    let (places, end) = in_virtual_time(async {
        let rig = scenario.fresh();
        let (ended, points) = crash_points::follow(&rig, scenario.act(&rig)).await;
        ended.unwrap();
        (crash_points::after_each_record(&points), inventory(&rig))
    });
    let mut sum = Tally::default();
    for polls in places {
        sum.add(&in_virtual_time(taken_over(&scenario, polls, &end)));
    }
    (format!("T{template} {verb}"), sum)
}

#[test]
fn after_every_record_another_engine_takes_over_and_the_end_is_the_same() {
    let rows: BTreeMap<String, Tally> =
        side_by_side(&all_cells(), threads(), |&(template, verb)| each_taken_over(template, verb))
            .into_iter()
            .collect();
    print("taken over after each record of", &rows);
    let sum = all_well(&rows);
    assert_eq!(rows.len(), all_cells().len());
    assert!(rows.values().all(|row| row.runs > 10 && row.fenced > 0), "{rows:?}");
    assert_eq!(sum.succeeded + sum.rolled_back, sum.runs);
}
