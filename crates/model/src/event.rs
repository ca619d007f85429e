//! Events: past-tense facts in the ledger, and the record that carries each.
//!
//! Serialised events are read by later versions of exokit, so variants and
//! fields may be added but never renamed or removed.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, RequesterProof};
use crate::canonical::{CanonicalError, Digest, to_canonical_bytes};
use crate::certificate::Certificate;
use crate::ids::{EnvironmentName, NodeKey, OperationId, PersonId, ResourceId};
use crate::needs_human::NeedsHuman;
use crate::ready_time::ReadyTime;
use crate::text::ForeignText;

/// A secret that only the holder of the sealing key can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// Nonce in base64.
    pub nonce: String,
    /// Ciphertext with authentication tag in base64.
    pub ciphertext: String,
}

/// One way in which the cloud differs from what was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// The node.
    pub node: NodeKey,
    /// Which property, as a JSON pointer, or `presence`.
    pub field: ForeignText,
    /// What was planned.
    pub planned: ForeignText,
    /// What was observed.
    pub observed: ForeignText,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
    /// A new roster and policy became valid.
    RosterInstalled {
        /// Version.
        version: u64,
        /// The signed roster as a compact JWS.
        signed: String,
    },
    /// The ledger is about this organisation of the cloud from now on.
    AccountBound {
        /// Its id.
        organization: ResourceId,
    },
    /// A plan was made and may be approved.
    PlanProposed {
        /// Digest of the plan.
        digest: Digest,
        /// Canonical bytes of the plan, which are UTF-8.
        plan: String,
        /// Digest of the body of the request, where that had an idempotency
        /// key. The key itself is in the plan's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<Digest>,
        /// MAC over the digest under a key of the engine. Absent in records of
        /// earlier versions; such a plan never begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seal: Option<Digest>,
    },
    /// A vote was verified and counts.
    ApprovalRecorded {
        /// The plan.
        digest: Digest,
        /// Who.
        person: PersonId,
        /// The token.
        token: String,
    },
    /// A person denied the plan.
    DenialRecorded {
        /// The plan.
        digest: Digest,
        /// Who.
        person: PersonId,
        /// The token.
        token: String,
    },
    /// A vote was refused.
    ApprovalRefused {
        /// Stable reason code.
        code: ForeignText,
        /// The reason in words.
        why: ForeignText,
    },
    /// The plan will not run.
    PlanRejected {
        /// Reason for the rejection.
        why: ForeignText,
    },
    /// The operation began.
    OperationStarted {
        /// The plan that it runs.
        digest: Digest,
    },
    /// Another engine process took the operation over.
    OperationResumed {
        /// Name of that process.
        holder: ForeignText,
    },
    /// A create request is about to be sent.
    CreateIntended {
        /// The node.
        node: NodeKey,
        /// Counts from 1.
        attempt: u32,
        /// Digest of the exact request.
        request: Digest,
        /// When its signature expires: after this nothing can start.
        expires_at: Timestamp,
    },
    /// The cloud accepted the create request.
    CreateAccepted {
        /// The node.
        node: NodeKey,
        /// The attempt.
        attempt: u32,
        /// Id of the resource where the reply says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<ResourceId>,
        /// The cloud's operation, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud_operation: Option<String>,
        /// A secret that the cloud shows only once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sealed: Option<Sealed>,
    },
    /// The cloud definitely refused the create request.
    CreateRefused {
        /// The node.
        node: NodeKey,
        /// The attempt.
        attempt: u32,
        /// HTTP status; 0 when the request never left.
        status: u16,
        /// Message of the cloud.
        message: ForeignText,
        /// Whether another attempt can help.
        transient: bool,
    },
    /// It is unknown whether the create request took effect.
    CreateInDoubt {
        /// The node.
        node: NodeKey,
        /// The attempt.
        attempt: u32,
        /// Reason for the doubt.
        why: ForeignText,
    },
    /// The resource of a doubtful create request was found and taken over.
    CreateAdopted {
        /// The node.
        node: NodeKey,
        /// The attempt.
        attempt: u32,
        /// Its id.
        id: ResourceId,
    },
    /// A doubtful create request is now known to have had no effect.
    CreateAbsent {
        /// The node.
        node: NodeKey,
        /// The attempt.
        attempt: u32,
    },
    /// A resource exists and is ready.
    ResourceReady {
        /// The node.
        node: NodeKey,
        /// Its id.
        id: ResourceId,
        /// How long it took, where it was watched closely enough to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<ReadyTime>,
    },
    /// The cloud's operation failed, or the resource is in an error state.
    ResourceFailed {
        /// The node.
        node: NodeKey,
        /// Its id, if one exists.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<ResourceId>,
        /// Message of the cloud.
        reason: ForeignText,
    },
    /// A delete request is about to be sent.
    DeleteIntended {
        /// The node.
        node: NodeKey,
        /// Id of the resource.
        id: ResourceId,
        /// Which of the node's delete requests, from 0.
        step: u32,
        /// Digest of the exact request.
        request: Digest,
        /// When its signature expires.
        expires_at: Timestamp,
    },
    /// The cloud accepted a delete request.
    DeleteAccepted {
        /// The node.
        node: NodeKey,
        /// Id of the resource.
        id: ResourceId,
        /// Which of the node's delete requests.
        step: u32,
        /// The cloud's operation, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cloud_operation: Option<String>,
    },
    /// The cloud refused a delete request, or its outcome is not known. It is
    /// repeated: deleting by id is idempotent.
    DeleteRefused {
        /// The node.
        node: NodeKey,
        /// Id of the resource.
        id: ResourceId,
        /// HTTP status; 0 when there was no complete answer.
        status: u16,
        /// Message of the cloud.
        message: ForeignText,
    },
    /// A resource is gone.
    ResourceGone {
        /// The node.
        node: NodeKey,
        /// Its id.
        id: ResourceId,
    },
    /// The operation cannot be completed and removes what it made.
    RollbackStarted {
        /// Reason for the rollback.
        cause: ForeignText,
    },
    /// The operation stopped and waits for a human.
    OperationParked {
        /// Reason for the stop.
        why: NeedsHuman,
        /// Person who should act.
        owner: ForeignText,
    },
    /// A human let the operation continue.
    OperationUnparked {
        /// Person who let it continue.
        by: ForeignText,
    },
    /// Everything is as the plan says.
    OperationSucceeded {
        /// Proof, for a teardown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<Certificate>,
    },
    /// Everything that the operation had made is gone.
    OperationRolledBack,
    /// A comparison with the cloud was made.
    DriftObserved {
        /// What differs; empty when nothing does.
        differences: Vec<Difference>,
    },
    /// The environment's owner, or an agent of theirs, gave a sign of life.
    KeptAlive {
        /// Who.
        by: PersonId,
        /// Without another sign it expires then.
        until: Timestamp,
    },
    /// Secrets or a kubeconfig are about to be handed out.
    AccessGranted {
        /// The requester.
        by: PersonId,
        /// How they were authenticated.
        proof: RequesterProof,
        /// The secrets or the kubeconfig.
        access: Access,
        /// When a certificate in it ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
        /// The approved plan, where one was needed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<Digest>,
    },
    /// The environment expires soon.
    ExpiryWarned {
        /// When.
        expires_at: Timestamp,
    },
    /// The environment outlived its time; a teardown plan is asked for.
    ExpiryNoticed {
        /// When it expired.
        expired_at: Timestamp,
        /// The teardown plan that was proposed.
        digest: Digest,
    },
}

