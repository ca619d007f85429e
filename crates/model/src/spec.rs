//! What an environment is: the checked, complete description that a template
//! or a run file resolves to.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{EnvironmentName, TemplateId, Zone};
use crate::text::ForeignText;

/// How much an environment matters. Production raises the approval level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EnvironmentClass {
    /// For tests; the default.
    #[default]
    Test,
    /// For staging.
    Staging,
    /// For production.
    Production,
}

/// A complete description of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentSpec {
    /// Its name.
    pub environment: EnvironmentName,
    /// Project name for display and for the label `stargate.io/project`.
    pub project: String,
    /// How much it matters.
    pub class: EnvironmentClass,
    /// The template that it is, or comes nearest to.
    pub template: TemplateId,
    /// The zone of all zonal resources.
    pub zone: Zone,
    /// The control plane.
    pub cluster: ClusterSpec,
    /// The nodes.
    pub nodes: NodesSpec,
    /// Managed database, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseSpec>,
    /// Object storage bucket, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketSpec>,
    /// Block storage for the workload, if any; made inside Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_storage: Option<BlockStorageSpec>,
    /// What runs on the cluster.
    pub workload: WorkloadSpec,
    /// The restricted profile: TLS only, narrow node ports, clearance label.
    #[serde(default)]
    pub hardened: bool,
    /// Whether Grafana, Prometheus and Loki run in it.
    #[serde(default)]
    pub observability: bool,
    /// Platform agents that it serves, as in the label `agents`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Seconds after which it expires; none means that it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// It expires earlier when its owner has given no sign of life for so many
    /// seconds; none means that no sign is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive_seconds: Option<u64>,
    /// What happens when it expires.
    #[serde(default, skip_serializing_if = "AtExpiry::is_default")]
    pub at_expiry: AtExpiry,
}

/// What happens to an environment that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtExpiry {
    /// A plan to remove it is made, and waits for its own approval.
    #[default]
    Ask,
    /// It is removed. Whoever approves the environment approves that too, at
    /// the level that its removal takes.
    Remove,
}

impl AtExpiry {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Level of an SKS control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SksLevel {
    /// Free, without high availability.
    Starter,
    /// Paid, with high availability.
    Pro,
}

/// The Kubernetes network plug-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cni {
    /// Calico.
    Calico,
    /// Cilium.
    Cilium,
}

/// The name in the API.
impl fmt::Display for SksLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The name in the API.
impl fmt::Display for Cni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The control plane of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterSpec {
    /// Service level.
    pub level: SksLevel,
    /// Network plug-in.
    pub cni: Cni,
    /// Add-ons by their API names, sorted.
    pub addons: Vec<String>,
    /// Kubernetes version; none means the newest that the cloud offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The one nodepool of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodesSpec {
    /// Instance family, such as `standard`.
    pub family: String,
    /// Instance size, at least `small`.
    pub size: String,
    /// Number of nodes.
    pub count: u32,
    /// Local disk of each node in GiB, 20 to 51200.
    pub disk_gb: u32,
    /// Kubernetes labels of the nodes, valid ones only.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Engine of a managed database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseEngine {
    /// PostgreSQL.
    Pg,
    /// Valkey, which replaced Redis.
    Valkey,
}

impl fmt::Display for DatabaseEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A managed database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSpec {
    /// Engine.
    pub engine: DatabaseEngine,
    /// Major version; none means the cloud's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Plan such as `startup-4`.
    pub plan: String,
    /// Whether the cloud refuses to delete it until the flag is taken away.
    pub termination_protection: bool,
}

/// Who may read a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BucketAcl {
    /// Only the owner.
    Private,
    /// Everyone may read.
    PublicRead,
}

/// An object storage bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketSpec {
    /// The bucket is called `<environment>-<suffix>-<mark>`; a slug of at
    /// most 11 characters.
    pub suffix: String,
    /// Who may read it.
    pub acl: BucketAcl,
}

/// Block storage made by a claim inside the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockStorageSpec {
    /// Kubernetes storage class, such as `exoscale-sbs`.
    pub storage_class: String,
    /// Size in GiB.
    pub size_gb: u32,
    /// Kubernetes access mode, such as `ReadWriteOnce`.
    pub access_mode: String,
    /// Where the workload sees it.
    pub mount_path: String,
}

/// What runs on the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Name of Deployment and Service.
    pub service: String,
    /// Container image with tag.
    pub image: String,
    /// Name of the login to the registry of the image, if it takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_login: Option<String>,
    /// Replicas at start.
    pub replicas: u32,
    /// Container port.
    pub port: u16,
    /// Port of the Service.
    pub service_port: u16,
    /// Node port, 30000 to 32767.
    pub node_port: u16,
    /// CPU and memory of each replica.
    pub resources: ResourcesSpec,
    /// Horizontal autoscaling, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingSpec>,
    /// Minimum available replicas of the disruption budget, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_available: Option<u32>,
    /// Whether a load balancer stands before it.
    pub load_balancer: bool,
    /// Ingress, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<IngressSpec>,
}

/// CPU and memory as Kubernetes quantities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourcesSpec {
    /// Guaranteed.
    pub requests: Quantities,
    /// At most.
    pub limits: Quantities,
}

/// A pair of Kubernetes quantities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantities {
    /// CPU, such as `500m`.
    pub cpu: String,
    /// Memory, such as `512Mi`.
    pub memory: String,
}

/// Annotation of a Deployment whose number of pods an autoscaler controls: the
/// autoscaler's minimum. The Deployment is ready with as many.
pub const REPLICAS_AT_LEAST: &str = "stargate.io/replicas-at-least";

/// Horizontal autoscaling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoscalingSpec {
    /// Fewest replicas.
    pub min_replicas: u32,
    /// Most replicas.
    pub max_replicas: u32,
    /// Target CPU use in per cent.
    pub cpu_percent: u32,
    /// Target memory use in per cent.
    pub memory_percent: u32,
}

/// Ingress with optional TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngressSpec {
    /// Ingress class, such as `traefik`.
    pub provider: String,
    /// Whether TLS ends there.
    pub tls: bool,
    /// Host name, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Mail address for certificates, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_email: Option<String>,
    /// A `ClusterIssuer` of cert-manager that makes the certificate instead, if
    /// any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_issuer: Option<String>,
}

/// A change that exokit made to what was asked, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Correction {
    /// Where in the input, such as `node_type_size` or `database.type`.
    pub field: ForeignText,
    /// What stood there.
    pub from: ForeignText,
    /// What is used.
    pub to: ForeignText,
    /// The reason, in words.
    pub why: ForeignText,
}
