//! The verifier: decides which votes count and whether they are a quorum.

use std::sync::Arc;

use exokit_model::approval::{
    ApprovalClaims, ApproverKey, Decision, Person, Roster, START_WINDOW_SECONDS, VOTE_SECONDS_MAX,
};
use exokit_model::cost::ApprovalLevel;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::KeyId;
use jiff::{SignedDuration, Timestamp};

use crate::jws::{APPROVAL, Unverified};
use crate::keys::PublicKey;
use crate::refusal::Refusal;
use crate::roster::{RosterRefusal, SignedRoster, check};
use crate::token::inspect;
use crate::verified_votes::VerifiedVotes;

/// How far an approver's clock may be ahead of the engine's, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 2;

/// Decides by one roster which votes count and what may be sent. A vote counts
/// for a plan only if it names the digest of that plan. Clones share the cache of
/// verified signatures.
#[derive(Debug, Clone)]
pub struct Verifier {
    roster: Roster,
    pub(crate) verified: Arc<VerifiedVotes>,
}

/// The state of a plan when another vote on it arrives.
#[derive(Debug, Clone, Copy, Default)]
pub struct Earlier<'a> {
    /// Tokens recorded for the plan.
    pub tokens: &'a [String],
    /// Whether the plan's operation has started, or can no longer start.
    pub executed: bool,
}

/// The votes that approve a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// The votes that were needed, in the order in which they were issued;
    /// none for a level 1 plan.
    pub votes: Vec<ApprovalClaims>,
}

impl Quorum {
    /// Until when execution may start: 1 h after the last needed vote; none
    /// for a level 1 plan, which only its own `not_after` limits.
    #[must_use]
    pub fn start_by(&self) -> Option<Timestamp> {
        let window = SignedDuration::from_secs(START_WINDOW_SECONDS);
        self.votes.last().map(|vote| later(vote.issued_at, window))
    }
}

/// A vote that counts, with the voter's entry in the roster.
struct Vote<'a> {
    claims: ApprovalClaims,
    person: &'a Person,
}

impl Verifier {
    /// A verifier for a roster signed by the root key. Whether the roster is in
    /// force is for [`follows`](crate::roster::follows) to say.
    ///
    /// # Errors
    /// As [`SignedRoster::verify`].
    pub fn signed(root: &PublicKey, signed: &SignedRoster) -> Result<Self, RosterRefusal> {
        Ok(Self { roster: signed.verify(root)?, verified: Arc::default() })
    }

    /// A verifier for a roster that was verified before.
    ///
    /// # Errors
    /// When the roster contradicts itself, see [`check`].
    pub fn new(roster: Roster) -> Result<Self, RosterRefusal> {
        check(&roster)?;
        Ok(Self { roster, verified: Arc::default() })
    }

    /// The roster in force.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Checks one vote on its own: signature, key, person, plan and time.
    ///
    /// # Errors
    /// The first rule that it breaks, by reason code: `malformed`,
    /// `wrong-type`, `bad-signature`, `unknown-key`, `revoked-key`,
    /// `unknown-person`, `wrong-plan`, `wrong-action`, `wrong-environment`,
    /// `wrong-level`, `self-approval`, `too-long`, `not-yet-valid`, `expired`.
    pub fn check_vote(
        &self,
        token: &str,
        plan: &FixedPlan,
        now: Timestamp,
    ) -> Result<ApprovalClaims, Refusal> {
        let vote = self.examine(token, plan)?;
        check_time(&vote.claims, now)?;
        Ok(vote.claims)
    }

    /// Checks a new vote, also against the recorded ones. A person votes once, but
    /// may deny after an approval.
    ///
    /// # Errors
    /// As [`Verifier::check_vote`], and `replayed` or `duplicate`.
    pub fn admit(
        &self,
        token: &str,
        plan: &FixedPlan,
        earlier: Earlier<'_>,
        now: Timestamp,
    ) -> Result<ApprovalClaims, Refusal> {
        let claims = self.check_vote(token, plan, now)?;
        if earlier.executed && claims.decision == Decision::Approve {
            return Err(Refusal::Replayed("the plan has been executed, and each plan executes once"));
        }
        for recorded in earlier.tokens.iter().filter_map(|text| inspect(text).ok()) {
            if recorded.claims.nonce == claims.nonce {
                return Err(Refusal::Replayed("its nonce is recorded"));
            }
            let changes_to_no =
                recorded.claims.decision == Decision::Approve && claims.decision == Decision::Deny;
            if recorded.claims.person == claims.person && !changes_to_no {
                return Err(Refusal::Duplicate(claims.person));
            }
        }
        Ok(claims)
    }

