//! What a request requires of a template, and the template that it gets, as
//! data. How one is chosen is in `exokit-core`.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cost::{ApprovalLevel, CostBand, LevelReason};
use crate::ids::{TemplateId, Zone};
use crate::spec::{DatabaseEngine, EnvironmentClass};

/// What a request states. Whatever is absent or false is not required, so a
/// template may have more than was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Requirements {
    /// This very template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// A managed database of this engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseEngine>,
    /// A bucket.
    pub object_storage: bool,
    /// Block storage of at least this many GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_storage_gib: Option<u32>,
    /// Virtual CPUs of each node, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_cpus: Option<u32>,
    /// Memory of each node in GiB, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_memory_gib: Option<u32>,
    /// Virtual CPUs of all nodes together, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cpus: Option<u32>,
    /// Memory of all nodes together in GiB, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_memory_gib: Option<u32>,
    /// Number of nodes, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_min: Option<u32>,
    /// The hardened profile.
    pub isolation: bool,
    /// Grafana, Prometheus and Loki.
    pub observability: bool,
    /// Replicas that always run, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas_min: Option<u32>,
    /// Replicas that it can grow to, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas_max: Option<u32>,
    /// How much the environment matters; raises the level, excludes nothing.
    pub class: EnvironmentClass,
    /// This very zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// Any zone of this country, by its two-letter code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Every one of these platform agents is served.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Seconds that the environment lives; prices it, excludes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Price per hour, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hourly_max: Option<Decimal>,
}

/// The verdict on one template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The template.
    pub template: TemplateId,
    /// Whether it has everything that was required.
    pub satisfied: bool,
    /// The requirements that it fails, in words.
    pub failed: Vec<String>,
    /// Its price per hour.
    pub hourly: Decimal,
}

/// The chosen template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// The template.
    pub template: TemplateId,
    /// Approval level that a provision of it needs, before budget caps per
    /// day, which only the ledger knows.
    pub level: ApprovalLevel,
    /// The rules that set the level.
    pub level_reasons: Vec<LevelReason>,
    /// Cost band.
    pub band: CostBand,
    /// The zone that it would be made in.
    pub zone: Zone,
    /// Price per hour.
    pub hourly: Decimal,
    /// Price for the required time to live, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Decimal>,
    /// Currency of the prices.
    pub currency: String,
    /// The verdict on every template, by id.
    pub explanation: Vec<Verdict>,
}

/// A request that no template satisfies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The template that fails the fewest requirements; then the cheapest,
    /// then the first by id.
    pub nearest: Verdict,
    /// The verdict on every template, by id.
    pub explanation: Vec<Verdict>,
}
