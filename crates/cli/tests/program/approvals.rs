//! Votes: who may, who may not, and what a vote is bound to.

use crate::common::{Place, run_file};

#[test]
fn level_two_needs_somebody_else() {
    let place = Place::with_roster().at_speed("max");
    let asked = place.json(3, &["up", "T3", "--name", "store"]);
    assert_eq!((&asked["level"], &asked["approvals"]), (&2.into(), &serde_json::json!([])));
    let plan = asked["plan_id"].as_str().unwrap();

    // Not yet; and never by the requester.
    assert_eq!(place.json(3, &["up", "--plan", plan])["phase"], "awaiting-approval");
    let own = place.error(1, &["approve", "store", "--yes"]);
    assert_eq!(own["code"], "self-approval");

    let vote = place.json(0, &["approve", "store", "--as", "alex", "--yes"]);
    assert_eq!((&vote["person"], &vote["enough"]), (&"alex".into(), &true.into()));
    let twice = place.error(1, &["approve", plan, "--as", "alex", "--yes"]);
    assert_eq!(twice["code"], "duplicate");

    let made = place.json(0, &["up", "--plan", plan]);
    assert_eq!(made["phase"], "succeeded");
    assert_eq!(made["approvals"][0]["person"], "alex");
    let again = place.error(1, &["approve", plan, "--as", "kim", "--yes"]);
    assert_eq!(again["code"], "replayed");
}

#[test]
fn who_an_agent_acts_for_cannot_approve_what_it_asked_for() {
    let place = Place::with_roster();
    place.expect(3, &["up", "T3", "--name", "store", "--as", "dana-agent"]);
    let error = place.error(1, &["approve", "store", "--as", "dana", "--yes"]);
    assert_eq!(error["code"], "self-approval");
    assert!(error["why"].as_str().unwrap().contains("agent"), "{error}");
}

#[test]
fn the_page_shows_what_is_decided() {
    let place = Place::with_roster();
    let asked = place.json(3, &["up", "-f", &run_file("T3"), "--name", "store"]);
    let digest = asked["digest"].as_str().unwrap();
    let ended = place.expect(0, &["approve", &digest[..8], "--as", "alex", "--yes"]);
    for part in
        ["Plan to make store", "dbaas-pg", "per 720 h", "unknown price", "because", "Corrections", digest]
    {
        assert!(ended.err.contains(part), "{part}: {}", ended.err);
    }
}

#[test]
fn level_three_needs_two_roles_and_lists_what_is_lost() {
    let place = Place::with_roster().at_speed("max");
    place.expect(3, &["up", "T3", "--name", "store"]);
    place.approve("store", "alex");
    place.expect(0, &["watch", "store", "--once"]);
    let asked = place.json(3, &["down", "store"]);
    assert_eq!(asked["level"], 3);
    let lost = asked["destroys"].as_array().unwrap().iter().filter(|destroy| destroy["data"] == true);
    // Database, bucket, and the claim with its volume.
    assert_eq!(lost.count(), 4);
    let first = place.json(0, &["approve", "store", "--as", "alex", "--yes"]);
    assert_eq!(first["enough"], false);
    place.expect(3, &["watch", "store", "--once"]);
    let second = place.json(0, &["approve", "store", "--as", "kim", "--yes"]);
    assert_eq!(second["enough"], true);
    let gone = place.json(0, &["watch", "store", "--once"]);
    assert_eq!(gone["certificate"]["clean"], true);
}

#[test]
fn a_denied_plan_never_runs() {
    let place = Place::with_roster();
    let asked = place.json(3, &["up", "T3", "--name", "store"]);
    let plan = asked["plan_id"].as_str().unwrap();
    assert_eq!(place.json(0, &["deny", plan, "--as", "kim", "--yes"])["decision"], "deny");
    assert_eq!(place.json(1, &["up", "--plan", plan])["phase"], "rejected");
    assert_eq!(place.error(1, &["approve", "store", "--as", "alex", "--yes"])["code"], "no-plan");
}

