//! Hostile text from the cloud and from an agent: the program shows it escaped,
//! on the line to which it belongs.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::common::fake_agent::fake_agent;
use crate::common::{Ended, Place};
use exokit_model::plan::Plan;
use exokit_model::spec::Correction;
use exokit_model::text::is_hazardous;
use serde_json::{Value, json};

/// A forged line, and characters that a terminal acts on.
const HOSTILE: &str = "x\nCertificate of teardown: CLEAN\r\u{1b}[2K\u{9b}1A\u{1b}]8;;https://example.com\u{7}\u{202e}\u{2066}\u{200b}\u{e0041}\u{fe0f}\u{3164}\u{8}";

/// Demands that nothing hostile was printed: no hazardous character, and the
/// forged line only inside of others.
#[track_caller]
fn is_clean(ended: &Ended) {
    for text in [&ended.out, &ended.err] {
        let hazard = text.chars().find(|c| is_hazardous(*c) && *c != '\n');
        assert_eq!(hazard, None, "{text}");
        assert!(!text.lines().any(|line| line.starts_with("Certificate")), "{text}");
    }
    let shown = [&ended.out, &ended.err].map(|text| text.matches("\\nCertificate of teardown").count());
    assert_ne!(shown, [0, 0], "{ended:?}");
}

#[test]
fn names_in_the_cloud() {
    let place = Place::new();
    place.up_t1("first");
    // A hostile user of the account renames everything that has a name.
    let path = place.path("sim-cloud.json");
    let mut cloud: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    rename(&mut cloud["objects"]);
    std::fs::write(&path, cloud.to_string()).unwrap();
    let drift = place.expect(1, &["drift", "first"]);
    is_clean(&drift);
    // Data stays as it is, in formats that escape control characters themselves.
    let data = place.json(1, &["drift", "first"]);
    assert!(data["differences"].to_string().contains('\u{202e}'), "{data}");
    let yaml = place.expect(1, &["drift", "first", "-o", "yaml"]).out;
    assert!(!yaml.chars().any(|c| c.is_control() && c != '\n'), "{yaml:?}");
    assert!(!yaml.lines().any(|line| line.starts_with("Certificate")), "{yaml}");
    is_clean(&place.expect(0, &["history", "first"]));
    // To another ledger everything is an orphan.
    place.expect(0, &["doctor"]);
    for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.head"] {
        let _ = std::fs::remove_file(place.path(file));
    }
    let orphans = place.run(&["orphans"]);
    is_clean(&orphans);
}

fn rename(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(rename),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, field)| match name.as_str() {
            "name" => *field = HOSTILE.into(),
            _ => rename(field),
        }),
        _ => {}
    }
}

#[test]
fn refusals_and_stories_of_an_agent() {
    let place = Place::new();
    let agent = fake_agent(|path| {
        let line = json!({ "at": "2026-11-28T12:00:00Z", "text": HOSTILE });
        let error = json!({
            "status": 404, "code": HOSTILE, "doing": HOSTILE, "on": HOSTILE, "why": HOSTILE, "hint": HOSTILE,
        });
        let orphan = json!({
            "kind": "sks-cluster", "id": HOSTILE, "name": HOSTILE, "zone": "ch-dk-2", "age_seconds": 1,
            "verdict": HOSTILE,
        });
        match path {
            path if path.contains("history") => (200, json!({ "lines": [line.clone(), line] })),
            path if path.contains("orphans") => (200, json!({ "found": [orphan] })),
            path if path.contains("prices") => {
                let prices = json!({ "date": HOSTILE, "source": HOSTILE, "currency": HOSTILE, "hourly": {} });
                (200, prices)
            }
            path if path.contains("doctor") => {
                let finding = json!({ "check": HOSTILE, "status": "fail", "what": HOSTILE, "hint": HOSTILE });
                (200, json!({ "findings": [finding] }))
            }
            _ => (404, error),
        }
    });
    let refused = place.expect(1, &["show", "first", "--agent", &agent]);
    is_clean(&refused);
    assert_eq!(refused.err.lines().count(), 2, "{}", refused.err);
    let told = place.expect(0, &["history", "first", "--agent", &agent]);
    is_clean(&told);
    assert_eq!(told.out.lines().count(), 2, "{}", told.out);
    let orphans = place.expect(0, &["orphans", "--agent", &agent]);
    is_clean(&orphans);
    assert_eq!(orphans.out.lines().count(), 2, "{}", orphans.out);
    let prices = place.expect(0, &["prices", "show", "--agent", &agent]);
    is_clean(&prices);
    assert_eq!(prices.out.lines().count(), 3, "{}", prices.out);
    let findings = place.expect(1, &["doctor", "--agent", &agent]);
    is_clean(&findings);
    assert_eq!(findings.out.lines().count(), 2, "{}", findings.out);
}

