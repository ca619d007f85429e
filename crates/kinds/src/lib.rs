//! The Exoscale resource kinds, sans IO: identity, observe, create, delete,
//! compare.
//!
//! Each kind is one file of the same shape. A kind turns intentions into
//! requests and replies into observations; it never sends anything, so the
//! same code runs against Exoscale, the simulated cloud and a test table.

pub mod anti_affinity_group;
mod api_key;
mod block_snapshot;
mod block_volume;
mod compare;
mod dbaas;
mod decode;
pub mod iam_role;
mod instance;
mod instance_pool;
pub mod load_balancer;
pub mod ownership;
pub mod security_group;
mod security_group_rule;
mod simple_kind;
mod sks_cluster;
mod sks_nodepool;
pub mod sos_bucket;

use exokit_model::graph::Node;
use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Api, RequestTemplate};
use jiff::Timestamp;
use serde_json::Value;

pub use crate::api_key::ApiKey;
pub use crate::compare::FieldDifference;
pub use crate::dbaas::Dbaas;
pub use crate::decode::DecodeError;
pub use crate::security_group_rule::{Peer, RuleSpec, SecurityGroupRule};
pub use crate::sks_cluster::SksCluster;
pub use crate::sks_nodepool::{NodepoolRequest, SksNodepool};
pub use crate::sos_bucket::SosBucket;

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

impl Read {
    fn api(operation: &'static str, path: impl Into<String>) -> Self {
        Self { operation, api: Api::Exoscale, path: path.into() }
    }
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
    /// What it is.
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

/// What the reply to a create request says.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Id of the resource, where the reply says it.
    pub id: Option<ResourceId>,
    /// The cloud's operation, where there is one.
    pub cloud_operation: Option<String>,
    /// A secret that is shown only in this reply.
    pub secret: Option<OneTimeSecret>,
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

/// What exokit must know of a kind.
pub trait ResourceKind: Sync {
    /// Which kind this is.
    fn kind(&self) -> Kind;

    /// The request that lists all resources of the kind in a zone.
    fn list(&self) -> Read;

    /// Reads the reply to [`ResourceKind::list`].
    ///
    /// # Errors
    /// When the reply is not what the API promises.
    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError>;

    /// The request that lists the resources of the kind that are parts of
    /// `parent`, where that is less than [`ResourceKind::list`].
    fn list_in(&self, parent: &ResourceId) -> Option<Read> {
        let _ = parent;
        None
    }

    /// Reads the reply to [`ResourceKind::list_in`].
    ///
    /// # Errors
    /// When the reply is not what the API promises.
    fn parse_list_in(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        self.parse_list(body)
    }

    /// The request that shows one resource.
    fn get(&self, id: &ResourceId, parent: Option<&ResourceId>) -> Read;

    /// Reads the reply to [`ResourceKind::get`]; none when the reply shows
    /// that the resource is not there.
    ///
    /// # Errors
    /// When the reply is not what the API promises.
    fn parse_get(
        &self,
        id: &ResourceId,
        parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError>;

    /// Reads the reply to the create request.
    ///
    /// # Errors
    /// When the reply says neither which resource nor which operation.
    fn accepted(&self, node: &Node, reply: &Value) -> Result<Accepted, DecodeError> {
        let _ = node;
        decode::operation_with_reference(reply)
    }

    /// The requests that remove a resource, in order. `parent` is the key of
    /// the node that the resource is part of.
    fn delete(&self, parent: Option<&str>, protected: bool) -> Vec<RequestTemplate>;

    /// The kind of the resource that this one is part of.
    fn parent(&self) -> Option<Kind> {
        None
    }

    /// Fields of the create body that the cloud shows again and that may
    /// drift, as JSON pointers.
    fn compared(&self) -> &'static [&'static str];

    /// Whether a resource found by its mark after a lost reply can be used.
    /// One whose secret was in the lost reply cannot.
    fn adoptable(&self) -> bool {
        true
    }

    /// Whether the cloud's operation may be ignored and only the resource
    /// watched, because the reply has no usable operation.
    fn watch_resource(&self) -> bool {
        false
    }

    /// Expected durations.
    fn predicted(&self) -> Predicted;

    /// How the cloud differs from what was planned.
    fn compare(&self, planned: &Value, observed: &Observed) -> Vec<FieldDifference> {
        compare::differences(planned, &observed.raw, self.compared())
    }
}

/// The behaviour of a kind.
#[must_use]
pub fn of(kind: Kind) -> &'static dyn ResourceKind {
    match kind {
        Kind::SecurityGroup => &security_group::KIND,
        Kind::SecurityGroupRule => &SecurityGroupRule,
        Kind::AntiAffinityGroup => &anti_affinity_group::KIND,
        Kind::SksCluster => &SksCluster,
        Kind::SksNodepool => &SksNodepool,
        Kind::DbaasPg => &Dbaas::PG,
        Kind::DbaasValkey => &Dbaas::VALKEY,
        Kind::SosBucket => &SosBucket,
        Kind::IamRole => &iam_role::KIND,
        Kind::ApiKey => &ApiKey,
        Kind::LoadBalancer => &load_balancer::KIND,
        Kind::InstancePool => &instance_pool::KIND,
        Kind::Instance => &instance::KIND,
        Kind::BlockVolume => &block_volume::KIND,
        Kind::BlockSnapshot => &block_snapshot::KIND,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_describes_itself() {
        for kind in Kind::ALL {
            assert_eq!(of(kind).kind(), kind);
            assert!(!of(kind).delete(Some("parent"), false).is_empty(), "{kind} cannot be removed");
            assert!(of(kind).predicted().create_seconds > 0);
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
        for kind in Kind::ALL {
            for reply in replies {
                let value: Value = serde_json::from_str(reply).unwrap();
                let _ = of(kind).parse_list(&value);
                let _ = of(kind).parse_get(&id, Some(&id), &value);
            }
        }
    }
}
