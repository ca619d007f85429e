//! What a new environment is to be, as it is asked for.

use exokit_model::break_glass::BreakGlass;
use exokit_model::cost::ApprovalLevel;
use exokit_model::ids::{EnvironmentName, Zone};
use exokit_model::selection::Requirements;
use exokit_model::spec::{AtExpiry, EnvironmentClass, SksLevel};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An environment that is asked for: by the name of a template, by
/// requirements of which the cheapest template follows, or by a run file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ask {
    /// A template, such as `T1`, `T1-minimal-test` or `minimal-test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// What it must have. Beside a template they are checked against it.
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
    /// What differs from the template.
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

/// What differs from the template.
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
    /// Host name of the ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Mail address for certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_email: Option<String>,
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
            ("domain", self.domain.is_some()),
            ("cert_email", self.cert_email.is_some()),
        ];
        set.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| name)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
