//! Tests of which votes count.

use exokit_model::approval::{ApprovalClaims, Decision};
use exokit_model::canonical::Digest;
use exokit_model::cost::ApprovalLevel;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::plan::{Action, Plan};
use jiff::SignedDuration;
use proptest::prelude::*;

use crate::jws::{APPROVAL, Purpose, sign};
use crate::refusal::Refusal;
use crate::testing::{at, claims, key, plan, roster, verifier, vote};
use crate::verify::{Earlier, Verifier};

fn level_two() -> Plan {
    plan(Action::Provision, ApprovalLevel::Two)
}

fn fixed(plan: &Plan) -> FixedPlan {
    FixedPlan::new(plan.clone()).unwrap()
}

fn code<T>(result: Result<T, Refusal>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(refusal) => {
            assert!(!refusal.hint().is_empty() && !refusal.to_string().is_empty());
            refusal.code()
        }
    }
}

fn check(verifier: &Verifier, token: &str, expected: &str) {
    let plan = level_two();
    let found = code(verifier.check_vote(token, &fixed(&plan), at(100)));
    assert_eq!(found, expected, "{token}");
}

/// Claims of alice with one change.
fn altered(change: impl FnOnce(&mut ApprovalClaims)) -> String {
    let mut claims = claims(&level_two(), "alice", 10, Decision::Approve);
    change(&mut claims);
    sign(APPROVAL, &key(10), &claims).unwrap()
}

#[test]
fn every_broken_rule_has_its_own_code() {
    let verifier = verifier();
    let plan = level_two();
    let yes = |person: &str, number| vote(&plan, person, number, Decision::Approve);
    let good = yes("alice", 10);
    let other_purpose = Purpose { typ: "exokit-roster+jwt", ..APPROVAL };
    let by_another_key =
        format!("{}.{}", good.rsplit_once('.').unwrap().0, yes("bob", 20).rsplit_once('.').unwrap().1);
    let cases: Vec<(&str, String)> = vec![
        ("ok", good.clone()),
        ("ok", yes("alice", 11)),
        ("malformed", String::new()),
        ("malformed", "a.b.c".to_owned()),
        ("malformed", format!("{good} ")),
        ("malformed", format!("{good}.")),
        ("malformed", "x".repeat(APPROVAL.bytes_max + 1)),
        ("malformed", altered(|c| c.nonce = "short".to_owned())),
        ("malformed", altered(|c| c.key_id = key(20).public().id())),
        ("malformed", sign(APPROVAL, &key(10), &serde_json::json!({"yes": true})).unwrap()),
        (
            "wrong-type",
            sign(other_purpose, &key(10), &claims(&plan, "alice", 10, Decision::Approve)).unwrap(),
        ),
        ("bad-signature", by_another_key),
        ("unknown-key", yes("alice", 99)),
        ("unknown-key", altered(|c| c.person = "carol".parse().unwrap())),
        ("revoked-key", yes("erin", 50)),
        ("unknown-person", altered(|c| c.person = "mallory".parse().unwrap())),
        ("wrong-plan", altered(|c| c.plan_digest = Digest::of("test", b"other"))),
        ("wrong-action", altered(|c| c.action = Action::Teardown)),
        ("wrong-environment", altered(|c| c.environment = "prod".parse().unwrap())),
        ("wrong-level", altered(|c| c.level = ApprovalLevel::One)),
        ("expired", altered(|c| c.expires_at = at(100))),
        ("ok", altered(|c| c.expires_at = at(101))),
        ("not-yet-valid", altered(|c| c.issued_at = at(103))),
        ("ok", altered(|c| c.issued_at = at(102))),
        ("too-long", altered(|c| c.expires_at = at(60 + 24 * 3600 + 1))),
        ("ok", altered(|c| c.expires_at = at(60 + 24 * 3600))),
        ("too-long", altered(|c| c.expires_at = c.issued_at)),
        ("self-approval", yes("bob", 20)),
        ("ok", vote(&plan, "bob", 20, Decision::Deny)),
    ];
    for (expected, token) in cases {
        check(&verifier, &token, expected);
    }
}

