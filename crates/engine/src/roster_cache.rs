//! Rosters that engines have proven, so that none of them does it again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use exokit_approval::keys::PublicKey;
use exokit_approval::roster::{RosterRefusal, SignedRoster};
use exokit_approval::verify::Verifier;

/// Most rosters that are kept: the one in force and some before it.
const ROSTERS_MAX: usize = 8;

/// Verifiers by the signed text of their roster.
///
/// They follow from the bytes alone, never from what a ledger or a cloud
/// said at some time, so that none of them can grow old. Engines that live one
/// after the other may share it; clones do.
#[derive(Clone, Default)]
pub struct RosterCache {
    verifiers: Arc<Mutex<VecDeque<Proven>>>,
}

/// A roster that is signed by a root key and does not contradict itself.
struct Proven {
    root: PublicKey,
    signed: SignedRoster,
    verifier: Arc<Verifier>,
}

impl RosterCache {
    /// The verifier by a roster, if that is sound. Whether the roster is in
    /// force is another question.
    pub(crate) fn verifier(
        &self,
        root: &PublicKey,
        signed: &SignedRoster,
    ) -> Result<Arc<Verifier>, RosterRefusal> {
        let mut verifiers = self.verifiers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = verifiers.iter().find(|known| known.root == *root && known.signed == *signed);
        if let Some(known) = known {
            return Ok(Arc::clone(&known.verifier));
        }
        let verifier = Arc::new(Verifier::signed(root, signed)?);
        if verifiers.len() >= ROSTERS_MAX {
            verifiers.pop_front();
        }
        verifiers.push_back(Proven {
            root: root.clone(),
            signed: signed.clone(),
            verifier: Arc::clone(&verifier),
        });
        Ok(verifier)
    }
}

#[cfg(test)]
mod tests {
    use exokit_approval::jws::JwsError;
    use exokit_approval::keys::SecretKey;

    use super::*;
    use crate::engine::empty_roster;

    fn root(number: u8) -> SecretKey {
        SecretKey::from_random([number; 32])
    }

    fn signed(version: u64) -> SignedRoster {
        let roster = exokit_model::approval::Roster { version, ..empty_roster() };
        SignedRoster::sign(&root(1), &roster).unwrap()
    }

    #[test]
    fn a_roster_is_verified_once() {
        let (cache, root) = (RosterCache::default(), root(1).public());
        let first = cache.verifier(&root, &signed(1)).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.clone().verifier(&root, &signed(1)).unwrap()));
        let other = cache.verifier(&root, &signed(2)).unwrap();
        assert_eq!((first.roster().version, other.roster().version), (1, 2));
    }

    #[test]
    fn a_known_roster_is_good_for_its_own_bytes_and_root_key_only() {
        let cache = RosterCache::default();
        cache.verifier(&root(1).public(), &signed(1)).unwrap();
        let found = cache.verifier(&root(2).public(), &signed(1)).unwrap_err();
        assert!(matches!(found, RosterRefusal::Signature(JwsError::BadSignature)), "{found:?}");
        let text = signed(1).as_str().to_owned();
        let forged = SignedRoster::from_text(&format!("{}A", &text[..text.len() - 1]));
        for _ in 0..2 {
            assert!(cache.verifier(&root(1).public(), &forged).is_err());
        }
    }

    #[test]
    fn the_oldest_roster_is_dropped_when_there_are_too_many() {
        let (cache, root) = (RosterCache::default(), root(1).public());
        let first = cache.verifier(&root, &signed(0)).unwrap();
        (1..=8).for_each(|version| drop(cache.verifier(&root, &signed(version)).unwrap()));
        assert_eq!(cache.verifiers.lock().unwrap().len(), ROSTERS_MAX);
        assert!(!Arc::ptr_eq(&first, &cache.verifier(&root, &signed(0)).unwrap()), "verified again");
    }
}
