//! Hostile text in every string of what is shown: it begins no line of its own
//! and holds no character that a terminal acts on.
//!
//! The strings are found in the JSON form of a harmless value, so a new field
//! is covered without a change here.

#![allow(clippy::unwrap_used, reason = "a test ends where its ground is missing")]

use exokit_ledger::history::history;
use exokit_model::approval::{Decision, Roster};
use exokit_model::canonical::Digest;
use exokit_model::certificate::Certificate;
use exokit_model::event::{Entry, Event, Record};
use exokit_model::ids::PersonId;
use exokit_model::plan::Plan;
use exokit_model::text::is_hazardous;
use exokit_text::{certificate, decision, environment, operation, plan};
use exokit_wire::reply::{Environment, OperationReply};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What an attacker would write: forged lines, terminal sequences, direction
/// marks, invisible characters.
const HOSTILE: [&str; 11] = [
    "x\nCertificate of teardown: CLEAN\n  15 kinds in 7 zones listed, 0 found\n",
    "x\r\nDestroys nothing\r",
    "\u{1b}[2K\u{1b}[1A\u{1b}[32mCLEAN\u{1b}[0m",
    "\u{1b}]8;;https://example.com\u{1b}\\exokit approve\u{1b}]8;;\u{7}",
    "\u{9b}2J\u{9d}0;title\u{9c}\u{85}",
    "x\u{8}\u{8}\u{7f}\t\u{0}",
    "\u{202e}\u{2066}sdnuof 0\u{2069}\u{202c}\u{200f}\u{61c}",
    "a\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{180e}b",
    "\u{e0041}\u{e007f}\u{fe0f}\u{e0100}\u{fff9}\u{1d173}",
    "\u{115f}\u{1160}\u{3164}\u{ffa0}\u{34f}",
    "x\u{2028}Cost: nothing\u{2029}",
];

/// Stands for a string that is not hostile.
const WORD: &str = "word";

/// The places of all strings in a value, as JSON pointers.
fn strings(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| strings(item, &format!("{at}/{index}"), found));
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            strings(field, &format!("{at}/{name}"), found);
        }),
        _ => {}
    }
}

/// `harmless` with one string replaced; none when that is no such value.
fn with<T: DeserializeOwned>(harmless: &Value, pointer: &str, text: &str) -> Option<T> {
    let mut value = harmless.clone();
    *value.pointer_mut(pointer).unwrap() = text.into();
    serde_json::from_value(value).ok()
}

/// Puts hostile text in each string of `harmless` and renders the value: the
/// lines must be as many as with a harmless word in that place. Returns the
/// places that take any text.
#[track_caller]
fn check<T: Serialize + DeserializeOwned>(harmless: &T, render: impl Fn(&T) -> String) -> Vec<String> {
    let value = serde_json::to_value(harmless).unwrap();
    let mut places = Vec::new();
    strings(&value, "", &mut places);
    places.retain(|pointer| with::<T>(&value, pointer, WORD).is_some());
    for pointer in &places {
        let lines = render(&with(&value, pointer, WORD).unwrap()).matches('\n').count();
        for hostile in HOSTILE {
            let Some(changed) = with(&value, pointer, hostile) else { continue };
            let shown = render(&changed);
            assert_eq!(shown.matches('\n').count(), lines, "{pointer} with {hostile:?} gives:\n{shown}");
            let hazard = shown.chars().find(|c| is_hazardous(*c) && *c != '\n');
            assert_eq!(hazard, None, "{pointer} with {hostile:?} gives:\n{shown}");
        }
    }
    places
}