#[test]
fn an_agent_and_its_principal_are_one() {
    let mut plan = level_two();
    plan.requester = "alice-agent".parse().unwrap();
    for (person, number, expected) in [("alice", 10, "self-approval"), ("bob", 20, "ok")] {
        let token = vote(&plan, person, number, Decision::Approve);
        let found = code(verifier().check_vote(&token, &fixed(&plan), at(100)));
        assert_eq!(found, expected, "{person}");
    }
}

#[test]
fn a_vote_does_not_count_for_a_plan_that_was_changed_after_it() {
    let plan = level_two();
    let token = vote(&plan, "alice", 10, Decision::Approve);
    let mut other = plan.clone();
    other.not_after = at(1);
    let tokens = std::slice::from_ref(&token);
    let verifier = verifier();
    for (expected, plan) in [("ok", &plan), ("wrong-plan", &other)] {
        let plan = fixed(plan);
        assert_eq!(code(verifier.check_vote(&token, &plan, at(100))), expected);
        assert_eq!(code(verifier.admit(&token, &plan, Earlier::default(), at(100))), expected);
        assert_eq!(code(verifier.quorum(&plan, tokens, at(100))), expected);
    }
}

/// A verifier that has found the signature of a token good.
fn remembering(token: &str, plan: &Plan) -> Verifier {
    let verifier = verifier();
    verifier.check_vote(token, &fixed(plan), at(100)).unwrap();
    verifier
}

#[test]
fn of_a_vote_seen_before_everything_but_the_signature_is_judged_again() {
    let plan = level_two();
    let token = vote(&plan, "alice", 10, Decision::Approve);
    let verifier = remembering(&token, &plan);
    let public = key(10).public().to_text();
    assert!(verifier.verified.recall(&token, &public).is_some(), "otherwise this shows nothing");
    let mut asked_by_alice = plan.clone();
    asked_by_alice.requester = "alice".parse().unwrap();
    let cases = [
        ("ok", &plan, 100),
        ("expired", &plan, 60 + 3600),
        ("not-yet-valid", &plan, 50),
        ("wrong-plan", &asked_by_alice, 100),
        ("ok", &plan, 100),
    ];
    for (expected, plan, now) in cases {
        assert_eq!(code(verifier.check_vote(&token, &fixed(plan), at(now))), expected, "at {now}");
    }
    let other = vote(&plan, "carol", 30, Decision::Approve);
    let forged = format!("{}.{}", token.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    assert_eq!(code(verifier.check_vote(&forged, &fixed(&plan), at(100))), "bad-signature");
    assert!(verifier.verified.recall(&forged, &public).is_none(), "a bad signature is not remembered");
}

#[test]
fn a_vote_counts_once_and_only_a_denial_may_follow() {
    let plan = level_two();
    let yes = vote(&plan, "alice", 10, Decision::Approve);
    let second_key = vote(&plan, "alice", 11, Decision::Approve);
    let changed_mind = vote(&plan, "alice", 11, Decision::Deny);
    let carol = vote(&plan, "carol", 30, Decision::Approve);
    let recorded = std::slice::from_ref(&yes);
    let cases = [
        ("ok", &yes, &[][..], false),
        ("replayed", &yes, recorded, false),
        ("duplicate", &second_key, recorded, false),
        ("ok", &changed_mind, recorded, false),
        ("ok", &changed_mind, recorded, true),
        ("ok", &carol, recorded, false),
        ("replayed", &carol, &[][..], true),
    ];
    for (expected, token, tokens, executed) in cases {
        let earlier = Earlier { tokens, executed };
        let found = code(verifier().admit(token, &fixed(&plan), earlier, at(100)));
        assert_eq!(found, expected, "{token} {executed}");
    }
}

#[test]
fn a_quorum_is_of_distinct_persons_and_roles() {
    use ApprovalLevel::{One, Three, Two};
    // Persons with their keys; a minus in front denies.
    type Voters = &'static [(&'static str, u8)];
    let cases: &[(ApprovalLevel, &str, Voters)] = &[
        (One, "ok", &[]),
        (One, "denied", &[("-alice", 10)]),
        (Two, "missing-votes", &[]),
        (Two, "ok", &[("alice", 10)]),
        (Two, "self-approval", &[("bob", 20)]),
        (Two, "ok", &[("bob", 20), ("alice", 10)]),
        (Two, "revoked-key", &[("erin", 50)]),
        (Two, "denied", &[("alice", 10), ("-carol", 30)]),
        (Two, "denied", &[("alice", 10), ("-bob", 20)]),
        (Two, "ok", &[("alice", 10), ("-erin", 50)]),
        (Three, "missing-votes", &[("alice", 10)]),
        (Three, "missing-votes", &[("alice", 10), ("alice", 11)]),
        (Three, "missing-votes", &[("alice", 10), ("alice", 10)]),
        (Three, "ok", &[("alice", 10), ("carol", 30)]),
        (Three, "ok", &[("alice", 10), ("dave", 40)]),
        (Three, "ok", &[("carol", 30), ("dave", 40)]),
        (Three, "denied", &[("alice", 10), ("carol", 30), ("-dave", 40)]),
    ];
    for (level, expected, voters) in cases {
        let plan = plan(Action::Provision, *level);
        let tokens: Vec<String> = voters
            .iter()
            .map(|(person, number)| match person.strip_prefix('-') {
                Some(person) => vote(&plan, person, *number, Decision::Deny),
                None => vote(&plan, person, *number, Decision::Approve),
            })
            .collect();
        let found = code(verifier().quorum(&fixed(&plan), &tokens, at(100)));
        assert_eq!(found, *expected, "{level} {voters:?}");
    }
}

