//! Why a vote does not count or a request gets no permit.

use exokit_model::cost::ApprovalLevel;
use exokit_model::ids::{EnvironmentName, KeyId, NodeKey, PersonId, ResourceId};
use exokit_model::plan::Action;
use exokit_model::request::ResolveError;
use exokit_model::text::excerpt;
use jiff::Timestamp;

use crate::jws::JwsError;

/// A refusal. Each has a code that never changes, so that the ledger, metrics
/// and scripts can tell them apart.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a token at all, or one that is not written in the one allowed way.
    #[error("the approval token is malformed: {0}")]
    Malformed(String),
    /// A signed message, but made for another purpose.
    #[error("this is a signed \"{}\", not an approval token", excerpt(.0))]
    WrongType(String),
    /// The signature does not fit the content.
    #[error("the signature of the approval token does not verify")]
    BadSignature,
    /// The key is not in the roster, or belongs to another person.
    #[error("key {0} does not belong to the person who signed, according to the roster")]
    UnknownKey(KeyId),
    /// The key no longer counts.
    #[error("key {key} was revoked at {at}")]
    RevokedKey {
        /// The key.
        key: KeyId,
        /// Since when.
        at: Timestamp,
    },
    /// The person is not in the roster.
    #[error("{0} is not in the roster")]
    UnknownPerson(PersonId),
    /// The plan was asked for by somebody who is not in the roster, so nobody
    /// can tell whether the approver is somebody else.
    #[error("{0} asked for this plan but is not in the roster")]
    UnknownRequester(PersonId),
    /// The plan in the ledger is not one that this engine wrote there.
    #[error("the recorded plan does not have this engine's seal")]
    NotSealed,
    /// The vote is for another plan.
    #[error("the vote is for another plan")]
    WrongPlan,
    /// The vote is for another action.
    #[error("the vote is for {found}, the plan does {expected}")]
    WrongAction {
        /// What the vote says.
        found: Action,
        /// What the plan says.
        expected: Action,
    },
    /// The vote is for another environment.
    #[error("the vote is for environment {found}, the plan is for {expected}")]
    WrongEnvironment {
        /// What the vote says.
        found: EnvironmentName,
        /// What the plan says.
        expected: EnvironmentName,
    },
    /// The signer saw another level.
    #[error("the vote is for level {found}, the plan has level {expected}")]
    WrongLevel {
        /// What the vote says.
        found: ApprovalLevel,
        /// What the plan says.
        expected: ApprovalLevel,
    },
    /// The vote no longer counts.
    #[error("the vote of {person} expired at {at}")]
    Expired {
        /// Who voted.
        person: PersonId,
        /// When.
        at: Timestamp,
    },
    /// The vote was issued in the future.
    #[error("the vote of {person} is issued at {at}, which has not come yet")]
    NotYetValid {
        /// Who voted.
        person: PersonId,
        /// When.
        at: Timestamp,
    },
    /// The vote would count for longer than a vote may.
    #[error("the vote of {person} would count for {seconds} s, a vote counts for 24 h at most")]
    TooLong {
        /// Who voted.
        person: PersonId,
        /// How long, in seconds; zero or less when it ends before it begins.
        seconds: i64,
    },
    /// The approver is not independent of the requester.
    #[error("{person} cannot approve this: {why}")]
    SelfApproval {
        /// Who voted.
        person: PersonId,
        /// The rule.
        why: &'static str,
    },
    /// The person voted already, with this or another key.
    #[error("{0} has voted on this plan already")]
    Duplicate(PersonId),
    /// The token was used before: how this is known.
    #[error("the token was used already: {0}")]
    Replayed(&'static str),
    /// Somebody said no.
    #[error("{0} denied the plan")]
    Denied(PersonId),
    /// Not enough persons have approved yet.
    #[error("the plan needs approval by {need} person(s) and has {have}")]
    MissingVotes {
        /// How many have.
        have: usize,
        /// How many must.
        need: usize,
    },
    /// Enough persons, but they do not stand for two roles.
    #[error("a level 3 plan needs two persons of two roles; those who approved share one role")]
    MissingRole,
    /// The operation did not start soon enough after the last needed vote: the
    /// end of the window.
    #[error("the plan had to start by {0}, one hour after the last needed vote")]
    StartWindow(Timestamp),
    /// The plan can no longer start: until when it could.
    #[error("the plan could start until {0}")]
    PlanExpired(Timestamp),
    /// The plan is not the one that was recorded.
    #[error("the plan does not have the digest under which it was recorded")]
    PlanAltered,
    /// The plan does not say that this request is to be sent.
    #[error("{node}: {why}")]
    NotInPlan {
        /// The node.
        node: NodeKey,
        /// What the plan lacks.
        why: &'static str,
    },
    /// The operation removes what it made, so it makes nothing more.
    #[error("{0}: an operation that rolls back makes nothing more")]
    RollingBack(NodeKey),
    /// The id is not the one that may be removed.
    #[error("{node}: {id} is not what this operation may remove: {why}")]
    ForeignId {
        /// The node.
        node: NodeKey,
        /// The id; `none` when there is none.
        id: String,
        /// The rule.
        why: &'static str,
    },
    /// Data would be destroyed that the plan does not list.
    #[error("{0}: the plan does not say that its data may be destroyed")]
    DataNotListed(NodeKey),
    /// The permit would end before it begins, or last too long.
    #[error("a permit until {deadline} is not possible at {now}: {why}")]
    Deadline {
        /// What was asked.
        deadline: Timestamp,
        /// The time of asking.
        now: Timestamp,
        /// The rule.
        why: &'static str,
    },
    /// The request of the plan cannot be made concrete.
    #[error("{node}: {source}")]
    Unresolved {
        /// The node.
        node: NodeKey,
        /// Why.
        source: ResolveError,
    },
}

