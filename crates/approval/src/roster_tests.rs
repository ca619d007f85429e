//! Tests of rosters and keys.

use exokit_model::approval::{Person, Roster};
use rust_decimal::Decimal;

use crate::jws::{APPROVAL, sign};
use crate::keys::{KeyError, PublicKey, SecretKey};
use crate::roster::{
    RosterRefusal, SignedRoster, add_key, add_person, change_policy, check, follows, revoke_key,
};
use crate::testing::{at, key, roster};

fn kind<T>(result: Result<T, RosterRefusal>) -> String {
    let Err(refusal) = result else {
        return "ok".to_owned();
    };
    assert!(!refusal.hint().is_empty());
    let debug = format!("{refusal:?}");
    let end = debug.find(['(', ' ', '{']).unwrap_or(debug.len());
    debug[..end].to_owned()
}

#[test]
fn a_roster_that_contradicts_itself_is_refused() {
    type Change = fn(&mut Roster);
    let cases: [(&str, Change); 11] = [
        ("ok", |_| {}),
        ("DuplicatePerson", |r| r.persons[1].id = r.persons[0].id.clone()),
        ("DuplicateKey", |r| {
            let shared = r.persons[0].keys[0].clone();
            r.persons[1].keys.push(shared);
        }),
        ("DuplicateKey", |r| {
            let twice = r.persons[0].keys[0].clone();
            r.persons[0].keys.push(twice);
        }),
        ("InvalidKey", |r| r.persons[0].keys[0].public = "AAAA".to_owned()),
        ("InvalidKey", |r| {
            r.persons[0].keys[0].id = r.persons[1].keys[0].id.clone();
        }),
        // The identity point: every signature by it would verify.
        ("InvalidKey", |r| {
            r.persons[0].keys[0].public = format!("AQ{}", "A".repeat(41));
        }),
        ("AgentKey", |r| r.persons[1].agent_of = Some("alice".parse().unwrap())),
        ("AgentPrincipal", |r| {
            r.persons[5].agent_of = Some("nobody".parse().unwrap());
        }),
        ("Policy", |r| r.policy.low_max = Decimal::new(9, 0)),
        ("Policy", |r| r.policy.team_daily_max = Some(Decimal::new(-1, 0))),
    ];
    for (expected, change) in cases {
        let mut roster = roster();
        change(&mut roster);
        assert_eq!(kind(check(&roster)), expected);
    }
}

#[test]
fn versions_only_grow_and_only_the_root_key_signs() {
    let root = key(1);
    let version = |version, day: i64| Roster { version, issued_at: at(day), ..roster() };
    let signed = |roster: &Roster| SignedRoster::sign(&root, roster).unwrap();
    let current = version(5, 0);
    let cases = [
        ("ok", signed(&version(6, 0))),
        ("ok", signed(&current)),
        ("Older", signed(&version(4, 0))),
        ("Conflict", signed(&version(5, 1))),
        ("Signature", SignedRoster::sign(&key(2), &version(6, 0)).unwrap()),
        ("Signature", SignedRoster::from_text("not a roster")),
        ("Signature", SignedRoster::from_text(&sign(APPROVAL, &root, &version(6, 0)).unwrap())),
    ];
    for (expected, signed) in cases {
        let verified = signed.verify(&root.public());
        let found = verified.and_then(|roster| follows(Some(&current), &roster));
        assert_eq!(kind(found), expected, "{signed:?}");
    }
    assert_eq!(kind(follows(None, &version(1, 0))), "ok");
    assert_eq!(kind(SignedRoster::sign(&key(10), &roster())), "RootKey");
}

#[test]
fn each_change_gives_the_next_version() {
    let now = at(500);
    let frank = Person {
        id: "frank".parse().unwrap(),
        roles: Vec::new(),
        team: None,
        agent_of: None,
        keys: Vec::new(),
    };
    let one = add_person(&roster(), frank.clone(), now).unwrap();
    let two = add_key(&one, &frank.id, &key(60).public(), now).unwrap();
    let three = revoke_key(&two, &key(60).public().id(), now).unwrap();
    let four = change_policy(&three, roster().policy, now).unwrap();
    assert_eq!((four.version, four.issued_at), (5, now));
    assert_eq!(four.person(&frank.id).unwrap().keys[0].revoked_at, Some(now));

    let again = add_key(&four, &"bob".parse().unwrap(), &key(60).public(), now);
    assert_eq!(kind(again), "DuplicateKey");
    assert_eq!(kind(add_person(&four, frank, now)), "DuplicatePerson");
    let agent = "alice-agent".parse().unwrap();
    assert_eq!(kind(add_key(&four, &agent, &key(61).public(), now)), "AgentKey");
    let nobody = "nobody".parse().unwrap();
    assert_eq!(kind(add_key(&four, &nobody, &key(61).public(), now)), "UnknownPerson");
    assert_eq!(kind(revoke_key(&four, &key(61).public().id(), now)), "UnknownKey");
}

#[test]
fn a_private_key_opens_only_with_its_passphrase_and_is_never_printed() {
    let secret = key(10);
    let pem = secret.to_encrypted_pem("correct horse", &[3; 16], [4; 16]).unwrap();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let opened = SecretKey::from_encrypted_pem(&pem, "correct horse").unwrap();
    assert_eq!(opened.public(), secret.public());
    let wrong = SecretKey::from_encrypted_pem(&pem, "wrong").unwrap_err();
    assert!(matches!(wrong, KeyError::Passphrase));
    let no_pem = SecretKey::from_encrypted_pem("x", "wrong").unwrap_err();
    assert!(matches!(no_pem, KeyError::Pem));
    let printed = format!("{secret:?}");
    assert_eq!(printed, format!("SecretKey(of {})", secret.public().id()));
    let text = secret.public().to_text();
    assert_eq!(PublicKey::parse(&text).unwrap(), secret.public());
}
