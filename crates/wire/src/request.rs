//! The bodies of requests. What stands around them is in
//! [`Meta`](crate::envelope::Meta).

use std::collections::BTreeSet;

use exokit_model::access::{AccessTerms, ClusterRole, RecipientKey};
use exokit_model::break_glass::BreakGlass;
use exokit_model::canonical::Digest;
use exokit_model::cost::ApprovalLevel;
use exokit_model::ids::{EnvironmentName, OperationId, PlanId, Zone};
use exokit_model::secret_slot::SecretValue;
use exokit_model::selection::Requirements;
use exokit_model::spec::{AtExpiry, EnvironmentClass, SksLevel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which template satisfies these requirements at the lowest price?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SelectRequest(pub Requirements);

/// What would be done, at what price, and who would have to approve it?
/// Nothing is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PlanRequest {
    /// A new environment.
    Provision(Box<Ask>),
    /// The removal of one.
    Teardown(Removal),
    /// A longer life for one.
    Extend(Extension),
    /// Secrets of one, or a kubeconfig, where that needs approval.
    Access(AccessTo),
}

/// An environment that is asked for: by the name of a template, by
/// requirements of which the cheapest template follows, or by a run file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// A template, such as `T1`, `T1-minimal-test` or `minimal-test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Requirements of the environment. Beside a template they are checked against it.
    #[serde(skip_serializing_if = "is_default")]
    pub requirements: Requirements,
    /// The text of a run file in YAML. It says all of it: only `name`, `zone`,
    /// `ttl_seconds`, `keep_alive_seconds`, `at_expiry`, `level`, `break_glass`
    /// and `class` may stand beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_file: Option<RunFileText>,
    /// Name of the environment; by default `stargate-tN-YYYYMMDD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<EnvironmentName>,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// How much it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<EnvironmentClass>,
    /// Seconds after which it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// It expires earlier when its owner gives no sign of life for so many
    /// seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive_seconds: Option<u64>,
    /// What happens when it expires.
    #[serde(skip_serializing_if = "is_default")]
    pub at_expiry: AtExpiry,
    /// An approval level that is wanted at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<ApprovalLevel>,
    /// Why it may go past a limit of the policy, such as the longest life. Then
    /// its level is 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
    /// Differences from the template.
    #[serde(skip_serializing_if = "is_default")]
    pub shape: Shape,
}

/// A run file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFileText {
    /// Name, for messages.
    pub name: String,
    /// The text.
    pub text: String,
    /// Unknown keys are told instead of refused.
    #[serde(default)]
    pub lenient: bool,
}

/// Differences from a template.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shape {
    /// Project name for display.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Level of the control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sks_level: Option<SksLevel>,
    /// Kubernetes version, such as `1.35`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<String>,
    /// Number of nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,
    /// Size of the nodes, such as `medium`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_size: Option<String>,
    /// Local disk of each node in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_disk_gib: Option<u32>,
    /// Plan of the database, such as `startup-8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_plan: Option<String>,
    /// Size of the block storage in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_gib: Option<u32>,
    /// Container image of the workload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Name of a login to the registry of the image, which the engine's host has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_login: Option<String>,
    /// Host name of the ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Mail address for certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_email: Option<String>,
    /// A `ClusterIssuer` of cert-manager that makes the certificate instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_issuer: Option<String>,
    /// Port of the workload's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Replicas of the workload; where it scales, the least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
}

impl Shape {
    /// The name of the first field that is set.
    #[must_use]
    pub fn first(&self) -> Option<&'static str> {
        let set = [
            ("project", self.project.is_some()),
            ("sks_level", self.sks_level.is_some()),
            ("kubernetes", self.kubernetes.is_some()),
            ("nodes", self.nodes.is_some()),
            ("node_size", self.node_size.is_some()),
            ("node_disk_gib", self.node_disk_gib.is_some()),
            ("database_plan", self.database_plan.is_some()),
            ("volume_gib", self.volume_gib.is_some()),
            ("image", self.image.is_some()),
            ("registry_login", self.registry_login.is_some()),
            ("domain", self.domain.is_some()),
            ("cert_email", self.cert_email.is_some()),
            ("cert_issuer", self.cert_issuer.is_some()),
            ("port", self.port.is_some()),
            ("replicas", self.replicas.is_some()),
        ];
        set.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| name)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The removal of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Removal {
    /// Its name.
    pub environment: EnvironmentName,
}

/// A longer life for an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// Its name.
    pub environment: EnvironmentName,
    /// How many seconds longer it is to live.
    pub ttl_seconds: u64,
    /// Why it may live longer than the policy allows. Then the level is 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// An access that needs approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessTo {
    /// Name of the environment.
    pub environment: EnvironmentName,
    /// What is handed out, and to which key.
    pub terms: AccessTerms,
}

/// A plan as `plan` answered with it, to be recorded now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedPlan {
    /// The canonical text, unaltered.
    pub plan: String,
    /// The agent's mark that the plan is its own.
    pub seal: Digest,
}

/// One approval token, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Tokens {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Default for Tokens {
    fn default() -> Self {
        Tokens::Many(Vec::new())
    }
}

