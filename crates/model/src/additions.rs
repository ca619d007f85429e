//! What the users of a cluster added to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::ResourceId;
use crate::kind::Kind;
use crate::text::ForeignText;

/// The most objects that a plan names.
pub const ADDITIONS_MAX: usize = 200;

/// Namespaces, volume claims and services with a load balancer that no plan of
/// exokit made. They go with the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterAdditions {
    /// The objects, at most [`ADDITIONS_MAX`].
    pub objects: Vec<ClusterObject>,
    /// How many more there are.
    #[serde(default)]
    pub more: u64,
    /// Why the cluster could not be asked. Then there may be others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<ForeignText>,
}

impl ClusterAdditions {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.unreadable.is_none()
    }
}

/// An object inside a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterObject {
    /// What it is.
    pub kind: Kind,
    /// Its UID.
    pub id: ResourceId,
    /// Its namespace; empty for a namespace.
    pub namespace: ForeignText,
    /// Its name.
    pub name: ForeignText,
}
