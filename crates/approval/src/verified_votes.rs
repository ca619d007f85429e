//! Cache of votes whose signatures are verified. A permit counts all votes anew,
//! so without it each request to the cloud would verify each signature again.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use exokit_model::approval::ApprovalClaims;

/// Capacity in votes. A plan needs two at most, so this is enough for dozens of
/// concurrent operations. An evicted vote is verified again.
pub(crate) const VOTES_MAX: usize = 64;

/// Votes with verified signatures, oldest first.
///
/// # Guarantees
/// - The cache key is the whole token and the whole public key. One byte more or
///   less, or another key with the same id, is another vote.
/// - An entry never becomes wrong, because a signature depends on the token and
///   the key alone. Entries leave only for room.
/// - Bad signatures are not kept, so only keys of the roster fill the cache.
/// - Everything else (owner of the key, revocation, plan, roles, time) is checked
///   each time.
#[derive(Debug, Default)]
pub(crate) struct VerifiedVotes(Mutex<VecDeque<VerifiedVote>>);

#[derive(Debug)]
struct VerifiedVote {
    token: String,
    public: String,
    claims: ApprovalClaims,
}

impl VerifiedVotes {
    /// The claims of a token whose signature by this key is verified.
    pub(crate) fn recall(&self, token: &str, public: &str) -> Option<ApprovalClaims> {
        let votes = self.votes();
        let vote = votes.iter().find(|vote| vote.token == token && vote.public == public);
        vote.map(|vote| vote.claims.clone())
    }

    /// Adds a token whose signature by this key is verified. Evicts the oldest
    /// entry at capacity.
    pub(crate) fn remember(&self, token: &str, public: &str, claims: &ApprovalClaims) {
        let mut votes = self.votes();
        if votes.len() >= VOTES_MAX {
            votes.pop_front();
        }
        votes.push_back(VerifiedVote {
            token: token.to_owned(),
            public: public.to_owned(),
            claims: claims.clone(),
        });
    }

    fn votes(&self) -> MutexGuard<'_, VecDeque<VerifiedVote>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use exokit_model::approval::Decision;
    use exokit_model::cost::ApprovalLevel;
    use exokit_model::plan::Action;

    use super::{VOTES_MAX, VerifiedVotes};
    use crate::testing::{claims, plan};

    #[test]
    fn lookup_needs_the_exact_token_and_key() {
        let votes = VerifiedVotes::default();
        let claims = claims(&plan(Action::Provision, ApprovalLevel::Two), "alice", 10, Decision::Approve);
        votes.remember("token", "public", &claims);
        assert_eq!(votes.recall("token", "public"), Some(claims));
        for (token, public) in [("token ", "public"), ("toke", "public"), ("token", "other"), ("", "")] {
            assert_eq!(votes.recall(token, public), None, "{token:?} {public:?}");
        }
    }

    #[test]
    fn the_oldest_vote_is_evicted_first() {
        let votes = VerifiedVotes::default();
        let claims = claims(&plan(Action::Provision, ApprovalLevel::Two), "alice", 10, Decision::Approve);
        for number in 0..=VOTES_MAX {
            votes.remember(&number.to_string(), "public", &claims);
        }
        assert_eq!(votes.votes().len(), VOTES_MAX);
        assert_eq!(votes.recall("0", "public"), None);
        assert!(votes.recall("1", "public").is_some());
        assert!(votes.recall(&VOTES_MAX.to_string(), "public").is_some());
    }
}
