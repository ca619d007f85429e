//! The kinds of cloud resource that exokit knows.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A type of cloud resource. Its behaviour is in `exokit-kinds`, one file each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A security group (organisation-wide).
    SecurityGroup,
    /// One rule of a security group.
    SecurityGroupRule,
    /// An anti-affinity group (organisation-wide).
    AntiAffinityGroup,
    /// An SKS cluster: the Kubernetes control plane.
    SksCluster,
    /// A nodepool of an SKS cluster.
    SksNodepool,
    /// A managed PostgreSQL service.
    DbaasPg,
    /// A managed Valkey service.
    DbaasValkey,
    /// An object storage bucket.
    SosBucket,
    /// An IAM role (organisation-wide).
    IamRole,
    /// An API key that has a role (organisation-wide).
    ApiKey,
    /// A network load balancer.
    LoadBalancer,
    /// An instance pool.
    InstancePool,
    /// A virtual machine.
    Instance,
    /// A block storage volume.
    BlockVolume,
    /// A snapshot of a block storage volume.
    BlockSnapshot,
}

impl Kind {
    /// Every kind, in the order in which the sweep lists them.
    pub const ALL: [Kind; 15] = [
        Kind::LoadBalancer,
        Kind::SksNodepool,
        Kind::InstancePool,
        Kind::Instance,
        Kind::SksCluster,
        Kind::BlockSnapshot,
        Kind::BlockVolume,
        Kind::DbaasPg,
        Kind::DbaasValkey,
        Kind::SosBucket,
        Kind::AntiAffinityGroup,
        Kind::SecurityGroupRule,
        Kind::SecurityGroup,
        Kind::ApiKey,
        Kind::IamRole,
    ];

    /// Whether deleting a resource of this kind destroys data of a user.
    #[must_use]
    pub fn holds_data(self) -> bool {
        matches!(
            self,
            Kind::DbaasPg | Kind::DbaasValkey | Kind::SosBucket | Kind::BlockVolume | Kind::BlockSnapshot
        )
    }

    /// Whether the kind belongs to the organisation and not to one zone.
    #[must_use]
    pub fn is_global(self) -> bool {
        matches!(
            self,
            Kind::SecurityGroup
                | Kind::SecurityGroupRule
                | Kind::AntiAffinityGroup
                | Kind::IamRole
                | Kind::ApiKey
        )
    }
}

/// The name used in output, events and files.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
