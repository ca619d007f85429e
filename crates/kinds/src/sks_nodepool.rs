//! SKS nodepools. There is no list of them: they stand inside their cluster.

use std::collections::BTreeMap;

use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use exokit_model::spec::NodesSpec;
use serde_json::json;

use crate::ownership::OwnerMark;
use crate::resource_kind::{MarkPlace, ResourceKind, template};
use crate::{Predicted, sks_cluster};

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    list: sks_cluster::KIND.list,
    mark: MarkPlace::NamedText,
    lifecycle: sks_cluster::lifecycle,
    compared: &[
        "/name",
        "/size",
        "/disk-size",
        "/instance-type",
        "/security-groups",
        "/anti-affinity-groups",
        "/labels",
    ],
    parent: Some(Kind::SksCluster),
    parts_field: "nodepools",
    ..ResourceKind::new(
        Kind::SksNodepool,
        "/v2/sks-cluster/{parent}/nodepool",
        "",
        ["list-sks-clusters", "get-sks-nodepool", "delete-sks-nodepool"],
        // Measured in ch-dk-2: 31 s to create.
        Predicted { create_seconds: 31, delete_seconds: 30, gone_seconds: 30 },
    )
};

/// What a nodepool is made from.
#[derive(Debug, Clone, Copy)]
pub struct NodepoolRequest<'a> {
    /// Number, type and disk of the nodes.
    pub nodes: &'a NodesSpec,
    /// Id of the instance type.
    pub instance_type: &'a ResourceId,
    /// Labels of the nodes, beside the mark.
    pub labels: &'a BTreeMap<String, String>,
    /// Node of the cluster.
    pub cluster: &'a NodeKey,
    /// Node of the security group.
    pub security_group: &'a NodeKey,
    /// Node of the anti-affinity group, if there is one.
    pub anti_affinity_group: Option<&'a NodeKey>,
}

/// The request that makes one. Groups are given at creation: later
/// changes would reach only new nodes.
#[must_use]
pub fn create(mark: &OwnerMark, name: &str, request: NodepoolRequest<'_>) -> RequestTemplate {
    let mut labels = request.labels.clone();
    labels.extend(mark.labels());
    let mut body = json!({
        "name": name,
        "size": request.nodes.count,
        "disk-size": request.nodes.disk_gb,
        "instance-type": {"id": request.instance_type},
        "instance-prefix": "pool",
        "security-groups": [{"id": null}],
        "labels": labels,
    });
    let mut slots = BTreeMap::from([("/security-groups/0/id".to_owned(), request.security_group.clone())]);
    if let Some(group) = request.anti_affinity_group {
        body["anti-affinity-groups"] = json!([{"id": null}]);
        slots.insert("/anti-affinity-groups/0/id".to_owned(), group.clone());
    }
    let path = format!("/v2/sks-cluster/{{{}}}/nodepool", request.cluster);
    RequestTemplate { slots, ..template("create-sks-nodepool", Method::Post, &path, Some(body)) }
}
