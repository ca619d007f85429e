//! Approvals as data: roster, policy, decisions and the claims of a token.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canonical::Digest;
use crate::cost::{ApprovalLevel, CostPolicy};
use crate::ids::{EnvironmentName, KeyId, PersonId, RoleName};
use crate::plan::Action;

/// How long a vote counts, in seconds (24 hours).
pub const VOTE_SECONDS_MAX: i64 = 24 * 3600;

/// How long after the last needed vote execution may start, in seconds.
pub const START_WINDOW_SECONDS: i64 = 3600;

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The plan may run.
    Approve,
    /// The plan may not run. Final.
    Deny,
}

/// What an approval token says: the payload of a compact JWS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalClaims {
    /// Digest of the plan, byte for byte.
    pub plan_digest: Digest,
    /// Yes or no.
    pub decision: Decision,
    /// What the plan does.
    pub action: Action,
    /// Level that the signer saw.
    pub level: ApprovalLevel,
    /// Environment that the plan is for.
    pub environment: EnvironmentName,
    /// Who decided.
    pub person: PersonId,
    /// With which key.
    pub key_id: KeyId,
    /// When.
    pub issued_at: Timestamp,
    /// Until when the vote counts; at most 24 hours after `issued_at`.
    pub expires_at: Timestamp,
    /// Random, 16 bytes in base64url; makes each token unique.
    pub nonce: String,
}

/// Who may approve and under which policy. Signed by the root key as a whole;
/// a lower version than one already seen is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// Grows by one with each change.
    pub version: u64,
    /// When this version was signed.
    pub issued_at: Timestamp,
    /// The persons.
    pub persons: Vec<Person>,
    /// Bands and caps.
    pub policy: CostPolicy,
}

/// One person, with roles and keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The person.
    pub id: PersonId,
    /// Roles; level 3 needs two persons of two roles.
    pub roles: Vec<RoleName>,
    /// Team whose budget the person's requests count against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<RoleName>,
    /// Set for an AI agent or service: the person for whom it acts. It can
    /// request; it can never approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_of: Option<PersonId>,
    /// Public keys.
    pub keys: Vec<ApproverKey>,
}

/// A public key that may sign approvals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproverKey {
    /// Derived from the public key.
    pub id: KeyId,
    /// Ed25519 public key, 32 bytes in base64url without padding.
    pub public: String,
    /// Set when the key no longer counts, with the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl Roster {
    /// Finds a person.
    #[must_use]
    pub fn person(&self, id: &PersonId) -> Option<&Person> {
        self.persons.iter().find(|person| person.id == *id)
    }

    /// The human behind a requester: the person itself, or whom an agent acts
    /// for.
    #[must_use]
    pub fn principal(&self, id: &PersonId) -> PersonId {
        self.person(id).and_then(|person| person.agent_of.clone()).unwrap_or_else(|| id.clone())
    }
}
