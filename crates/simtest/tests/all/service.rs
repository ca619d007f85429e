//! The service under virtual time: requests, rounds, and events over a bus
//! that loses, repeats and goes away.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use exokit_ledger::{Filter, LEASE_SECONDS, Ledger as _, Operations};
use exokit_model::access::RequesterProof;
use exokit_model::cost::PriceList;
use exokit_model::event::Record;
use exokit_service::Service;
use exokit_service::admission::Limits;
use exokit_service::bus::{Bus, BusError, Kept, Publication};
use exokit_service::progress::Progress;
use exokit_service::publisher::{Cursor, Publisher};
use exokit_service::service::Parts;
use exokit_service::worker::{Worker, WorkerEvent};
use exokit_sim::{Config, Fault, FaultRule, Matcher};
use exokit_simtest::rig::Rig;
use exokit_templates::{TemplateSet, prices};
use exokit_wire::failure::Failure;
use exokit_wire::verb::Verb;
use serde_json::{Value, json};

fn service(rig: &Rig, limits: Limits) -> Service {
    Service::new(Parts {
        engine: rig.engine(),
        templates: TemplateSet::embedded().unwrap(),
        prices: prices::embedded().unwrap(),
        zone: "ch-dk-2".parse().unwrap(),
        limits,
    })
}

async fn ask(service: &Service, verb: Verb, body: Value) -> Result<Value, Failure> {
    let mut message = json!({ "schema_version": 1, "requester": "dana" });
    message.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    let answer = service.answer(verb, message.to_string().as_bytes(), RequesterProof::Local).await?;
    Ok(serde_json::from_str(answer.get()).unwrap())
}

fn provision(name: &str, key: &str) -> Value {
    json!({ "idempotency_key": key, "ask": { "template": "T1", "name": name } })
}

/// Runs the rounds until every operation has ended; how many that were.
async fn rounds(service: &Service, until: usize) -> usize {
    let (ended, blind) = noticed(service, until).await;
    assert_eq!(blind, Vec::<String>::new());
    ended
}