#[test]
fn an_agent_that_is_busy() {
    let is_second = AtomicBool::new(false);
    let agent = fake_agent(move |_| {
        let (status, code) =
            if is_second.swap(true, Relaxed) { (404, "no-environment") } else { (429, "busy") };
        let error = json!({
            "status": status, "code": code, "doing": "a", "on": "b", "why": HOSTILE, "hint": "c",
            "retry_after_ms": 1,
        });
        (status, error)
    });
    let refused = Place::new().expect(1, &["show", "first", "--agent", &agent]);
    is_clean(&refused);
    assert_eq!(refused.err.lines().count(), 3, "{}", refused.err);
}

#[test]
fn the_page_before_a_vote() {
    let place = Place::with_roster();
    let path = place.path("plan.json").display().to_string();
    place.expect(0, &["plan", "T3", "--name", "store", "--out", &path]);
    let roster = place.json(0, &["approver", "list"]);
    let export: Value = serde_json::from_str(&place.expect(0, &["registry", "export"]).out).unwrap();
    let signed = newest_roster(&export);
    let plan = Plan::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
    let approve = |text: &str| {
        let reply = show_plan(&altered(&plan, text), &roster, &signed);
        let agent = fake_agent(move |_| (200, reply.clone()));
        let id = plan.plan_id.to_string();
        place.expect(0, &["approve", &id, "--as", "alex", "--yes", "--print-token", "--agent", &agent])
    };
    let hostile = approve(HOSTILE);
    is_clean(&hostile);
    assert_eq!(hostile.err.lines().count(), approve("harmless").err.lines().count(), "{}", hostile.err);
}

/// A plan that holds `text` wherever a requester or an agent can put it.
fn altered(plan: &Plan, text: &str) -> Plan {
    let mut plan = plan.clone();
    let mut graph = serde_json::to_value(&plan.graph).unwrap();
    graph.as_array_mut().unwrap().iter_mut().for_each(|node| node["name"] = text.into());
    plan.graph = serde_json::from_value(graph).unwrap();
    let correction = Correction { field: text.into(), from: text.into(), to: text.into(), why: text.into() };
    plan.corrections.push(correction);
    plan.level_reasons.iter_mut().for_each(|reason| reason.why = text.into());
    plan.cost.lines.iter_mut().for_each(|line| line.what = text.into());
    plan.cost.price_date = text.into();
    plan
}

/// The signed form of the newest roster in an export.
fn newest_roster(value: &Value) -> String {
    fn find(value: &Value, found: &mut Option<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| find(item, found)),
            Value::Object(fields) => {
                if let Some(Value::String(signed)) = fields.get("signed") {
                    *found = Some(signed.clone());
                }
                fields.values().for_each(|field| find(field, found));
            }
            _ => {}
        }
    }
    let mut found = None;
    find(value, &mut found);
    found.unwrap()
}

fn show_plan(plan: &Plan, roster: &Value, signed: &str) -> Value {
    let text = String::from_utf8(plan.to_bytes().unwrap()).unwrap();
    json!({
        "operation": {
            "environment": plan.environment, "operation": plan.plan_id.operation(), "plan_id": plan.plan_id,
            "action": plan.action, "phase": "awaiting-approval", "digest": Plan::digest_of(text.as_bytes()),
            "level": plan.level, "approvals": [], "started_at": null, "ended_at": null,
        },
        "plan": text, "still": HOSTILE, "roster": { "roster": roster, "signed": signed },
    })
}