#[test]
fn a_token_can_be_made_elsewhere_and_is_bound_to_its_plan() {
    let place = Place::with_roster().at_speed("max");
    place.expect(3, &["up", "T3", "--name", "one"]);
    place.expect(3, &["up", "T3", "--name", "two"]);
    let token = place.expect(0, &["approve", "one", "--as", "alex", "--yes", "--print-token"]).out;
    let file = place.path("token");
    std::fs::write(&file, &token).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(place.error(1, &["approve", "two", "--token", file])["code"], "other-plan");
    assert_eq!(place.error(1, &["deny", "one", "--token", file])["code"], "malformed");
    for _ in 0..2 {
        // Handed in twice it is the same vote.
        assert_eq!(place.json(0, &["approve", "one", "--token", file])["enough"], true);
    }

    // One changed letter.
    let mut bytes = token.trim().as_bytes().to_vec();
    let at = bytes.len() - 10;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    std::fs::write(place.path("token"), &bytes).unwrap();
    assert_eq!(place.error(1, &["approve", "one", "--token", file])["code"], "bad-signature");
}

#[test]
fn a_vote_is_never_given_unasked() {
    let place = Place::with_roster();
    place.expect(3, &["up", "T3", "--name", "store"]);
    let error = place.error(2, &["approve", "store", "--as", "alex"]);
    assert_eq!(error["code"], "not-confirmed");
    let shown = place.json(0, &["show", "store"]);
    assert_eq!(shown["open"][0]["approvals"], serde_json::json!([]));
}

#[test]
fn waiting_goes_on_when_the_approval_comes() {
    let place = Place::with_roster().at_speed("max");
    let child = place.spawn(&["up", "T3", "--name", "store", "--wait", "-o", "json"]);
    place.until("store", "the plan", |shown| shown["phase"] == "awaiting-approval");
    place.approve("store", "alex");
    let ended = crate::common::wait(child);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("\"succeeded\""), "{}", ended.out);
}

#[test]
fn a_revoked_key_no_longer_counts() {
    let place = Place::with_roster();
    let roster = place.json(0, &["approver", "list"]);
    let persons = roster["persons"].as_array().unwrap();
    let alex = persons.iter().find(|person| person["id"] == "alex").unwrap();
    place.expect(0, &["approver", "revoke", alex["keys"][0]["id"].as_str().unwrap()]);
    place.expect(3, &["up", "T3", "--name", "store"]);
    assert_eq!(place.error(1, &["approve", "store", "--as", "alex", "--yes"])["code"], "revoked-key");
    let table = place.expect(0, &["approver", "list"]).out;
    assert!(table.contains("revoked"), "{table}");
}

#[test]
fn the_roster_refuses_what_contradicts_itself() {
    let place = Place::with_roster();
    assert_eq!(place.error(1, &["approver", "init"])["code"], "exists");
    assert_eq!(place.error(1, &["approver", "add", "bot", "--agent-of", "nobody"])["code"], "roster");
    assert_eq!(place.error(1, &["approver", "add", "x", "--public", "AAAA"])["code"], "key");
    assert_eq!(place.error(1, &["approver", "policy", "--low-max", "9"])["code"], "roster");
    place.expect(0, &["approver", "policy", "--low-max", "0.10"]);
    assert_eq!(place.json(0, &["approver", "policy"])["low_max"], "0.10");
    let wrong = place
        .command(&["approver", "add", "y", "--role", "z"])
        .env("EXOKIT_PASSPHRASE", "wrong one")
        .output();
    let wrong = crate::common::ended(wrong.unwrap());
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("the passphrase does not open the key"), "{}", wrong.err);
}

#[test]
fn keys_are_for_their_owner_only() {
    let place = Place::with_roster();
    for file in ["keys/alex.pem", "keys/root.pem", "keyring"] {
        let text = std::fs::read_to_string(place.path(file)).unwrap_or_default();
        let clear = file == "keyring" || text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----");
        assert!(clear, "{file}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let fresh = Place::new();
        fresh.expect(0, &["list"]);
        let mode = std::fs::metadata(fresh.path("keyring")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