    /// Whether the tokens are enough for the plan to start at `now`.
    /// Tokens that do not count are passed over.
    ///
    /// # Errors
    /// `denied` when any valid vote says no; otherwise, when votes are missing,
    /// the refusal of the first token that does not count, or `missing-votes`
    /// or `missing-role` when all count.
    pub fn quorum(&self, plan: &FixedPlan, tokens: &[String], now: Timestamp) -> Result<Quorum, Refusal> {
        self.quorum_since(plan, tokens, (now, now))
    }

    /// As [`Verifier::quorum`], for an operation that began at the first of
    /// the two times and is judged at the second. A vote must have been valid
    /// when the operation began or, if it was given later because an earlier
    /// one was lost, when it was given.
    ///
    /// # Errors
    /// As [`Verifier::quorum`].
    pub(crate) fn quorum_since(
        &self,
        plan: &FixedPlan,
        tokens: &[String],
        times: (Timestamp, Timestamp),
    ) -> Result<Quorum, Refusal> {
        if plan.level > ApprovalLevel::One && self.roster.person(&plan.requester).is_none() {
            return Err(Refusal::UnknownRequester(plan.requester.clone()));
        }
        let mut votes: Vec<Vote<'_>> = Vec::new();
        let mut refused = None;
        for token in tokens {
            match self.examine_approval(token, plan, times) {
                Ok(vote) => votes.push(vote),
                Err(denied @ Refusal::Denied { .. }) => return Err(denied),
                Err(refusal) => {
                    refused.get_or_insert(refusal);
                }
            }
        }
        votes.sort_by_key(|vote| vote.claims.issued_at);
        let mut seen = std::collections::BTreeSet::new();
        votes.retain(|vote| seen.insert(vote.person.id.clone()));
        let have = votes.len();
        let need = plan.level.persons();
        match earliest_sufficient(plan.level, &votes) {
            Some(votes) => Ok(Quorum { votes }),
            None => Err(refused.unwrap_or(match have < need {
                true => Refusal::MissingVotes { have, need },
                false => Refusal::MissingRole,
            })),
        }
    }

