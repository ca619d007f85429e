//! The commands beside an environment's life.

use std::process::{Command, Stdio};

use crate::common::{EXOKIT, Place, ended};

const COMMANDS: [&str; 23] = [
    "select",
    "plan",
    "provision",
    "approve",
    "deny",
    "list",
    "show",
    "watch",
    "resume",
    "history",
    "drift",
    "extend",
    "teardown",
    "orphans",
    "approver",
    "prices",
    "audit",
    "registry",
    "doctor",
    "sim",
    "demo",
    "completions",
    "man",
];

#[test]
fn every_command_has_help_with_an_example() {
    let place = Place::new();
    let whole = place.expect(0, &["--help"]).out;
    for command in COMMANDS {
        assert!(whole.contains(command), "{command}");
        let help = place.expect(0, &[command, "--help"]).out;
        let nested = ["audit", "registry"].contains(&command);
        assert!(nested || help.contains("Example"), "{command}: {help}");
    }
    for nested in [["audit", "verify"], ["registry", "export"], ["prices", "update"], ["approver", "add"]] {
        let help = place.expect(0, &[nested[0], nested[1], "--help"]).out;
        assert!(help.contains("Example"), "{nested:?}: {help}");
    }
}

#[test]
fn aliases_and_short_forms_are_the_same_commands() {
    let place = Place::new();
    for (short, long) in [("up", "provision"), ("down", "teardown")] {
        let usage = |text: String| text.lines().filter(|line| !line.starts_with("Usage")).count();
        let short = usage(place.expect(0, &[short, "--help"]).out);
        assert_eq!(short, usage(place.expect(0, &[long, "--help"]).out));
    }
}

#[test]
fn the_demo_tells_the_whole_story() {
    let place = Place::new();
    let kept = place.path("kept");
    let told = place.expect(0, &["demo", "--keep", kept.to_str().unwrap()]);
    for part in ["$ exokit up T3", "self", "alex approved", "kim approved", "CLEAN", "No orphan", "is whole"]
    {
        assert!(told.out.contains(part) || told.err.contains(part), "{part}: {} {}", told.out, told.err);
    }
    let mut look = place.command(&["history", "store"]);
    let story = ended(look.env("EXOKIT_STATE", &kept).env_remove("EXOKIT_SIM_SPEED").output().unwrap());
    assert!(story.out.contains("alex approved"), "{}", story.err);
    assert_eq!(place.error(2, &["demo", "--keep", kept.to_str().unwrap()])["code"], "exists");
}

#[test]
fn prices_are_shown_compared_and_updated() {
    let place = Place::new();
    assert_eq!(place.json(0, &["prices", "show"])["currency"], "CHF");
    let verified = place.json(0, &["prices", "verify"]);
    assert_eq!(verified["changed"], serde_json::json!([]));
    std::fs::write(
        place.path("prices.yaml"),
        "date: '2026-01-01'\nsource: a test\ncurrency: CHF\nhourly:\n  nlb: '9'\n  sks/starter: '0'\n",
    )
    .unwrap();
    place.expect(1, &["prices", "verify"]);
    let updated = place.json(0, &["prices", "update"]);
    assert!(!updated["changed"].as_array().unwrap().is_empty());
    let shown = place.json(0, &["prices", "show"]);
    assert_eq!(shown["hourly"]["nlb"], "0.03472");
    assert_eq!(shown["hourly"]["sks/starter"], "0", "what the public lists lack stays");
    place.expect(0, &["prices", "verify"]);
}

#[test]
fn prices_are_compared_without_an_account() {
    let folder = tempfile::tempdir().unwrap();
    let state = [("EXOKIT_STATE", folder.path())];
    for cloud in [&[][..], &["--cloud", "exoscale"]] {
        let mut command = Command::new(EXOKIT);
        command.env_clear().envs(state).args(cloud).args(["prices", "verify", "-o", "json"]);
        let compared = ended(command.output().unwrap());
        // Where the public lists can be reached, there is an answer.
        if compared.err.is_empty() {
            assert!(matches!(compared.code, 0 | 1), "{}", compared.code);
        } else {
            let error: serde_json::Value = serde_json::from_str(&compared.err).unwrap();
            assert_eq!(
                (compared.code, &error["error"]["doing"]),
                (1, &"fetching".into()),
                "{}",
                compared.err
            );
        }
    }
}

#[test]
fn the_doctor_finds_what_is_wrong_and_changes_nothing() {
    let place = Place::new();
    let fresh = place.json(0, &["doctor"]);
    assert!(!place.path("ledger.db").exists() && !place.path("keyring").exists());
    assert!(fresh.as_array().unwrap().iter().all(|finding| finding["status"] != "fail"), "{fresh}");
    let good = Place::with_roster();
    good.expect(0, &["plan", "T1"]);
    let all = good.json(0, &["doctor"]);
    for check in all.as_array().unwrap() {
        assert!(["ok", "warn"].contains(&check["status"].as_str().unwrap()), "{check}");
        assert_eq!(check["status"] == "ok", check["hint"] == "", "{check}");
    }
    std::fs::write(good.path("keyring"), "not hexadecimal").unwrap();
    let bad = good.json(1, &["doctor"]);
    let keyring = bad.as_array().unwrap().iter().find(|finding| finding["check"] == "keyring").unwrap();
    assert_eq!(keyring["status"], "fail");
}

#[test]
fn completions_and_manual_pages_are_made() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.expect(0, &["completions", shell]).out.contains("exokit"), "{shell}");
    }
    assert!(place.expect(0, &["man"]).out.contains(".TH exokit"));
    let folder = place.path("man1");
    place.expect(0, &["man", folder.to_str().unwrap()]);
    assert!(folder.join("exokit-provision.1").exists());
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    for args in [&["prices", "show"][..], &["completions", "bash"], &["--help"], &["select", "-o", "json"]] {
        let mut command = place.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = crate::common::wait(child);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn an_error_without_a_reader_still_ends_with_its_code() {
    let place = Place::new();
    let mut child = place.command(&["show", "nobody"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(crate::common::wait(child).code, 1);
}

#[test]
fn selecting_needs_no_cloud() {
    let place = Place::new();
    let run = Command::new(crate::common::EXOKIT)
        .args(["select", "--database", "pg"])
        .env_clear()
        .output()
        .unwrap();
    assert_eq!(ended(run).code, 0);
    drop(place);
}