impl Event {
    /// The variant's name as it stands in the ledger.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Event::RosterInstalled { .. } => "roster-installed",
            Event::AccountBound { .. } => "account-bound",
            Event::PlanProposed { .. } => "plan-proposed",
            Event::ApprovalRecorded { .. } => "approval-recorded",
            Event::DenialRecorded { .. } => "denial-recorded",
            Event::ApprovalRefused { .. } => "approval-refused",
            Event::PlanRejected { .. } => "plan-rejected",
            Event::OperationStarted { .. } => "operation-started",
            Event::OperationResumed { .. } => "operation-resumed",
            Event::CreateIntended { .. } => "create-intended",
            Event::CreateAccepted { .. } => "create-accepted",
            Event::CreateRefused { .. } => "create-refused",
            Event::CreateInDoubt { .. } => "create-in-doubt",
            Event::CreateAdopted { .. } => "create-adopted",
            Event::CreateAbsent { .. } => "create-absent",
            Event::ResourceReady { .. } => "resource-ready",
            Event::ResourceFailed { .. } => "resource-failed",
            Event::DeleteIntended { .. } => "delete-intended",
            Event::DeleteAccepted { .. } => "delete-accepted",
            Event::DeleteRefused { .. } => "delete-refused",
            Event::ResourceGone { .. } => "resource-gone",
            Event::RollbackStarted { .. } => "rollback-started",
            Event::OperationParked { .. } => "operation-parked",
            Event::OperationUnparked { .. } => "operation-unparked",
            Event::OperationSucceeded { .. } => "operation-succeeded",
            Event::OperationRolledBack => "operation-rolled-back",
            Event::DriftObserved { .. } => "drift-observed",
            Event::KeptAlive { .. } => "kept-alive",
            Event::AccessGranted { .. } => "access-granted",
            Event::ExpiryWarned { .. } => "expiry-warned",
            Event::ExpiryNoticed { .. } => "expiry-noticed",
        }
    }

    /// The node that the event is about, if it is about one.
    #[must_use]
    pub fn node(&self) -> Option<&NodeKey> {
        match self {
            Event::CreateIntended { node, .. }
            | Event::CreateAccepted { node, .. }
            | Event::CreateRefused { node, .. }
            | Event::CreateInDoubt { node, .. }
            | Event::CreateAdopted { node, .. }
            | Event::CreateAbsent { node, .. }
            | Event::ResourceReady { node, .. }
            | Event::ResourceFailed { node, .. }
            | Event::DeleteIntended { node, .. }
            | Event::DeleteAccepted { node, .. }
            | Event::DeleteRefused { node, .. }
            | Event::ResourceGone { node, .. } => Some(node),
            _ => None,
        }
    }

    /// Whether the event records a vote, which may arrive in any phase.
    #[must_use]
    pub fn is_vote(&self) -> bool {
        matches!(
            self,
            Event::ApprovalRecorded { .. } | Event::DenialRecorded { .. } | Event::ApprovalRefused { .. }
        )
    }
}

