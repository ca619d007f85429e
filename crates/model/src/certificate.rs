//! The teardown certificate: proof that nothing was left.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canonical::{CanonicalError, Digest, to_canonical_bytes};
use crate::ids::{EnvironmentName, OperationId, Zone};
use crate::kind::Kind;
use crate::text::ForeignText;

/// Result of one independent listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checked {
    /// What was listed.
    pub kind: Kind,
    /// Where.
    pub zone: Zone,
    /// How many objects the cloud listed in all, ours or not.
    pub listed: u64,
    /// How many of them are ours.
    pub found: u64,
    /// Their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<ForeignText>,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateBody {
    /// The environment that was removed.
    pub environment: EnvironmentName,
    /// The teardown.
    pub operation: OperationId,
    /// Plan of the teardown.
    pub plan_digest: Digest,
    /// When the listing ended.
    pub checked_at: Timestamp,
    /// Ids that the ledger holds for the environment, each looked for in every
    /// list.
    pub recorded_ids: Vec<String>,
    /// Every kind in every zone.
    pub checked: Vec<Checked>,
    /// True when nothing of ours was found anywhere.
    pub clean: bool,
}

impl CertificateBody {
    /// SHA-256 over the canonical form.
    ///
    /// # Errors
    /// When it has no canonical form.
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        Ok(Digest::of("exokit-certificate/v1", &to_canonical_bytes("a certificate", self)?))
    }
}

/// A certificate with the digest over its body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificate {
    /// What it says.
    #[serde(flatten)]
    pub body: CertificateBody,
    /// SHA-256 over the canonical body.
    pub digest: Digest,
}
