//! Work that is broken off, and more than one process on one ledger.

use crate::common::{Place, signal, state_of, wait};
use serde_json::Value;

/// Slow enough to be broken off, fast enough for a test.
const SPEED: &str = "40";

/// The cluster is being made, and nothing else is on its way.
fn half_way(shown: &Value) -> bool {
    shown["phase"] == "provisioning"
        && state_of(shown, "cluster") == "creating"
        && state_of(shown, "rule-nodeport-udp") == "ready"
}

#[test]
fn ctrl_c_detaches_and_watch_comes_back() {
    let place = Place::with_roster().at_speed(SPEED);
    let child = place.spawn(&["up", "T1", "--name", "broken"]);
    place.until("broken", "half of it", half_way);
    signal(&child, "INT");
    let ended = wait(child);
    assert_eq!(ended.code, 130, "{}", ended.err);
    assert!(ended.err.contains("exokit watch broken"), "{}", ended.err);

    let before = place.json(0, &["show", "broken"]);
    assert_eq!(before["phase"], "provisioning");
    let watched = place.json(0, &["watch", "broken"]);
    assert_eq!(watched["phase"], "succeeded");
    assert_eq!(place.json(0, &["drift", "broken"])["drifted"], false);
    assert_eq!(place.json(0, &["orphans"]), serde_json::json!([]));
}

#[test]
fn kill_9_leaves_nothing_that_watch_cannot_finish() {
    let place = Place::with_roster().at_speed(SPEED);
    let child = place.spawn(&["up", "T1", "--name", "killed"]);
    let before = place.until("killed", "half of it", half_way);
    signal(&child, "KILL");
    wait(child);
    let watched = place.json(0, &["watch", "killed"]);
    assert_eq!(watched["phase"], "succeeded");
    let after = place.json(0, &["show", "killed"]);
    let group = |shown: &Value| shown["resources"][0]["id"].clone();
    assert_eq!(group(&before), group(&after), "made once");
    assert_eq!(place.json(0, &["audit", "verify"])["whole"], true);
    assert_eq!(place.json(0, &["orphans"]), serde_json::json!([]));

    // The same for a teardown, taken up by a watch over everything.
    place.expect(3, &["down", "killed"]);
    place.approve("killed", "alex");
    let child = place.spawn(&["watch", "killed"]);
    place.until("killed", "half of the teardown", |shown| {
        shown["phase"] == "tearing-down" && state_of(shown, "nodepool") == "gone"
    });
    signal(&child, "KILL");
    wait(child);
    place.expect(0, &["watch", "--once"]);
    let gone = place.json(0, &["list", "--all"]);
    assert_eq!(gone[0]["phase"], "gone");
}

#[test]
fn a_second_process_follows_and_does_nothing_twice() {
    let place = Place::with_roster().at_speed(SPEED);
    let first = place.spawn(&["up", "T1", "--name", "shared", "-o", "json"]);
    place.until("shared", "the start", |shown| shown["phase"] == "provisioning");
    let second = place.spawn(&["watch", "shared", "-o", "json"]);
    let (first, second) = (wait(first), wait(second));
    assert_eq!((first.code, second.code), (0, 0), "{} {}", first.err, second.err);
    assert!(second.out.contains("\"succeeded\""), "{}", second.out);
    assert!(second.err.contains("nodepool"), "it shows what the other does: {}", second.err);
    let story = place.expect(0, &["history", "shared"]).out;
    let begun = story.matches("Asked the cloud for sks-cluster shared.").count();
    assert_eq!(begun, 1, "{story}");
}

#[test]
fn of_two_who_change_one_environment_at_once_one_is_refused() {
    let place = Place::with_roster().at_speed(SPEED);
    let first = place.spawn(&["up", "T1", "--name", "busy"]);
    place.until("busy", "the start", |shown| shown["phase"] == "provisioning");
    let second = place.error(1, &["down", "busy"]);
    assert_eq!(second["code"], "busy");
    assert!(second["hint"].as_str().unwrap().contains("exokit watch busy"), "{second}");
    assert_eq!(wait(first).code, 0);
}

#[test]
fn many_processes_share_one_ledger() {
    let place = Place::with_roster().at_speed("max");
    let names: Vec<String> = (1..=4).map(|n| format!("many-{n}")).collect();
    let children: Vec<_> = names.iter().map(|name| place.spawn(&["up", "T1", "--name", name])).collect();
    for child in children {
        let ended = wait(child);
        assert_eq!(ended.code, 0, "{}", ended.err);
    }
    assert_eq!(place.json(0, &["list"]).as_array().unwrap().len(), names.len());
    assert_eq!(place.json(0, &["audit", "verify"])["whole"], true);
}