/// What is appended to the ledger; the ledger adds order and hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened, by the engine's clock.
    pub at: Timestamp,
    /// The environment that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// The operation that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// Fencing token of the lease under which it was written; 0 without one.
    #[serde(default)]
    pub epoch: u64,
    /// What happened.
    pub event: Event,
}

impl Entry {
    /// The canonical form: what is hashed and stored.
    ///
    /// # Errors
    /// When it has none.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        to_canonical_bytes("a ledger entry", self)
    }
}

/// An entry in its place in the hash chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// Hash of the record before it; all zero for the first.
    pub prev: Digest,
    /// Hash over `prev`, `seq` and the entry.
    pub hash: Digest,
    /// What was appended.
    pub entry: Entry,
}

impl Record {
    /// Puts an entry behind the record with hash `prev`.
    ///
    /// # Errors
    /// When the entry has no canonical form.
    pub fn chain(prev: Digest, seq: u64, entry: Entry) -> Result<Self, CanonicalError> {
        let hash = Self::hash_of(prev, seq, &entry)?;
        Ok(Self { seq, prev, hash, entry })
    }

    /// The hash that a record with these parts must have.
    ///
    /// # Errors
    /// When the entry has no canonical form.
    pub fn hash_of(prev: Digest, seq: u64, entry: &Entry) -> Result<Digest, CanonicalError> {
        Ok(Self::hash_of_bytes(prev, seq, &entry.to_bytes()?))
    }

    /// As [`Record::hash_of`], of an entry in canonical form.
    #[must_use]
    pub fn hash_of_bytes(prev: Digest, seq: u64, entry: &[u8]) -> Digest {
        let mut bytes = Vec::with_capacity(40 + entry.len());
        bytes.extend_from_slice(&prev.0);
        bytes.extend_from_slice(&seq.to_be_bytes());
        bytes.extend_from_slice(entry);
        Digest::of("exokit-ledger/v1", &bytes)
    }
}
