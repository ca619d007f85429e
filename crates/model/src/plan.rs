//! The plan: an immutable document that holds everything an operation will do.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::AccessTerms;
use crate::additions::ClusterAdditions;
use crate::break_glass::BreakGlass;
use crate::canonical::{CanonicalError, Digest, to_canonical_bytes};
use crate::cost::{ApprovalLevel, CostBand, CostEstimate, LevelReason};
use crate::graph::Graph;
use crate::ids::{EnvironmentName, NodeKey, PersonId, PlanId, ResourceId, RoleName, TemplateId, Zone};
use crate::kind::Kind;
use crate::spec::{Correction, EnvironmentSpec};
use crate::text::{ForeignText, excerpt};

/// Version of the plan document.
pub const PLAN_SCHEMA: &str = "exokit-plan/v1";

/// What a plan does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Makes an environment.
    Provision,
    /// Removes an environment.
    Teardown,
    /// Lets an environment live longer.
    Extend,
    /// Hands out secrets or a kubeconfig.
    Access,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Something that a plan destroys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destroy {
    /// Key in the plan's graph.
    pub key: NodeKey,
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: ResourceId,
    /// Its name.
    pub name: ForeignText,
    /// Whether data of a user goes with it.
    pub data: bool,
}

/// A plan. Its canonical bytes are what is approved; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_SCHEMA`].
    pub schema: String,
    /// Names the request for this change.
    pub plan_id: PlanId,
    /// What it does.
    pub action: Action,
    /// To which environment.
    pub environment: EnvironmentName,
    /// Who asked for it.
    pub requester: PersonId,
    /// Whose budget it counts against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<RoleName>,
    /// When it was made.
    pub created_at: Timestamp,
    /// After this time it can no longer start.
    pub not_after: Timestamp,
    /// Zone of the zonal resources.
    pub zone: Zone,
    /// The template that the environment is made from or comes nearest to.
    pub template: TemplateId,
    /// Digest of that template.
    pub template_digest: Digest,
    /// The template's default level, which holds for every plan on the
    /// environment.
    pub template_level: ApprovalLevel,
    /// Digest of the price list of the estimate.
    pub price_digest: Digest,
    /// Version of the roster and policy under which the level was computed.
    pub roster_version: u64,
    /// Sequence number of the last event of the environment when the plan was
    /// made; a plan applies only to the state that it was made from.
    pub base_seq: u64,
    /// What the environment is, for a provision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<EnvironmentSpec>,
    /// Every resource with every request body.
    pub graph: Graph,
    /// Estimated cost: of the environment for a provision, of the extra time
    /// for an extension, zero for a teardown and an access.
    pub cost: CostEstimate,
    /// Cost band.
    pub band: CostBand,
    /// Needed approvals.
    pub level: ApprovalLevel,
    /// The rules that set the level.
    pub level_reasons: Vec<LevelReason>,
    /// What it destroys when it succeeds.
    pub destroys: Vec<Destroy>,
    /// Objects that users added to the cluster, which goes.
    #[serde(default, skip_serializing_if = "ClusterAdditions::is_empty")]
    pub additions: ClusterAdditions,
    /// Data-bearing nodes that a rollback of this plan may destroy: only such
    /// as this very operation made.
    pub rollback_destroys: Vec<NodeKey>,
    /// Expected duration along the longest path.
    pub critical_path_seconds: u32,
    /// Changes made to what was asked.
    pub corrections: Vec<Correction>,
    /// How many seconds longer the environment lives, for an extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extend_seconds: Option<u64>,
    /// What it hands out and to whom, for an access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessTerms>,
    /// Why it may go past a limit of the policy; then its level is 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// Why bytes are not a plan that can be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Larger than any plan of exokit: its length in bytes.
    #[error("the plan has {0} bytes, at most {PLAN_BYTES_MAX} are accepted")]
    TooLarge(usize),
    /// Not the JSON of a plan.
    #[error("decoding a plan: {}", excerpt(.0))]
    Decode(#[source] serde_json::Error),
    /// A plan of another version.
    #[error("the plan has schema \"{}\", this program reads {PLAN_SCHEMA:?}", excerpt(.0))]
    Schema(String),
    /// Decodes, but is not in canonical form.
    #[error("the plan is not in canonical form, so its digest would not be unique")]
    NotCanonical,
    /// The graph is malformed.
    #[error("the plan's resource graph is malformed: {0}")]
    Graph(#[from] crate::graph::GraphError),
    /// It cannot be written.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

/// Largest plan that is accepted, in bytes.
const PLAN_BYTES_MAX: usize = 1 << 20;

impl Plan {
    /// The canonical bytes: what is hashed, approved and stored.
    ///
    /// # Errors
    /// When the plan has no canonical form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        to_canonical_bytes("a plan", self)
    }

    /// The digest that approvals are bound to.
    ///
    /// # Errors
    /// When the plan has no canonical form.
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        Ok(Self::digest_of(&self.to_bytes()?))
    }

    /// The digest of canonical plan bytes: plain SHA-256, so that anyone can
    /// check it with standard tools.
    #[must_use]
    pub fn digest_of(bytes: &[u8]) -> Digest {
        use sha2::Digest as _;
        Digest(sha2::Sha256::digest(bytes).into())
    }

    /// Reads a plan strictly: schema, canonical form and graph are checked.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanError> {
        if bytes.len() > PLAN_BYTES_MAX {
            return Err(PlanError::TooLarge(bytes.len()));
        }
        let plan: Plan = serde_json::from_slice(bytes).map_err(PlanError::Decode)?;
        if plan.schema != PLAN_SCHEMA {
            return Err(PlanError::Schema(plan.schema));
        }
        if plan.to_bytes()? != bytes {
            return Err(PlanError::NotCanonical);
        }
        plan.graph.check()?;
        Ok(plan)
    }
}
