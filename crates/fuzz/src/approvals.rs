//! What approvers send: keys, votes, rosters.

use std::sync::LazyLock;

use exokit_approval::jws::{ROSTER, Unverified};
use exokit_approval::keys::{PublicKey, SecretKey};
use exokit_approval::roster::{SignedRoster, check, revoke_key};
use exokit_approval::token::inspect;
use exokit_approval::verify::Verifier;
use exokit_model::approval::Roster;
use exokit_model::canonical::to_canonical_bytes;
use exokit_model::event::Event;
use jiff::Timestamp;

use crate::{check_refusal, recorded};

/// What opens the seed of [`key`].
const PASSPHRASE: &str = "correct horse";

/// Votes of the recorded ledger with when they arrived.
static VOTES: LazyLock<Vec<(String, Timestamp)>> = LazyLock::new(|| {
    let vote = |entry: exokit_model::event::Entry| match entry.event {
        Event::ApprovalRecorded { token, .. } => Some((token, entry.at)),
        _ => None,
    };
    recorded::entries().into_iter().filter_map(vote).collect()
});

static GENUINE: LazyLock<Vec<String>> = LazyLock::new(recorded::rosters);

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let newest = GENUINE.last().expect("a roster was installed");
    let roster = SignedRoster::from_text(newest).verify(&recorded::ROOT).expect("it is signed by the root");
    Verifier::new(roster).expect("a roster in force is sound")
});

/// A public key in text, or a private one in PEM.
pub(crate) fn key(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let public = PublicKey::parse(text);
    match &public {
        Ok(key) => assert_eq!(key.to_text(), text),
        Err(error) => check_refusal(&error.to_string(), error.hint()),
    }
    let private = SecretKey::from_encrypted_pem(text, PASSPHRASE);
    if let Err(error) = &private {
        check_refusal(&error.to_string(), error.hint());
    }
    public.is_ok() || private.is_ok()
}

pub(crate) fn key_seeds() -> Vec<Vec<u8>> {
    let key = SecretKey::from_random([7; 32]);
    let pem = key.to_encrypted_pem(PASSPHRASE, &[1; 16], [2; 16]).expect("a key can be encrypted");
    vec![key.public().to_text().into_bytes(), pem.into_bytes()]
}

/// A vote that counts is one of those that were really cast, byte for byte.
pub(crate) fn token(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    if let Err(refusal) = inspect(text) {
        check_refusal(&refusal.to_string(), refusal.hint());
    }
    let plan = recorded::plan();
    let at = VOTES.first().expect("a vote was cast").1;
    let counted = VERIFIER.check_vote(text, &plan, at).is_ok();
    assert!(!counted || VOTES.iter().any(|(genuine, _)| genuine == text), "a vote was forged: {text}");
    counted
}

pub(crate) fn token_seeds() -> Vec<Vec<u8>> {
    let plan = recorded::plan();
    let of_plan = |token: &&(String, Timestamp)| {
        inspect(&token.0).is_ok_and(|vote| vote.claims.plan_digest == plan.digest())
    };
    VOTES.iter().filter(of_plan).map(|(token, _)| token.clone().into_bytes()).collect()
}

/// A roster that is accepted is one that the root key signed, byte for byte.
/// What is inside of any other is checked without its signature.
pub(crate) fn roster(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let signed = SignedRoster::from_text(text);
    let accepted = match signed.verify(&recorded::ROOT) {
        Ok(_) => {
            assert!(GENUINE.iter().any(|genuine| genuine == signed.as_str()), "a roster was forged: {text}");
            true
        }
        Err(refusal) => {
            check_refusal(&refusal.to_string(), refusal.hint());
            false
        }
    };
    let inside = Unverified::parse(ROSTER, signed.as_str()).and_then(Unverified::read::<Roster>);
    inside.iter().for_each(check_roster);
    let bare: Option<Roster> = serde_json::from_slice(data).ok();
    bare.iter().for_each(check_roster);
    accepted || bare.is_some()
}

/// The rules for rosters and their changes answer whatever stands in one.
fn check_roster(roster: &Roster) {
    let Ok(bytes) = to_canonical_bytes("a roster", roster) else { return };
    let back: Roster = serde_json::from_slice(&bytes).expect("a canonical roster can be read");
    assert_eq!(back, *roster, "rosters that differ have canonical forms that differ");
    let sound = check(roster);
    for key in roster.persons.iter().flat_map(|person| &person.keys) {
        if let Ok(next) = revoke_key(roster, &key.id, Timestamp::UNIX_EPOCH) {
            assert!(next.version > roster.version && sound.is_ok());
        }
    }
    for person in &roster.persons {
        let _ = roster.principal(&person.id);
    }
}

pub(crate) fn roster_seeds() -> Vec<Vec<u8>> {
    let inside = |text: &String| {
        let roster: Roster = Unverified::parse(ROSTER, text).and_then(Unverified::read).expect("a roster");
        serde_json::to_vec(&roster).expect("a roster has a JSON form")
    };
    let signed = GENUINE.iter().map(|text| text.clone().into_bytes());
    signed.chain(GENUINE.iter().map(inside)).collect()
}