impl Tokens {
    /// The tokens.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        match self {
            Tokens::One(token) => std::slice::from_ref(token),
            Tokens::Many(tokens) => tokens,
        }
    }

    fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

macro_rules! change_request {
    ($(#[$doc:meta])* $name:ident { $(#[$field_doc:meta])* $field:ident: $type:ty }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(#[$field_doc])*
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>,
            /// Or a plan that is recorded already, to be started or approved.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub plan_id: Option<PlanId>,
            /// Or a plan as `plan` answered with it.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub sealed: Option<SealedPlan>,
            /// Approvals of the plan, which are verified like any other.
            #[serde(default, skip_serializing_if = "Tokens::is_empty")]
            pub approval_token: Tokens,
        }
    };
}

change_request!(
    /// Makes an environment: exactly one of `ask`, `plan_id` and `sealed`.
    ProvisionRequest {
        /// What is to be made.
        ask: Box<Ask>
    }
);
change_request!(
    /// Removes an environment: exactly one of `remove`, `plan_id` and `sealed`.
    TeardownRequest {
        /// What is to be removed.
        remove: Removal
    }
);
change_request!(
    /// Lets an environment live longer: exactly one of `extend`, `plan_id` and
    /// `sealed`.
    ExtendRequest {
        /// By how much.
        extend: Extension
    }
);

change_request!(
    /// Asks for an approval of an access: exactly one of `access`, `plan_id` and
    /// `sealed`. Once it is approved, `secrets` or `kubeconfig` hands it out.
    AccessRequest {
        /// What for.
        access: AccessTo
    }
);

/// Secrets of an environment, sealed to a recipient. Each reading is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretsRequest {
    /// Which environment.
    pub environment: EnvironmentName,
    /// Which secrets; without any, all.
    #[serde(default)]
    pub values: BTreeSet<SecretValue>,
    /// The key that the reply is sealed to.
    pub recipient: RecipientKey,
    /// The approved plan for this access, where it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<PlanId>,
}

/// A kubeconfig for an environment's cluster, sealed to a recipient. Each is
/// recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubeconfigRequest {
    /// Which environment.
    pub environment: EnvironmentName,
    /// The rights of its holder.
    #[serde(default)]
    pub role: ClusterRole,
    /// How long it is valid, in seconds; never past the end of the environment.
    pub ttl_seconds: u32,
    /// The key that the reply is sealed to.
    pub recipient: RecipientKey,
    /// The approved plan for this access, where it needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<PlanId>,
}

/// A vote for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// The signed vote, which names the plan by its digest.
    pub approval_token: String,
}

/// A vote against a plan. It is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyRequest {
    /// The signed vote, which names the plan by its digest.
    pub approval_token: String,
}

/// Where does an environment stand?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusRequest {
    /// Its name.
    pub environment: EnvironmentName,
}

/// Which environments are there?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListRequest {
    /// Those of which nothing is left, too.
    #[serde(default)]
    pub all: bool,
    /// Only those whose names come after this one: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<EnvironmentName>,
}

/// A recorded plan with everything that a voter must see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowPlanRequest {
    /// A plan id, the first 8 or more digits of a digest, or an environment
    /// of which the newest plan is meant that waits.
    pub plan: String,
}

/// Who may approve, and under which policy?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RosterRequest {}

/// What happened, in sentences?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryRequest {
    /// Of one environment; otherwise of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
}

/// What was recorded after a point? For those who missed some events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsRequest {
    /// Sequence number of the last record that is known; 0 for none.
    #[serde(default)]
    pub after: u64,
    /// Only those of one environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// Only those of one operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
}

/// The owner of an environment is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepAliveRequest {
    /// Of which environment.
    pub environment: EnvironmentName,
}

/// How does the cloud differ from what was planned?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftRequest {
    /// Of which environment.
    pub environment: EnvironmentName,
}

/// Does an environment keep what its template promised?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyRequest {
    /// Which environment.
    pub environment: EnvironmentName,
}

/// How can an environment be reached?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutputsRequest {
    /// Which environment.
    pub environment: EnvironmentName,
}

/// What carries the agent's mark and belongs to nothing?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrphansRequest {
    /// Zone through which the account is asked; all zones are swept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
}

/// Which operations run, and which may start now?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationsRequest {
    /// Only those whose ids come after this one: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<OperationId>,
}

/// Is everything in order that the agent needs for its work?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DoctorRequest {
    /// Leaves out the checks that send requests to the cloud.
    #[serde(default)]
    pub skip_cloud: bool,
}

/// Which prices are estimates made with?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PricesRequest {}

/// How do the prices in use differ from the public ones?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyPricesRequest {}

/// Is the ledger what was written?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditRequest {
    /// A record that the ledger must have, such as the head of an earlier
    /// export: without one, records cut off at the end are not noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
}

/// A record, by its place in the ledger and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Its sequence number.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
}

/// Which records does the ledger have?
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// Sequence number of the last record that is known: `next` of the page
    /// before; 0 for none.
    #[serde(default)]
    pub after: u64,
}

/// Lets a parked operation go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRequest {
    /// Its environment.
    pub environment: EnvironmentName,
    /// Whether it is to take back what it made instead.
    #[serde(default)]
    pub rollback: bool,
}
