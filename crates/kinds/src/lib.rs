//! The kinds of resource, sans IO: identity, observe, create, delete, compare.
//!
//! Each Exoscale kind is one file: a constant that describes it and, where exokit
//! makes it, the function `create`. Those of Kubernetes share [`kubernetes`]. A kind turns intentions into requests and replies
//! into observations; it never sends anything, so the same code runs against
//! Exoscale, the simulated cloud and a test table.

pub mod anti_affinity_group;
pub mod api_key;
mod block_snapshot;
mod block_volume;
mod compare;
pub mod dbaas;
mod decode;
pub mod iam_role;
mod instance;
mod instance_pool;
pub mod kubernetes;
pub mod load_balancer;
pub mod ownership;
mod resource_kind;
pub mod security_group;
pub mod security_group_rule;
pub mod sks_cluster;
pub mod sks_nodepool;
pub mod sos_bucket;

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::Api;
use jiff::Timestamp;
use serde_json::Value;

pub use crate::decode::DecodeError;
pub use crate::resource_kind::ResourceKind;

/// A reading request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// `operationId` of the official OpenAPI document, or an S3 action.
    pub operation: &'static str,
    /// Where it goes.
    pub api: Api,
    /// Path with query.
    pub path: String,
}

/// Where a resource stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifecycle {
    /// Being made or changed.
    Pending,
    /// Usable.
    Ready,
    /// In an error state that it does not leave by itself.
    Failed,
    /// Going away.
    Deleting,
}

/// A resource as the cloud shows it. Its debug form does not show the reply,
/// which may hold passwords and addresses with passwords in them.
#[derive(Clone, PartialEq)]
pub struct Observed {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: ResourceId,
    /// Its name; empty where the kind has none.
    pub name: String,
    /// Texts that may be an owner token: from a label, the description or the
    /// end of the name.
    pub marks: Vec<String>,
    /// Where it stands.
    pub lifecycle: Lifecycle,
    /// When it was made, where the cloud says so.
    pub created_at: Option<Timestamp>,
    /// The resource that it is part of.
    pub parent: Option<ResourceId>,
    /// The reply, for comparison.
    pub raw: Value,
}

impl std::fmt::Debug for Observed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed")
            .field("kind", &self.kind)
            .field("id", &self.id)
            .field("name", &self.name)
            .field("lifecycle", &self.lifecycle)
            .finish_non_exhaustive()
    }
}

/// The content of the reply to a create request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accepted {
    /// Id of the resource, where the reply says it.
    pub id: Option<ResourceId>,
    /// The cloud's operation, where there is one.
    pub cloud_operation: Option<String>,
    /// A secret that is shown only in this reply.
    pub secret: Option<OneTimeSecret>,
    /// Whether the reply shows the resource, and that it is ready.
    pub is_ready: bool,
}

/// A secret that the cloud shows once. It has no `Debug` form that reveals it.
#[derive(Clone, PartialEq)]
pub struct OneTimeSecret(String);

impl OneTimeSecret {
    /// The secret itself, to be sealed at once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for OneTimeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OneTimeSecret(..)")
    }
}

/// Expected durations on an idle cloud, from published measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predicted {
    /// From the create request to ready, in seconds.
    pub create_seconds: u32,
    /// From the first delete request to gone, in seconds, with the time for
    /// which the cloud refuses because the resource is still in use.
    pub delete_seconds: u32,
    /// From the accepted delete request to gone, in seconds.
    pub gone_seconds: u32,
}

/// The behaviour of a kind.
#[must_use]
pub fn of(kind: Kind) -> &'static ResourceKind {
    match kind {
        Kind::SecurityGroup => &security_group::KIND,
        Kind::SecurityGroupRule => &security_group_rule::KIND,
        Kind::AntiAffinityGroup => &anti_affinity_group::KIND,
        Kind::SksCluster => &sks_cluster::KIND,
        Kind::SksNodepool => &sks_nodepool::KIND,
        Kind::DbaasPg => &dbaas::PG,
        Kind::DbaasValkey => &dbaas::VALKEY,
        Kind::SosBucket => &sos_bucket::KIND,
        Kind::IamRole => &iam_role::KIND,
        Kind::ApiKey => &api_key::KIND,
        Kind::LoadBalancer => &load_balancer::KIND,
        Kind::InstancePool => &instance_pool::KIND,
        Kind::Instance => &instance::KIND,
        Kind::BlockVolume => &block_volume::KIND,
        Kind::BlockSnapshot => &block_snapshot::KIND,
        Kind::Namespace => &kubernetes::NAMESPACE,
        Kind::ResourceQuota => &kubernetes::RESOURCE_QUOTA,
        Kind::LimitRange => &kubernetes::LIMIT_RANGE,
        Kind::ServiceAccount => &kubernetes::SERVICE_ACCOUNT,
        Kind::Role => &kubernetes::ROLE,
        Kind::RoleBinding => &kubernetes::ROLE_BINDING,
        Kind::ConfigMap => &kubernetes::CONFIG_MAP,
        Kind::Secret => &kubernetes::SECRET,
        Kind::NetworkPolicy => &kubernetes::NETWORK_POLICY,
        Kind::PersistentVolumeClaim => &kubernetes::PERSISTENT_VOLUME_CLAIM,
        Kind::Deployment => &kubernetes::DEPLOYMENT,
        Kind::Service => &kubernetes::SERVICE,
        Kind::Ingress => &kubernetes::INGRESS,
        Kind::HorizontalPodAutoscaler => &kubernetes::HORIZONTAL_POD_AUTOSCALER,
        Kind::PodDisruptionBudget => &kubernetes::POD_DISRUPTION_BUDGET,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_describes_itself() {
        for kind in Kind::CLOUD {
            assert!(!of(kind).delete(Some("parent"), false).is_empty(), "{kind} cannot be removed");
        }
        for kind in Kind::CLOUD.into_iter().chain(Kind::KUBERNETES) {
            assert_eq!(of(kind).kind, kind);
            assert!(of(kind).predicted.create_seconds > 0);
        }
    }

    #[test]
    fn hostile_replies_are_errors_and_never_panics() {
        let replies = [
            "null",
            "[]",
            "{}",
            "42",
            r#"{"sks-clusters":{}}"#,
            r#"{"security-groups":[{"id":"../x"}]}"#,
            r#"{"sks-clusters":[{"id":"a","nodepools":7}]}"#,
            r#"{"id":{}}"#,
            r#"{"dbaas-services":[null]}"#,
        ];
        let id: ResourceId = "a".parse().unwrap();
        for kind in Kind::CLOUD {
            for reply in replies {
                let value: Value = serde_json::from_str(reply).unwrap();
                let _ = of(kind).parse_list(&value);
                let _ = of(kind).parse_get(&id, Some(&id), &value);
            }
        }
    }
}