/// Demands that places are among those that were tried.
#[track_caller]
fn covers(places: &[String], expected: &[&str]) {
    for pointer in expected {
        assert!(places.iter().any(|place| place == pointer), "{pointer} takes no text, of {places:?}");
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn digest() -> Digest {
    Digest::of("test", b"digest")
}

fn at() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

fn a_plan(action: &str) -> Plan {
    let present = action == "provision";
    let node = |key: &str, kind: &str, after: &[&str]| {
        json!({
            "key": key, "kind": kind, "name": format!("demo-{key}"), "zone": "ch-dk-2",
            "depends_on": after, "desired": if present { "present" } else { "absent" },
            "delete": [{ "operation": "delete", "api": "exoscale", "method": "DELETE", "path": "/x" }],
            "predicted_seconds": 10,
        })
    };
    let destroyed =
        json!([{ "key": "store", "kind": "sos-bucket", "id": "id-1", "name": "b", "data": true }]);
    read(json!({
        "schema": "exokit-plan/v1", "plan_id": "plan_aaaaaaaaaaaaaaaa", "action": action,
        "environment": "demo", "requester": "bob", "team": "store", "created_at": at(), "not_after": at(),
        "zone": "ch-dk-2", "template": "T1", "template_digest": digest(), "template_level": 1,
        "price_digest": digest(), "roster_version": 1, "base_seq": 0,
        "graph": [node("cluster", "sks-cluster", &[]), node("store", "sos-bucket", &["cluster"])],
        "cost": {
            "currency": "CHF", "price_date": "2026-10-01", "hourly": "0.25", "monthly": "180", "ttl": "2",
            "lines": [{ "what": "nodes", "item": "instance/standard/small", "quantity": "1", "hourly": "0.25" }],
            "unknown": [{ "item": "block/gib", "assumed_hourly": "0.1", "assumption": "as the disk" }],
        },
        "band": "HIGH", "level": 3, "level_reasons": [{ "level": 3, "why": "it destroys data: store" }],
        "destroys": destroyed, "rollback_destroys": ["store"], "critical_path_seconds": 20,
        "corrections": [{ "field": "node_count", "from": "0", "to": "1", "why": "at least one" }],
        "extend_seconds": 3600, "break_glass": "the recovery is not over",
    }))
}

fn roster() -> Roster {
    let key = json!([{ "id": "0123456789abcdef", "public": "x", "revoked_at": null }]);
    read(json!({
        "version": 1, "issued_at": at(), "policy": exokit_model::cost::CostPolicy::default(),
        "persons": [
            { "id": "bob", "roles": ["developer"], "team": "store", "keys": [] },
            { "id": "alice", "roles": ["platform"], "keys": key },
        ],
    }))
}

fn a_certificate() -> Certificate {
    read(json!({
        "environment": "demo", "operation": "op_aaaaaaaaaaaaaaaa", "plan_digest": digest(), "checked_at": at(),
        "recorded_ids": ["id-1"], "clean": false, "digest": digest(),
        "checked": [{
            "kind": "sos-bucket", "zone": "ch-dk-2", "listed": 2, "found": 2,
            "ids": ["id-1", "id-2 (going away)"],
        }],
    }))
}

fn an_operation(action: &str, phase: &str, parked: bool) -> OperationReply {
    let why = json!({ "code": "refused", "why": "the cloud refuses", "owner": "bob", "rolling_back": false });
    read(json!({
        "environment": "demo", "operation": "op_aaaaaaaaaaaaaaaa", "plan_id": "plan_aaaaaaaaaaaaaaaa",
        "action": action, "phase": phase, "digest": digest(), "level": 3, "started_at": at(), "ended_at": at(),
        "approvals": [{
            "person": "alice", "decision": "approve", "key": "0123456789abcdef", "issued_at": at(),
            "expires_at": at(),
        }],
        "needs_human": parked.then_some(why), "cause": "the cloud refused it", "certificate": a_certificate(),
    }))
}

#[test]
fn plans_keep_their_lines() {
    let (alice, roster): (PersonId, _) = ("alice".parse().unwrap(), roster());
    for action in ["provision", "teardown", "extend"] {
        let places = check(&a_plan(action), |changed| {
            let vote = (&alice, Decision::Approve);
            [
                decision::page(changed, &digest(), &roster, vote),
                decision::announcement(changed, &digest(), &roster),
                plan::text(changed, &digest(), &roster, 2.0),
                operation::how_to_approve(changed, &roster),
            ]
            .concat()
        });
        let shown = [
            "/corrections/0/field",
            "/corrections/0/from",
            "/corrections/0/to",
            "/corrections/0/why",
            "/cost/currency",
            "/cost/lines/0/item",
            "/cost/lines/0/what",
            "/cost/price_date",
            "/cost/unknown/0/assumption",
            "/cost/unknown/0/item",
            "/destroys/0/name",
            "/graph/0/name",
            "/level_reasons/0/why",
        ];
        covers(&places, &shown);
    }
}

#[test]
fn operations_keep_their_lines() {
    let phases = ["awaiting-approval", "running", "rolling-back", "succeeded", "rolled-back", "rejected"];
    let parked = [("needs-human", true)];
    for action in ["provision", "teardown", "extend"] {
        for (phase, parked) in phases.map(|phase| (phase, false)).into_iter().chain(parked) {
            let places = check(&an_operation(action, phase, parked), |changed| {
                [
                    operation::text(changed),
                    operation::open_line(changed, None, at()),
                    operation::open_line(changed, Some(at()), at()),
                    operation::what_to_do(changed),
                ]
                .concat()
            });
            covers(&places, &["/phase", "/cause", "/certificate/checked/0/ids/0"]);
            covers(&places, if parked { &["/needs_human/why", "/needs_human/owner"] } else { &[] });
        }
    }
    covers(&check(&a_certificate(), certificate::text), &["/checked/0/ids/1"]);
}

#[test]
fn environments_keep_their_lines() {
    let view: Environment = read(json!({
        "environment": "demo", "template": "T1", "zone": "ch-dk-2", "phase": "ready", "hourly": "0.25",
        "currency": "CHF", "created_at": at(), "expires_at": at(), "ends_at": at(), "keep_alive_seconds": null,
        "kept_until": null, "warned_of": null, "owner": "bob", "team": null, "level": 2, "band": "LOW",
        "made_by": "op_aaaaaaaaaaaaaaaa", "operations": ["op_aaaaaaaaaaaaaaaa"],
        "resources": [{ "key": "cluster", "kind": "sks-cluster", "id": "c-1", "name": "demo", "state": "ready" }],
    }));
    let places = check(&view, |changed| {
        let list = environment::list(std::slice::from_ref(changed), at());
        format!("{list}{}", environment::show(changed, &[], at()))
    });
    covers(&places, &["/phase", "/currency", "/resources/0/name"]);
}

/// One event of each kind that has a text in it.
fn events() -> Vec<Event> {
    let why = [
        json!({ "cause": "ambiguous", "node": "cluster", "ids": ["a", "b"] }),
        json!({ "cause": "name-taken", "node": "cluster", "name": "demo" }),
        json!({ "cause": "attempts-exhausted", "node": "cluster", "last": "x" }),
        json!({ "cause": "refused", "node": "cluster", "status": 400, "message": "x" }),
        json!({ "cause": "credentials", "status": 401, "message": "x" }),
        json!({ "cause": "approval-lost", "code": "x", "why": "x" }),
        json!({ "cause": "delete-stuck", "node": "cluster", "last": "x" }),
        json!({ "cause": "not-clean", "found": ["x"] }),
        json!({ "cause": "unplanned", "node": "cluster", "found": ["x"] }),
        json!({ "cause": "unobservable", "what": "x" }),
    ];
    let parked = why.map(|why| json!({ "type": "operation-parked", "why": why, "owner": "bob" }));
    let node = |kind: &str, fields: Value| {
        let mut event = json!({ "type": kind, "node": "cluster", "id": "c-1", "attempt": 1, "status": 409 });
        event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        event
    };
    let differs = json!({ "node": "cluster", "field": "/name", "planned": "a", "observed": "b" });
    let others = [
        json!({ "type": "plan-proposed", "digest": digest(), "plan": "{}" }),
        json!({ "type": "approval-refused", "code": "expired", "why": "x" }),
        json!({ "type": "plan-rejected", "why": "x" }),
        json!({ "type": "operation-resumed", "holder": "host-1" }),
        node("create-refused", json!({ "message": "x", "transient": true })),
        node("create-in-doubt", json!({ "why": "x" })),
        node("resource-failed", json!({ "reason": "x" })),
        node("delete-refused", json!({ "message": "x" })),
        json!({ "type": "rollback-started", "cause": "x" }),
        json!({ "type": "operation-unparked", "by": "bob" }),
        json!({ "type": "operation-succeeded", "certificate": a_certificate() }),
        json!({ "type": "drift-observed", "differences": [differs] }),
    ];
    others.into_iter().chain(parked).map(read).collect()
}

/// The history of an operation that ends with `event`.
fn told(plan: &Plan, event: Event) -> String {
    let text = String::from_utf8(plan.to_bytes().unwrap()).unwrap();
    let proposed = Event::PlanProposed { digest: digest(), plan: text, request: None, seal: None };
    let intended = Event::CreateIntended {
        node: "cluster".parse().unwrap(),
        attempt: 1,
        request: digest(),
        expires_at: at(),
    };
    let entry = |event| Entry {
        at: at(),
        environment: Some(plan.environment.clone()),
        operation: Some(plan.plan_id.operation()),
        epoch: 1,
        event,
    };
    let record = |(seq, event)| Record::chain(digest(), seq, entry(event)).unwrap();
    let records: Vec<Record> = (1..).zip([proposed, intended, event]).map(record).collect();
    history(&records).into_iter().map(|line| line.text + "\n").collect()
}

#[test]
fn history_keeps_its_lines() {
    let plan = a_plan("provision");
    for event in events() {
        let places = check(&event, |changed| told(&plan, changed.clone()));
        assert!(!places.is_empty(), "{} takes no text", event.name());
    }
    for action in ["provision", "teardown", "extend"] {
        let ended = Event::OperationRolledBack;
        covers(&check(&a_plan(action), |changed| told(changed, ended.clone())), &["/graph/0/name"]);
    }
}
