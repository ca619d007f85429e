//! The votes whose signatures a verifier has found good, so that it checks
//! each signature once and not for each request.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use exokit_model::approval::ApprovalClaims;

/// Most votes that are remembered. A plan needs two at most, so this is enough
/// for dozens of operations side by side; an older one is verified again.
pub(crate) const VOTES_MAX: usize = 64;

/// Votes with good signatures.
///
/// Whether a text is signed by a key depends on the text and the key alone, so
/// what was found once holds for ever and nothing has to be forgotten but for
/// room. Each vote stands under its whole text and the whole public key: one
/// byte more or less, or another key under the same id, is another vote. Bad
/// signatures are not remembered, so only keys of the roster fill this.
/// Everything else about a vote (whose key it is, whether it was revoked, plan,
/// roles and time) is not kept here and is judged afresh each time.
#[derive(Debug, Default)]
pub(crate) struct GoodVotes(Mutex<VecDeque<GoodVote>>);

#[derive(Debug)]
struct GoodVote {
    token: String,
    public: String,
    claims: ApprovalClaims,
}

impl GoodVotes {
    /// What a token says, if its signature by this key was found good.
    pub(crate) fn recall(&self, token: &str, public: &str) -> Option<ApprovalClaims> {
        let votes = self.votes();
        let vote = votes.iter().find(|vote| vote.token == token && vote.public == public);
        vote.map(|vote| vote.claims.clone())
    }

    /// Remembers a token whose signature by this key is good, and forgets the
    /// oldest when there are too many.
    pub(crate) fn remember(&self, token: &str, public: &str, claims: &ApprovalClaims) {
        let mut votes = self.votes();
        if votes.len() >= VOTES_MAX {
            votes.pop_front();
        }
        votes.push_back(GoodVote {
            token: token.to_owned(),
            public: public.to_owned(),
            claims: claims.clone(),
        });
    }

    fn votes(&self) -> MutexGuard<'_, VecDeque<GoodVote>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use exokit_model::approval::Decision;
    use exokit_model::cost::ApprovalLevel;
    use exokit_model::plan::Action;

    use super::{GoodVotes, VOTES_MAX};
    use crate::testing::{claims, plan};

    #[test]
    fn a_vote_is_found_under_its_text_and_key_only() {
        let votes = GoodVotes::default();
        let claims = claims(&plan(Action::Provision, ApprovalLevel::Two), "alice", 10, Decision::Approve);
        votes.remember("token", "public", &claims);
        assert_eq!(votes.recall("token", "public"), Some(claims));
        for (token, public) in [("token ", "public"), ("toke", "public"), ("token", "other"), ("", "")] {
            assert_eq!(votes.recall(token, public), None, "{token:?} {public:?}");
        }
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let votes = GoodVotes::default();
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