impl Refusal {
    /// The stable reason code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Malformed { .. } => "malformed",
            Refusal::WrongType { .. } => "wrong-type",
            Refusal::BadSignature => "bad-signature",
            Refusal::UnknownKey { .. } => "unknown-key",
            Refusal::RevokedKey { .. } => "revoked-key",
            Refusal::UnknownPerson { .. } => "unknown-person",
            Refusal::UnknownRequester { .. } => "unknown-requester",
            Refusal::NotSealed => "plan-seal",
            Refusal::WrongPlan => "wrong-plan",
            Refusal::WrongAction { .. } => "wrong-action",
            Refusal::WrongEnvironment { .. } => "wrong-environment",
            Refusal::WrongLevel { .. } => "wrong-level",
            Refusal::Expired { .. } => "expired",
            Refusal::NotYetValid { .. } => "not-yet-valid",
            Refusal::TooLong { .. } => "too-long",
            Refusal::SelfApproval { .. } => "self-approval",
            Refusal::Duplicate { .. } => "duplicate",
            Refusal::Replayed { .. } => "replayed",
            Refusal::Denied { .. } => "denied",
            Refusal::MissingVotes { .. } => "missing-votes",
            Refusal::MissingRole => "missing-role",
            Refusal::StartWindow { .. } => "start-window",
            Refusal::PlanExpired { .. } => "plan-expired",
            Refusal::PlanAltered => "plan-altered",
            Refusal::NotInPlan { .. } => "not-in-plan",
            Refusal::RollingBack { .. } => "rolling-back",
            Refusal::ForeignId { .. } => "foreign-id",
            Refusal::DataNotListed { .. } => "data-not-listed",
            Refusal::Deadline { .. } => "deadline",
            Refusal::Unresolved { .. } => "unresolved",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Refusal::Malformed { .. } | Refusal::WrongType { .. } | Refusal::BadSignature => {
                "paste the whole token that `exokit approve` printed"
            }
            Refusal::UnknownKey { .. } | Refusal::UnknownPerson { .. } | Refusal::UnknownRequester { .. } => {
                "add the person and the key to the roster and install the new version"
            }
            Refusal::RevokedKey { .. } => "approve again with a key that is not revoked",
            Refusal::WrongPlan
            | Refusal::WrongAction { .. }
            | Refusal::WrongEnvironment { .. }
            | Refusal::WrongLevel { .. } => "look at the plan again and approve that very plan",
            Refusal::Expired { .. } | Refusal::TooLong { .. } => "approve again",
            Refusal::NotYetValid { .. } => "set the clock of the approver's machine",
            Refusal::SelfApproval { .. } => "ask another person who may approve",
            Refusal::Duplicate { .. } | Refusal::MissingVotes { .. } => "ask one more person",
            Refusal::MissingRole => "ask one more person who has another role",
            Refusal::Replayed { .. }
            | Refusal::Denied { .. }
            | Refusal::StartWindow { .. }
            | Refusal::PlanExpired { .. } => "make a new plan",
            Refusal::NotSealed => {
                "make a new plan; this one was not recorded by this engine, or its key is another"
            }
            Refusal::PlanAltered => "run `exokit audit verify`; the stored plan is damaged or was changed",
            Refusal::NotInPlan { .. } | Refusal::ForeignId { .. } | Refusal::DataNotListed { .. } => {
                "make a plan that says this and have it approved"
            }
            Refusal::RollingBack { .. } => "wait for the rollback, then make a new plan",
            Refusal::Deadline { .. } => "check the clock and renew the lease",
            Refusal::Unresolved { .. } => "wait until the resources that it needs exist",
        }
    }

    pub(crate) fn foreign(node: &NodeKey, id: Option<&ResourceId>, why: &'static str) -> Self {
        Refusal::ForeignId {
            node: node.clone(),
            id: id.map_or_else(|| "none".to_owned(), ToString::to_string),
            why,
        }
    }
}

impl From<JwsError> for Refusal {
    fn from(error: JwsError) -> Self {
        match error {
            JwsError::WrongType(found) => Refusal::WrongType(found),
            JwsError::BadSignature => Refusal::BadSignature,
            other => Refusal::Malformed(other.to_string()),
        }
    }
}
