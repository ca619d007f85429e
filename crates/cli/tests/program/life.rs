//! The life of environments on the embedded cloud, one process per step.

use crate::common::{Place, run_file, state_of};
use serde_json::Value;

#[track_caller]
fn has(value: &Value, wanted: &[&str]) {
    wanted.iter().for_each(|key| assert!(value.get(key).is_some(), "{key} is not in {value}"));
}

#[test]
fn t1_lives_and_dies_in_separate_processes() {
    let place = Place::with_roster();
    let made = place.json(0, &["up", "T1", "--name", "first", "--ttl", "8h"]);
    has(&made, &["environment", "operation", "phase", "digest", "level", "approvals"]);
    assert_eq!((&made["phase"], &made["level"]), (&"succeeded".into(), &1.into()));

    let list = place.json(0, &["list"]);
    let wanted = ["environment", "template", "zone", "phase", "hourly", "created_at", "expires_at", "owner"];
    has(&list[0], &[&wanted[..], &["resources"]].concat());
    assert!(list[0]["hourly"].is_string() && list[0]["expires_at"].is_string());
    let shown = place.json(0, &["show", "first"]);
    has(&shown["resources"][0], &["key", "kind", "id", "name", "state"]);
    assert_eq!(state_of(&shown, "nodepool"), "ready");

    let drift = place.json(0, &["drift", "first"]);
    assert_eq!((&drift["drifted"], &drift["compared"]), (&false.into(), &17.into()));
    assert_eq!(place.json(0, &["orphans"]), Value::Array(Vec::new()));

    let asked = place.json(3, &["down", "first"]);
    assert_eq!(asked["phase"], "awaiting-approval");
    place.approve("first", "alex");
    let plan = asked["plan_id"].as_str().unwrap();
    let gone = place.json(0, &["down", "--plan", plan]);
    has(&gone, &["environment", "operation", "phase", "certificate"]);
    has(&gone["certificate"], &["clean", "checked", "digest"]);
    has(&gone["certificate"]["checked"][0], &["kind", "zone", "found"]);
    assert_eq!(gone["certificate"]["clean"], true);

    assert_eq!(place.json(0, &["list"]), Value::Array(Vec::new()));
    assert_eq!(place.json(0, &["list", "--all"])[0]["phase"], "gone");
    let story = place.expect(0, &["history", "first"]).out;
    for sentence in ["asked to provision first from T1", "alex approved plan", "nothing of it was left"] {
        assert!(story.contains(sentence), "{sentence}: {story}");
    }
    assert_eq!(place.json(0, &["audit", "verify"])["whole"], true);
}

#[test]
fn a_life_goes_on_with_one_step_at_a_time() {
    let place = Place::with_roster().at_speed("max");
    place.expect(0, &["up", "T1", "--name", "slow", "--parallelism", "1"]);
    place.expect(3, &["down", "slow", "--parallelism", "2"]);
    place.approve("slow", "kim");
    place.expect(0, &["watch", "slow", "--once", "--parallelism", "1"]);
    assert_eq!(place.json(0, &["list", "--all"])[0]["phase"], "gone");
}

#[test]
fn a_name_is_taken_once_and_free_after_the_teardown() {
    let place = Place::with_roster().at_speed("max");
    place.up_t1("twice");
    let error = place.error(1, &["up", "T1", "--name", "twice"]);
    assert_eq!(error["code"], "exists");
    place.expect(3, &["down", "twice"]);
    place.approve("twice", "kim");
    place.expect(0, &["watch", "twice", "--once"]);
    place.up_t1("twice");
    assert_eq!(place.json(0, &["show", "twice"])["phase"], "ready");
}

#[test]
fn an_extension_is_a_plan_of_its_own() {
    let place = Place::with_roster().at_speed("max");
    place.expect(0, &["up", "T1", "--name", "longer", "--ttl", "1h"]);
    let before = place.json(0, &["show", "longer"])["expires_at"].clone();
    let ended = place.expect(0, &["extend", "longer", "--ttl", "4h", "-o", "json"]);
    assert!(ended.err.contains("It ends at "), "{}", ended.err);
    let extended: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&extended["phase"], &extended["action"]), (&"succeeded".into(), &"extend".into()));
    let after = place.json(0, &["show", "longer"])["expires_at"].clone();
    assert_ne!(before, after);
    assert!(before.as_str() < after.as_str());
}