    /// A vote that approves and is valid in `times`. A denial never expires: it
    /// is reported as such whenever it was given.
    fn examine_approval(
        &self,
        token: &str,
        plan: &FixedPlan,
        (began, now): (Timestamp, Timestamp),
    ) -> Result<Vote<'_>, Refusal> {
        let vote = self.examine(token, plan)?;
        if vote.claims.decision == Decision::Deny {
            return Err(Refusal::Denied(vote.claims.person));
        }
        let given = vote.claims.issued_at.min(now);
        check_time(&vote.claims, began.max(given))?;
        Ok(vote)
    }

    /// Everything about a vote that does not depend on time.
    fn examine(&self, token: &str, plan: &FixedPlan) -> Result<Vote<'_>, Refusal> {
        let unverified = Unverified::parse(APPROVAL, token)?;
        let kid = unverified.kid().clone();
        let unknown = || Refusal::UnknownKey(kid.clone());
        let (owner, key) = self.key(&kid).ok_or_else(unknown)?;
        let claims = match self.verified.recall(token, &key.public) {
            Some(claims) => claims,
            None => {
                let public = PublicKey::parse(&key.public).map_err(|_| unknown())?;
                let claims = unverified.verify(&public)?;
                self.verified.remember(token, &key.public, &claims);
                claims
            }
        };
        if claims.key_id != kid {
            return Err(malformed("header and claims name different keys"));
        }
        if data_encoding::BASE64URL_NOPAD.decode(claims.nonce.as_bytes()).map_or(0, |bytes| bytes.len()) != 16
        {
            return Err(malformed("the nonce is not 16 bytes in base64url"));
        }
        if self.roster.person(&claims.person).is_none() {
            return Err(Refusal::UnknownPerson(claims.person));
        }
        if owner.id != claims.person {
            return Err(unknown());
        }
        if let Some(at) = key.revoked_at {
            return Err(Refusal::RevokedKey { key: kid, at });
        }
        check_subject(&claims, plan)?;
        self.check_independent(&claims, owner, plan)?;
        Ok(Vote { claims, person: owner })
    }

    fn key(&self, id: &KeyId) -> Option<(&Person, &ApproverKey)> {
        self.roster.persons.iter().find_map(|person| {
            let key = person.keys.iter().find(|key| key.id == *id)?;
            Some((person, key))
        })
    }

    /// Checks that the voter is independent of the request. Agents never vote. The
    /// requester, or the person whose agent requested, may deny but not approve.
    fn check_independent(
        &self,
        claims: &ApprovalClaims,
        voter: &Person,
        plan: &FixedPlan,
    ) -> Result<(), Refusal> {
        let refuse = |why| Err(Refusal::SelfApproval { person: claims.person.clone(), why });
        if voter.agent_of.is_some() {
            return refuse("agents request, they do not vote");
        }
        if claims.decision == Decision::Deny {
            return Ok(());
        }
        if claims.person == plan.requester {
            return refuse("who asked for a plan cannot approve it");
        }
        if self.roster.principal(&plan.requester) == claims.person {
            return refuse("an agent of this person asked for the plan");
        }
        Ok(())
    }
}

fn malformed(why: &str) -> Refusal {
    Refusal::Malformed(why.to_owned())
}

pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The vote is on this plan, and the signer saw what it is.
fn check_subject(claims: &ApprovalClaims, plan: &FixedPlan) -> Result<(), Refusal> {
    if claims.plan_digest != plan.digest() {
        return Err(Refusal::WrongPlan);
    }
    if claims.action != plan.action {
        return Err(Refusal::WrongAction { found: claims.action, expected: plan.action });
    }
    if claims.environment != plan.environment {
        return Err(Refusal::WrongEnvironment {
            found: claims.environment.clone(),
            expected: plan.environment.clone(),
        });
    }
    if claims.level != plan.level {
        return Err(Refusal::WrongLevel { found: claims.level, expected: plan.level });
    }
    Ok(())
}

fn check_time(claims: &ApprovalClaims, at: Timestamp) -> Result<(), Refusal> {
    let person = claims.person.clone();
    let lasts = claims.expires_at.duration_since(claims.issued_at);
    if lasts <= SignedDuration::ZERO || lasts > SignedDuration::from_secs(VOTE_SECONDS_MAX) {
        return Err(Refusal::TooLong { person, seconds: lasts.as_secs() });
    }
    if claims.issued_at > later(at, SignedDuration::from_secs(CLOCK_SKEW_SECONDS)) {
        return Err(Refusal::NotYetValid { person, at: claims.issued_at });
    }
    if claims.expires_at <= at {
        return Err(Refusal::Expired { person, at: claims.expires_at });
    }
    Ok(())
}

/// The votes with which the level was first reached; `votes` are of distinct
/// persons in the order of issue.
fn earliest_sufficient(level: ApprovalLevel, votes: &[Vote<'_>]) -> Option<Vec<ApprovalClaims>> {
    match level {
        ApprovalLevel::One => Some(Vec::new()),
        ApprovalLevel::Two => votes.first().map(|vote| vec![vote.claims.clone()]),
        ApprovalLevel::Three => votes.iter().enumerate().find_map(|(at, second)| {
            let first = votes[..at].iter().find(|first| have_two_roles(first.person, second.person))?;
            Some(vec![first.claims.clone(), second.claims.clone()])
        }),
    }
}

/// Whether each of two persons can stand for a role of their own.
#[must_use]
pub fn have_two_roles(a: &Person, b: &Person) -> bool {
    a.roles.iter().any(|role| b.roles.iter().any(|other| role != other))
}
