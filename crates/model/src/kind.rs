//! The kinds of cloud resource that exokit knows.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A type of resource: of the cloud, or inside a Kubernetes cluster. Its
/// behaviour is in `exokit-kinds`.
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
    /// A Kubernetes namespace.
    Namespace,
    /// Limits on the sum of what a namespace uses.
    ResourceQuota,
    /// Limits and defaults of each container of a namespace.
    LimitRange,
    /// The identity of pods.
    ServiceAccount,
    /// Rights inside a namespace.
    Role,
    /// Who has a role.
    RoleBinding,
    /// Settings for pods.
    ConfigMap,
    /// Secret settings for pods.
    Secret,
    /// Which traffic pods may send and receive.
    NetworkPolicy,
    /// A claim for a block storage volume.
    PersistentVolumeClaim,
    /// A number of equal pods.
    Deployment,
    /// A stable address of pods; of type `LoadBalancer` also from outside.
    Service,
    /// Routes from host names to services.
    Ingress,
    /// Scales a deployment with its load.
    HorizontalPodAutoscaler,
    /// How many pods must stay up while nodes are drained.
    PodDisruptionBudget,
}

impl Kind {
    /// Every kind of the cloud, in the order in which the sweep lists them.
    pub const CLOUD: [Kind; 15] = [
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

    /// Every kind inside a Kubernetes cluster.
    pub const KUBERNETES: [Kind; 15] = [
        Kind::Namespace,
        Kind::ResourceQuota,
        Kind::LimitRange,
        Kind::ServiceAccount,
        Kind::Role,
        Kind::RoleBinding,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::NetworkPolicy,
        Kind::PersistentVolumeClaim,
        Kind::Deployment,
        Kind::Service,
        Kind::Ingress,
        Kind::HorizontalPodAutoscaler,
        Kind::PodDisruptionBudget,
    ];

    /// Whether a resource of this kind is an object of a Kubernetes cluster.
    #[must_use]
    pub fn is_kubernetes(self) -> bool {
        Self::KUBERNETES.contains(&self)
    }

    /// Whether objects of this kind have nothing outside of their cluster, so
    /// that they are gone with it and need no request of their own. Others have
    /// a load balancer or a volume, or pods that use one.
    #[must_use]
    pub fn goes_with_cluster(self) -> bool {
        let has_more = matches!(self, Kind::Deployment | Kind::Service | Kind::PersistentVolumeClaim);
        self.is_kubernetes() && !has_more
    }

    /// Whether deleting a resource of this kind destroys data of a user.
    #[must_use]
    pub fn holds_data(self) -> bool {
        matches!(
            self,
            Kind::DbaasPg
                | Kind::DbaasValkey
                | Kind::SosBucket
                | Kind::BlockVolume
                | Kind::BlockSnapshot
                | Kind::PersistentVolumeClaim
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