#[test]
fn an_extension_gives_no_end_to_what_has_none() {
    let place = Place::with_roster().at_speed("max");
    place.up_t1("endless");
    assert_eq!(place.error(1, &["extend", "endless", "--ttl", "4h"])["code"], "shortened");
    assert_eq!(place.json(0, &["show", "endless"])["expires_at"], Value::Null);
}

#[test]
fn what_has_expired_asks_for_its_teardown_and_nothing_more() {
    let place = Place::with_roster().at_speed("max");
    place.expect(0, &["up", "T1", "--name", "short", "--ttl", "1s"]);
    crate::common::poll("the proposal", || {
        let ended = place.expect(0, &["watch", "--once"]);
        ended.err.contains("short has expired").then_some(())
    });
    // It is proposed once, and it still stands.
    let again = place.expect(0, &["watch", "--once"]);
    assert!(!again.err.contains("has expired"), "{}", again.err);
    let shown = place.json(0, &["show", "short"]);
    assert_eq!((&shown["phase"], &shown["open"][0]["action"]), (&"ready".into(), &"teardown".into()));
    place.approve("short", "alex");
    place.expect(0, &["watch", "--once"]);
    assert_eq!(place.json(0, &["show", "short"])["phase"], "gone");
}

#[test]
fn the_registry_goes_out_and_comes_back_whole() {
    let place = Place::new().at_speed("max");
    place.up_t1("kept");
    let file = place.path("registry.json");
    place.expect(0, &["registry", "export", "--out", file.to_str().unwrap()]);
    let other = Place::new();
    std::fs::copy(place.path("keyring"), other.path("keyring")).unwrap();
    other.expect(0, &["registry", "import", file.to_str().unwrap()]);
    assert_eq!(other.json(0, &["list"]), place.json(0, &["list"]));
    assert_eq!(other.json(0, &["audit", "verify"]), place.json(0, &["audit", "verify"]));
    let again = other.error(1, &["registry", "import", file.to_str().unwrap()]);
    assert!(again["why"].as_str().unwrap().contains("holds"), "{again}");
    // The export is an anchor for later audits.
    place.up_t1("later");
    place.expect(0, &["audit", "verify", "--anchor", file.to_str().unwrap()]);
    let empty = Place::new();
    empty.expect(0, &["list"]);
    empty.expect(1, &["audit", "verify", "--anchor", file.to_str().unwrap()]);
}

#[test]
fn tables_and_yaml_say_the_same() {
    let place = Place::new().at_speed("max");
    place.up_t1("shown");
    let table = place.expect(0, &["list"]).out;
    assert!(table.starts_with("ENVIRONMENT") && table.contains("shown"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours in a pipe");
    let yaml = place.expect(0, &["show", "shown", "-o", "yaml"]).out;
    assert!(yaml.contains("environment: shown") && yaml.contains("phase: ready"), "{yaml}");
}

#[test]
fn every_run_file_is_made_and_removed() {
    let place = Place::with_roster().at_speed("max");
    for number in 1..=7 {
        let template = format!("T{number}");
        let asked = place.run(&["up", "-f", &run_file(&template), "--name", "run", "-o", "json"]);
        let level = made_or_asked(&place, &asked);
        assert!(asked.err.contains("corrected "), "{template}: {}", asked.err);
        let shown = place.json(0, &["show", "run"]);
        assert_eq!(
            (&shown["template"], &shown["phase"]),
            (&template.as_str().into(), &"ready".into()),
            "level {level}"
        );
        place.expect(0, &["drift", "run"]);

        let down = place.run(&["down", "run", "-o", "json"]);
        made_or_asked(&place, &down);
        let gone = place.json(0, &["show", "run"]);
        assert_eq!(gone["phase"], "gone", "{template}");
        assert_eq!(place.json(0, &["orphans"]), Value::Array(Vec::new()), "{template}");
    }
}

/// Gives the approvals that a plan needs and runs it; its level.
fn made_or_asked(place: &Place, asked: &crate::common::Ended) -> u64 {
    let plan: Value = serde_json::from_str(&asked.out).unwrap();
    let level = plan["level"].as_u64().unwrap();
    let voters: &[&str] = match level {
        1 => return level,
        2 => &["alex"],
        _ => &["alex", "kim"],
    };
    voters.iter().for_each(|person| place.approve("run", person));
    place.expect(0, &["watch", "run", "--once"]);
    level
}