/// As [`rounds`], with the codes of what could not be looked at.
async fn noticed(service: &Service, until: usize) -> (usize, Vec<String>) {
    let (ended, blind) = (Mutex::new(0), Mutex::new(Vec::new()));
    let all_ended = async {
        while *ended.lock().unwrap() < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    Worker::new(service.clone())
        .run(all_ended, |noticed| match noticed {
            WorkerEvent::Ended(_, Ok(phase)) => {
                assert!(phase.is_terminal(), "{phase:?}");
                *ended.lock().unwrap() += 1;
            }
            WorkerEvent::Blind(failure) => blind.lock().unwrap().push(failure.code),
            WorkerEvent::Ended(_, Err(_)) | WorkerEvent::Expired(_) | WorkerEvent::Ending(_) => {}
        })
        .await;
    (ended.into_inner().unwrap(), blind.into_inner().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_request_leads_to_one_operation_however_often_it_comes_and_whatever_crashes() {
    let mut rig = Rig::new(Config::default());
    rig.install_roster().await;
    let first = service(&rig, Limits::default());
    let answered = ask(&first, Verb::Provision, provision("one", "k")).await.unwrap();
    assert_eq!(answered["phase"], "awaiting-approval");
    let again = ask(&first, Verb::Provision, provision("one", "k")).await.unwrap();
    assert_eq!(again, answered);
    let other = ask(&first, Verb::Provision, provision("two", "k")).await.unwrap_err();
    assert_eq!((other.status, other.code.as_str()), (409, "idempotency-conflict"));
    // What was answered is on the disk: the crash takes what is not.
    rig.crash(false);
    let second = service(&rig, Limits::default());
    let after = ask(&second, Verb::Provision, provision("one", "k")).await.unwrap();
    assert_eq!(after, answered);
    assert_eq!(rounds(&second, 1).await, 1);
    let ended = ask(&second, Verb::Provision, provision("one", "k")).await.unwrap();
    assert_eq!((&ended["operation"], &ended["phase"]), (&answered["operation"], &json!("succeeded")));
    let plans = rig.ledger.operations(Operations::All).await.unwrap();
    assert_eq!(plans.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_cannot_be_looked_at_holds_up_no_other() {
    let fault = Fault::Status { status: 403, message: None, retry_after: None, after_effect: false };
    let when = Matcher::every("list-block-storage-snapshots");
    let rig = Rig::new(Config { faults: vec![FaultRule { when, fault }], ..Config::default() });
    rig.install_roster().await;
    let service = service(&rig, Limits::default());
    let short = json!({ "ask": { "template": "T1", "name": "one", "ttl_seconds": 3600 } });
    ask(&service, Verb::Provision, short).await.unwrap();
    assert_eq!(rounds(&service, 1).await, 1);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    // Its removal cannot be planned.
    ask(&service, Verb::Provision, provision("two", "k")).await.unwrap();
    let (ended, blind) = noticed(&service, 1).await;
    assert_eq!(ended, 1);
    assert!(!blind.is_empty() && blind.iter().all(|code| code == "cloud"), "{blind:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_in_no_roster_shares_one_budget() {
    let rig = Rig::new(Config::default());
    let mut roster = rig.roster();
    roster.policy.requester_daily_max = Some("0.05".parse().unwrap());
    rig.engine().install_roster(&rig.signed(&roster)).await.unwrap();
    let service = service(&rig, Limits::default());
    let mut levels = Vec::new();
    for name in ["dana", "mr-x", "mr-y"] {
        let mut body = provision(name, "k");
        body["requester"] = json!(name);
        levels.push(ask(&service, Verb::Provision, body).await.unwrap()["level"].clone());
    }
    // Each alone is within it; two strangers are not.
    assert_eq!(levels, [1, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_exists_takes_no_other_key() {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let service = service(&rig, Limits::default());
    let wish = json!({ "provision": { "template": "T1", "name": "one" } });
    let plan = ask(&service, Verb::Plan, wish).await.unwrap();
    let sealed = json!({ "plan": plan["plan"], "seal": plan["seal"] });
    for body in [json!({ "sealed": sealed }), json!({ "plan_id": plan["plan_id"] })] {
        let mut keyed = body.clone();
        keyed["idempotency_key"] = json!("k");
        let before = rig.ledger.head().await.unwrap();
        let refused = ask(&service, Verb::Provision, keyed).await.unwrap_err();
        assert_eq!((refused.status, refused.on.as_str()), (400, "k"));
        assert_eq!(rig.ledger.head().await.unwrap(), before);
        ask(&service, Verb::Provision, body).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_elsewhere_is_taken_up_too() {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let here = service(&rig, Limits::default());
    let elsewhere = service(&rig, Limits::default());
    let asking = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        ask(&elsewhere, Verb::Provision, provision("one", "k")).await.unwrap()
    };
    let (ended, _) = tokio::join!(rounds(&here, 1), asking);
    assert_eq!(ended, 1);
}

#[tokio::test(start_paused = true)]
async fn too_much_at_once_is_told_and_not_recorded() {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let one = NonZeroUsize::MIN;
    let narrow = service(&rig, Limits { requests: one, operations: one, ..Limits::default() });
    let (first, second) = tokio::join!(
        ask(&narrow, Verb::Provision, provision("one", "k1")),
        ask(&narrow, Verb::Provision, provision("two", "k2")),
    );
    first.unwrap();
    let busy = second.unwrap_err();
    assert_eq!((busy.status, busy.code.as_str()), (429, "busy"));
    assert!(busy.retry_after_ms.is_some_and(|ms| ms > 0));
    // One operation is under way, and there is room for one.
    let full = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        ask(&narrow, Verb::Provision, provision("two", "k2")).await.unwrap_err()
    };
    let (_, full) = tokio::join!(rounds(&narrow, 1), full);
    assert_eq!((full.status, full.code.as_str()), (429, "busy"));
    assert_eq!(rig.ledger.operations(Operations::All).await.unwrap().len(), 1);
    ask(&narrow, Verb::Provision, provision("two", "k2")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_waits_for_its_turn() {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let narrow = service(&rig, Limits { operations: NonZeroUsize::MIN, ..Limits::default() });
    for (name, key) in [("one", "k1"), ("two", "k2"), ("three", "k3")] {
        ask(&narrow, Verb::Provision, provision(name, key)).await.unwrap();
    }
    assert_eq!(rounds(&narrow, 3).await, 3);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_begin_is_tried_again_and_not_without_a_pause() {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let service = service(&rig, Limits::default());
    let answered = ask(&service, Verb::Provision, provision("one", "k")).await.unwrap();
    let operation = answered["operation"].as_str().unwrap().parse().unwrap();
    // Another process holds it, and dies without a word.
    rig.ledger.acquire(&operation, "another").await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(rounds(&service, 1).await, 1);
    let waited = began.elapsed().as_secs();
    assert!(waited >= LEASE_SECONDS.unsigned_abs(), "{waited} s");
    // Each attempt that is refused takes the ledger's writer for a moment.
    let epoch = rig.ledger.read(Filter::Operation(operation), 0).await.unwrap().last().unwrap().entry.epoch;
    assert_eq!(epoch, 2);
}

/// A bus with moods: it takes messages and loses them before it confirms,
/// refuses them, or is not there for a while.
struct Moody {
    random: Mutex<fastrand::Rng>,
    /// What has arrived, in order.
    arrived: Mutex<Vec<(String, String)>>,
    /// What was taken and may yet be lost.
    taken: Mutex<Vec<(String, String)>>,
    lost: Mutex<u32>,
    refused: Mutex<u32>,
}

impl Moody {
    fn new(seed: u64) -> Self {
        Self {
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            arrived: Mutex::default(),
            taken: Mutex::default(),
            lost: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    fn chance(&self, of: u32) -> bool {
        self.random.lock().unwrap().u32(0..of) == 0
    }
}

fn gone() -> BusError {
    BusError { why: "it is not there".to_owned() }
}

#[async_trait]
impl Bus for Moody {
    async fn publish(&self, publication: Publication) -> Result<(), BusError> {
        if self.chance(40) {
            *self.refused.lock().unwrap() += 1;
            return Err(gone());
        }
        self.taken.lock().unwrap().push((publication.subject, publication.id.unwrap()));
        Ok(())
    }

    async fn confirm(&self) -> Result<Option<Kept>, BusError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let taken = std::mem::take(&mut *self.taken.lock().unwrap());
        let mut arrived = self.arrived.lock().unwrap();
        if self.chance(3) {
            // The connection broke somewhere in the middle.
            let until = self.random.lock().unwrap().usize(0..=taken.len());
            *self.lost.lock().unwrap() += u32::try_from(taken.len() - until).unwrap();
            arrived.extend_from_slice(&taken[..until]);
            return Err(gone());
        }
        arrived.extend(taken);
        Ok(None)
    }

    fn connection(&self) -> u64 {
        1
    }
}

/// Keeps the number in memory, like a file that a crash leaves.
#[derive(Default)]
struct Noted(Mutex<Option<Progress>>);

#[async_trait]
impl Cursor for Noted {
    async fn read(&self) -> std::io::Result<Option<Progress>> {
        Ok(*self.0.lock().unwrap())
    }

    async fn write(&self, progress: Progress) -> std::io::Result<()> {
        *self.0.lock().unwrap() = Some(progress);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn every_record_is_published_in_order_whatever_the_bus_does_and_work_goes_on() {
    let (mut lost, mut refused, mut repeated) = (0, 0, 0);
    for seed in 0..20 {
        let rig = Rig::new(Config::default());
        let service = service(&rig, Limits::default());
        let (bus, cursor) = (Moody::new(seed), Noted::default());
        cursor.write(Progress::at(0)).await.unwrap();
        rig.install_roster().await;
        ask(&service, Verb::Provision, provision("one", "k")).await.unwrap();
        // Publishing stops and begins again, as processes do.
        let publishing = async {
            loop {
                let publisher = Publisher::new(&service, &bus, &cursor);
                let some = Duration::from_millis(1_700);
                let _ = tokio::time::timeout(some, publisher.run()).await;
            }
        };
        let work = async {
            assert_eq!(rounds(&service, 1).await, 1);
            let head = rig.ledger.head().await.unwrap().seq;
            while cursor.read().await.unwrap().map(|progress| progress.published) != Some(head) {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        tokio::select! {
            () = publishing => {}
            done = tokio::time::timeout(Duration::from_secs(3_600), work) => done.unwrap(),
        }
        let records = rig.ledger.read(Filter::All, 0).await.unwrap();
        let place: BTreeMap<String, u64> = records.iter().map(|r| (r.hash.to_string(), r.seq)).collect();
        let arrived = bus.arrived.lock().unwrap();
        let events = arrived.iter().filter(|(subject, _)| subject.starts_with("infra.events."));
        let mut next = 1;
        for (_, id) in events {
            match place[id] {
                seq if seq == next => next += 1,
                seq => {
                    // Again, and never ahead of one that was not there before.
                    assert!(seq < next, "seed {seed}: {seq} before {next}");
                    repeated += 1;
                }
            }
        }
        assert_eq!(next, records.len() as u64 + 1, "seed {seed}: every record arrived");
        lost += *bus.lost.lock().unwrap();
        refused += *bus.refused.lock().unwrap();
    }
    assert!(lost >= 50 && refused >= 10 && repeated >= 50, "{lost} {refused} {repeated}");
}

#[tokio::test(start_paused = true)]
async fn active_operations_are_those_that_run_or_have_their_votes() {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let service = service(&rig, Limits::default());
    let active = async || {
        let reply = ask(&service, Verb::Operations, json!({})).await.unwrap();
        let operations = reply["operations"].as_array().unwrap().clone();
        operations
            .into_iter()
            .map(|one| (one["environment"].clone(), one["phase"].clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(active().await, []);
    let waits = json!({ "ask": { "template": "T3", "name": "waits" } });
    let waits = ask(&service, Verb::Provision, waits).await.unwrap();
    assert_eq!(active().await, []);
    let ready = ask(&service, Verb::Provision, provision("ready", "k")).await.unwrap();
    assert_eq!(active().await, [(json!("ready"), json!("awaiting-approval"))]);
    let engine = rig.engine();
    let id = ready["operation"].as_str().unwrap().parse().unwrap();
    let run = engine.run(&id);
    let seen = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        active().await
    };
    let (_, seen) = tokio::join!(run, seen);
    assert_eq!(seen, [(json!("ready"), json!("running"))]);
    assert_eq!(active().await, []);
    // A page begins after the operation that is named.
    ask(&service, Verb::Provision, provision("next", "l")).await.unwrap();
    let page = json!({ "after": "op_zzzzzzzzzzzzzzzz" });
    let page = ask(&service, Verb::Operations, page).await.unwrap();
    assert_eq!(page["operations"], json!([]), "{waits}");
}

#[tokio::test(start_paused = true)]
async fn an_export_in_pages_is_the_ledger() {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let service = service(&rig, Limits::default());
    ask(&service, Verb::Provision, provision("one", "k")).await.unwrap();
    assert_eq!(rounds(&service, 1).await, 1);
    let first = ask(&service, Verb::Export, json!({})).await.unwrap();
    let records: Vec<Record> = serde_json::from_value(first["records"].clone()).unwrap();
    assert_eq!((records, &first["next"]), (rig.ledger.durable(), &Value::Null));
    let rest = ask(&service, Verb::Export, json!({ "after": 2 })).await.unwrap();
    assert_eq!(rest["records"][0]["seq"], 3);
    // Plans have some 12 kB each, and a page has less than 400 kB.
    for name in 0..60 {
        let wish = json!({ "ask": { "template": "T1", "name": format!("many-{name}") } });
        ask(&service, Verb::Provision, wish).await.unwrap();
    }
    let (mut exported, mut after, mut pages) = (Vec::new(), json!(0), 0);
    while !after.is_null() {
        let mut page = ask(&service, Verb::Export, json!({ "after": after })).await.unwrap();
        exported.extend(serde_json::from_value::<Vec<Record>>(page["records"].take()).unwrap());
        (after, pages) = (page["next"].take(), pages + 1);
    }
    assert!(pages > 1);
    assert_eq!(exported, rig.ledger.durable());
}

#[tokio::test(start_paused = true)]
async fn an_audit_takes_an_anchor_and_one_runs_at_a_time() {
    let rig = Rig::new(Config::default());
    rig.install_roster().await;
    let service = service(&rig, Limits::default());
    let whole = ask(&service, Verb::Audit, json!({})).await.unwrap();
    let head = rig.ledger.head().await.unwrap();
    assert_eq!((&whole["records"], &whole["head"]), (&json!(head.seq), &json!(head.hash)));
    let anchored = |seq: u64| json!({ "anchor": { "seq": seq, "hash": head.hash } });
    assert_eq!(ask(&service, Verb::Audit, anchored(head.seq)).await.unwrap(), whole);
    let cut = ask(&service, Verb::Audit, anchored(head.seq + 1)).await.unwrap_err();
    assert_eq!((cut.status, cut.code.as_str()), (422, "bad-record"), "{}", cut.why);
    let (one, other) =
        tokio::join!(ask(&service, Verb::Audit, json!({})), ask(&service, Verb::Doctor, json!({})));
    assert_eq!((one.unwrap(), other.unwrap_err().code), (whole.clone(), "busy".to_owned()));
    assert_eq!(ask(&service, Verb::Audit, json!({})).await.unwrap(), whole);
}

#[tokio::test(start_paused = true)]
async fn the_doctor_finds_what_is_wrong_with_ledger_roster_and_cloud() {
    let refuse = Fault::Status { status: 403, message: None, retry_after: None, after_effect: false };
    let when = Matcher::every("list-zones");
    for (faults, cloud) in [(Vec::new(), "ok"), (vec![FaultRule { when, fault: refuse }], "fail")] {
        let rig = Rig::new(Config { faults, ..Config::default() });
        rig.install_roster().await;
        let service = service(&rig, Limits::default());
        let found = ask(&service, Verb::Doctor, json!({})).await.unwrap();
        let found: Vec<(&str, &str)> = found["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| (finding["check"].as_str().unwrap(), finding["status"].as_str().unwrap()))
            .collect();
        let checks: Vec<&str> = found.iter().map(|(check, _)| *check).collect();
        assert_eq!(checks, ["templates", "prices", "ledger", "approvals", "cloud", "clock"]);
        assert!(found.contains(&("ledger", "ok")) && found.contains(&("cloud", cloud)), "{found:?}");
        let offline = ask(&service, Verb::Doctor, json!({ "skip_cloud": true })).await.unwrap();
        assert_eq!(offline["findings"].as_array().unwrap().len(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn the_prices_in_use_are_told_and_compared_with_the_public_ones() {
    let rig = Rig::new(Config::default());
    let mut list = prices::embedded().unwrap();
    list.hourly.insert("nlb".to_owned(), "9".parse().unwrap());
    let service = Service::new(Parts {
        engine: rig.engine(),
        templates: TemplateSet::embedded().unwrap(),
        prices: list.clone(),
        zone: "ch-dk-2".parse().unwrap(),
        limits: Limits::default(),
    });
    let used = ask(&service, Verb::Prices, json!({})).await.unwrap();
    assert_eq!(serde_json::from_value::<PriceList>(used).unwrap(), list);
    let compared = ask(&service, Verb::VerifyPrices, json!({})).await.unwrap();
    let changed = compared["changed"].as_array().unwrap();
    assert_eq!((changed.len(), &changed[0]["item"], &changed[0]["ours"]), (1, &json!("nlb"), &json!("9")));
}
