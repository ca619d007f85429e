//! Bad input of every kind: a clear error with a hint, and nothing changed.

use std::process::Command;

use crate::common::served::Served;
use crate::common::{Place, ended, signal, wait};
use serde_json::Value;

fn file(place: &Place, text: &str) -> String {
    let path = place.path("bad.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn run_file_with(place: &Place, from: &str, to: &str) -> String {
    let path = crate::common::repository().join("runs/T1-20260223.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from}");
    file(place, &text.replace(from, to))
}

/// A command that must fail on `args` with `why` and `hint`, and leave the
/// ledger as it was.
#[track_caller]
fn refused(place: &Place, code: i32, args: &[&str], why: &str, hint: &str) {
    let error = place.error(code, args);
    let text = |key: &str| error[key].as_str().unwrap().to_owned();
    assert!(text("why").contains(why), "{why}: {error}");
    assert!(text("hint").contains(hint), "{hint}: {error}");
    assert_eq!(place.json(0, &["list", "--all"]), Value::Array(Vec::new()));
}

#[test]
fn unknown_templates_and_zones() {
    let place = Place::new();
    refused(&place, 2, &["up", "T99"], "no template \"T99\"", "T1");
    refused(&place, 2, &["up", "persistent-stor"], "no template", "did you mean persistent-store");
    refused(&place, 1, &["up", "T1", "--zone", "xx-yy-1"], "xx-yy-1", "");
    refused(
        &place,
        1,
        &["up", "-f", &run_file_with(&place, "zone: ch-dk-2", "zone: ch-dk-2"), "--zone", "xx-yy-1"],
        "xx-yy-1",
        "ch-dk-2",
    );
    refused(&place, 2, &["up"], "nothing is asked for", "T1");
}

#[test]
fn files_are_refused_with_line_and_column() {
    let place = Place::new();
    let cases = [
        ("node_count: 1", "node_kount: 1", "bad.yaml:", "node_count"),
        ("node_count: 1", "node_count: many", "bad.yaml:", ""),
        ("sks_level: starter", "sks_level: huge", "bad.yaml:", "starter"),
        ("exoscale_zone: ch-dk-2", "exoscale_zone: mars-1", "bad.yaml:", "ch-dk-2"),
        ("node_count: 1", "node_count: [1", "bad.yaml:", ""),
    ];
    for (from, to, why, hint) in cases {
        let path = run_file_with(&place, from, to);
        refused(&place, 2, &["up", "-f", &path], why, hint);
        let error = place.error(2, &["plan", "-f", &path]);
        let why = error["why"].as_str().unwrap();
        let place = why.split("bad.yaml:").nth(1).unwrap();
        let mut numbers = place.split(':').map(str::parse::<u32>);
        assert!(numbers.next().unwrap().is_ok() && numbers.next().unwrap().is_ok(), "{why}");
    }
    refused(&place, 1, &["plan", "-f", "no-such-file.yaml"], "No such file", "check the path");
    let endless = ["plan", "-f", "/dev/zero"];
    refused(&place, 1, &endless, "more than 1048576 bytes", "");
    refused(&place, 2, &["plan", "-f", &file(&place, "\u{0}\u{1}")], "bad.yaml", "");
}

#[test]
fn an_unknown_key_can_be_passed_over_with_lenient() {
    let place = Place::new();
    let path = run_file_with(&place, "node_count: 1", "node_count: 1\nnode_colour: blue");
    refused(&place, 2, &["plan", "-f", &path], "node_colour", "");
    let ended = place.expect(0, &["plan", "-f", &path, "--lenient"]);
    assert!(ended.err.contains("node_colour is ignored"), "{}", ended.err);
}

#[test]
fn the_number_of_steps_at_once_is_a_positive_number() {
    let place = Place::new();
    for verb in [&["up", "T1"][..], &["down", "first"], &["resume", "first"], &["watch"]] {
        for number in ["0", "-1", "many", "1.5", "99999999999999999999999"] {
            let given = format!("--parallelism={number}");
            let ended = place.expect(2, &[verb, &[&given]].concat());
            assert!(ended.err.contains("--parallelism"), "{}", ended.err);
        }
    }
    let help = place.expect(0, &["up", "--help"]).out;
    assert!(help.contains("[default: as many as the plan allows]"), "{help}");
}

#[test]
fn hostile_names() {
    let place = Place::new();
    let long = "a".repeat(41);
    for name in ["../../etc", "a/b", "a b", "A", "-x-", "x;rm", "ä", "a\nb", "%2e%2e", &long] {
        let given = format!("--name={name}");
        refused(&place, 2, &["up", "T1", &given], "", "help");
        let shown = place.expect(2, &["show", "--", name]);
        assert!(shown.err.contains("not valid"), "{}", shown.err);
    }
    let error = place.error(2, &["approve", "../x", "--yes"]);
    assert_eq!(error["code"], "name");
    let person = ended(place.command(&["list"]).env("EXOKIT_PERSON", "../root").output().unwrap());
    assert_eq!(person.code, 2);
    assert!(person.err.contains("EXOKIT_PERSON") && person.err.contains("hint: "), "{}", person.err);
}

#[test]
fn no_cloud_is_chosen_by_guess() {
    let place = Place::new();
    let run = |set: &[(&str, &str)], args: &[&str]| {
        let mut command = Command::new(crate::common::EXOKIT);
        command.args(args).env_clear().env("EXOKIT_STATE", place.path("fresh"));
        command.envs(set.iter().copied());
        ended(command.output().unwrap())
    };
    let none = run(&[], &["list"]);
    assert_eq!(none.code, 2);
    for way in ["EXOSCALE_API_KEY", "--cloud sim"] {
        assert!(none.err.contains(way), "{}", none.err);
    }
    let half = run(&[("EXOSCALE_API_KEY", "EXO123")], &["list"]);
    assert!(half.code == 2 && half.err.contains("EXOSCALE_API_SECRET"), "{}", half.err);
    let wrong = run(&[("EXOKIT_CLOUD", "moon")], &["list"]);
    assert!(wrong.code == 2 && wrong.err.contains("use sim or exoscale"), "{}", wrong.err);
    assert!(!place.path("fresh").exists(), "nothing was made");
}

#[test]
fn the_only_default_state_directory_is_used_again() {
    let place = Place::new();
    let run = |args: &[&str]| {
        let mut command = Command::new(crate::common::EXOKIT);
        ended(command.args(args).env_clear().env("HOME", place.dir.path()).output().unwrap())
    };
    assert_eq!(run(&["list"]).code, 2);
    let planned = run(&["--cloud", "sim", "plan", "T1"]);
    assert!(planned.out.contains("asked for by uid-"), "{}", planned.out);
    assert_eq!(run(&["list"]).code, 0);
    // Of two, none is chosen.
    assert_eq!(run(&["--cloud", "exoscale", "list"]).code, 0);
    assert_eq!(run(&["list"]).code, 2);
}

#[test]
fn a_state_directory_keeps_to_its_cloud() {
    let place = Place::new();
    place.expect(0, &["list"]);
    let error = place.error(2, &["list", "--cloud", "exoscale"]);
    assert_eq!(error["code"], "other-cloud");
}

#[test]
fn without_its_keyring_a_ledger_is_not_continued() {
    let place = Place::new().at_speed("max");
    place.up_t1("first");
    std::fs::rename(place.path("keyring"), place.path("away")).unwrap();
    assert_eq!(place.error(1, &["up", "T1", "--name", "second"])["code"], "keyring");
    std::fs::rename(place.path("away"), place.path("keyring")).unwrap();
    place.expect(0, &["list"]);
}

#[test]
fn a_file_that_is_no_ledger_is_left_alone() {
    let place = Place::new();
    std::fs::write(place.path("ledger.db"), "this is my diary, not a database, and it is long enough")
        .unwrap();
    let error = place.error(1, &["list"]);
    assert!(error["why"].as_str().unwrap().contains("not an exokit ledger"), "{error}");
    assert!(std::fs::read_to_string(place.path("ledger.db")).unwrap().starts_with("this is my diary"));
}

#[test]
fn a_changed_record_is_named() {
    let place = Place::new().at_speed("max");
    place.up_t1("first");
    let exported = place.expect(0, &["registry", "export"]).out;
    let changed = exported.replacen("\"node\": \"cluster\"", "\"node\": \"klaster\"", 1);
    assert_ne!(exported, changed);
    std::fs::write(place.path("export.json"), changed).unwrap();
    let other = Place::new();
    let error = other.error(1, &["registry", "import", place.path("export.json").to_str().unwrap()]);
    assert!(error["why"].as_str().unwrap().contains("record "), "{error}");
}

#[test]
fn an_unknown_environment_and_an_unknown_plan() {
    let place = Place::with_roster();
    for args in [&["show", "nobody"][..], &["drift", "nobody"], &["down", "nobody"], &["watch", "nobody"]] {
        assert_eq!(place.error(1, args)["code"], "no-environment", "{args:?}");
    }
    let plan = "plan_aaaaaaaaaaaaaaaa";
    for args in [&["up", "--plan", plan][..], &["approve", plan, "--as", "alex", "--yes"]] {
        assert_eq!(place.error(1, args)["code"], "no-plan", "{args:?}");
    }
}

#[test]
fn usage_errors_are_json_when_asked_for() {
    let place = Place::new();
    let ended = place.expect(2, &["up", "--colour", "blue", "-o", "json"]);
    let value: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!(value["error"]["code"], "usage");
}

#[test]
fn wrong_credentials_and_an_unreachable_endpoint() {
    let served = Served::new(Place::new(), &["--speed", "max"]);
    let good = served.run(&[], &["plan", "T1"]);
    assert_eq!(good.code, 0, "{}", good.err);
    let wrong = served.run(&[("EXOSCALE_API_SECRET", "wrong")], &["up", "T1"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("403") && wrong.err.contains("check the API key"), "{}", wrong.err);
    let nobody = served.run(&[("EXOSCALE_API_ENDPOINT", "http://127.0.0.1:1/v2")], &["up", "T1"]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("127.0.0.1:1") && nobody.err.contains("check the network"), "{}", nobody.err);
    let listed = served.run(&[], &["list", "--all", "-o", "json"]);
    assert_eq!(listed.out.trim(), "[]");
    let doctor = served.run(&[], &["doctor"]);
    assert!(doctor.out.contains("variables EXOSCALE_API_KEY"), "{}", doctor.out);
}

#[cfg(unix)]
#[test]
fn what_needs_a_human_says_so_and_can_be_taken_back() {
    let place = Place::new();
    let faults = place.path("faults.json");
    let rule = r#"[{"match":{"operation":"create-security-group"},"fault":{"kind":"status","status":403}}]"#;
    std::fs::write(&faults, rule).unwrap();
    let served = Served::new(Place::new(), &["--speed", "max", "--faults", faults.to_str().unwrap()]);
    let parked = served.run(&[], &["up", "T1", "--name", "stuck", "-o", "json"]);
    assert_eq!(parked.code, 4, "{} {}", parked.out, parked.err);
    let value: Value = serde_json::from_str(&parked.out).unwrap();
    assert_eq!(value["phase"], "needs-human");
    assert_eq!(value["needs_human"]["code"], "credentials");
    assert!(parked.err.contains("exokit resume stuck --rollback"), "{}", parked.err);
    let shown = served.run(&[], &["show", "stuck"]);
    assert!(shown.out.contains("needs-human") && shown.out.contains("hint: "), "{}", shown.out);
    let back = served.run(&[], &["resume", "stuck", "--rollback", "-o", "json"]);
    assert_eq!(back.code, 1, "{} {}", back.out, back.err);
    assert!(back.out.contains("rolled-back"), "{}", back.out);
    let nothing = served.run(&[], &["resume", "stuck"]);
    assert!(nothing.code == 1 && nothing.err.contains("nothing of it waits"), "{}", nothing.err);
    let mut server = served;
    signal(&server.server, "INT");
    assert_eq!(server.server.wait().unwrap().code(), Some(0), "Ctrl-C ends the simulator");
    let again = std::mem::replace(&mut server.server, Command::new("true").spawn().unwrap());
    drop(wait(again));
}