#[test]
fn two_persons_of_one_role_are_not_enough_for_level_three() {
    let mut roster = roster();
    roster.persons[2].roles = vec!["platform".parse().unwrap()];
    let plan = plan(Action::Provision, ApprovalLevel::Three);
    let tokens = [vote(&plan, "alice", 10, Decision::Approve), vote(&plan, "carol", 30, Decision::Approve)];
    let verifier = Verifier::new(roster).unwrap();
    let found = verifier.quorum(&fixed(&plan), &tokens, at(100));
    assert_eq!(code(found), "missing-role");
}

#[test]
fn a_requester_outside_the_roster_needs_to_join_it() {
    for (level, expected) in [(ApprovalLevel::One, "ok"), (ApprovalLevel::Two, "unknown-requester")] {
        let mut plan = plan(Action::Provision, level);
        plan.requester = "stranger".parse().unwrap();
        let tokens = [vote(&plan, "alice", 10, Decision::Approve)];
        let found = verifier().quorum(&fixed(&plan), &tokens, at(100));
        assert_eq!(code(found), expected);
    }
}

#[test]
fn the_start_window_begins_with_the_vote_that_completed_the_quorum() {
    let plan = plan(Action::Provision, ApprovalLevel::Three);
    let voted = |person: &str, number, issued| {
        let mut claims = claims(&plan, person, number, Decision::Approve);
        claims.issued_at = at(issued);
        sign(APPROVAL, &key(number), &claims).unwrap()
    };
    let tokens = [voted("dave", 40, 90), voted("alice", 10, 70), voted("carol", 30, 80)];
    let quorum = verifier().quorum(&fixed(&plan), &tokens, at(100)).unwrap();
    let names: Vec<&str> = quorum.votes.iter().map(|v| v.person.as_str()).collect();
    assert_eq!(names, ["alice", "carol"]);
    assert_eq!(quorum.start_by(), Some(at(80) + SignedDuration::from_hours(1)));
}

proptest! {
    #[test]
    fn no_single_changed_byte_of_a_token_is_accepted(place in 0_usize..10_000, mask in 1_u8..=255) {
        let plan = level_two();
        let token = vote(&plan, "alice", 10, Decision::Approve);
        let verifier = remembering(&token, &plan);
        let mut bytes = token.into_bytes();
        let place = place % bytes.len();
        bytes[place] ^= mask;
        let token = String::from_utf8_lossy(&bytes);
        prop_assert!(verifier.check_vote(&token, &fixed(&plan), at(100)).is_err());
    }

    #[test]
    fn no_text_makes_the_verifier_panic(text in ".{0,200}") {
        let plan = level_two();
        prop_assert!(verifier().check_vote(&text, &fixed(&plan), at(100)).is_err());
    }
}
