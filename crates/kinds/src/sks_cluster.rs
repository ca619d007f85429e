//! SKS clusters: the Kubernetes control plane.

use std::collections::BTreeMap;

use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use exokit_model::spec::ClusterSpec;
use serde_json::{Value, json};

use crate::ownership::OwnerMark;
use crate::resource_kind::{MarkPlace, ResourceKind, template};
use crate::{Lifecycle, Predicted, decode};

/// The kind. A cluster is named like its environment, so only its label counts
/// as a mark.
pub(crate) const KIND: ResourceKind = ResourceKind {
    mark: MarkPlace::NamedText,
    lifecycle,
    compared: &["/name", "/description", "/level", "/cni", "/version", "/addons", "/auto-upgrade", "/labels"],
    ..ResourceKind::new(
        Kind::SksCluster,
        "/v2/sks-cluster",
        "sks-clusters",
        ["list-sks-clusters", "get-sks-cluster", "delete-sks-cluster"],
        // Measured in ch-dk-2: 90 to 146 s.
        Predicted { create_seconds: 118, delete_seconds: 30, gone_seconds: 30 },
    )
};

/// The request that makes one. `version` is complete, such as `1.35.1`.
#[must_use]
pub fn create(
    mark: &OwnerMark,
    name: &str,
    cluster: &ClusterSpec,
    version: &str,
    labels: &BTreeMap<String, String>,
) -> RequestTemplate {
    let mut all = labels.clone();
    all.extend(mark.labels());
    let body = json!({
        "name": name,
        "description": format!("Environment {name}, kept by exokit"),
        "level": cluster.level,
        "cni": cluster.cni,
        "version": version,
        "addons": cluster.addons,
        "auto-upgrade": false,
        "labels": all,
    });
    template("create-sks-cluster", Method::Post, KIND.path, Some(body))
}

/// Where an SKS resource stands, from its `state`. An unknown state counts as
/// pending: it is observed again, and no conclusion is drawn from it.
pub(crate) fn lifecycle(raw: &Value) -> Lifecycle {
    match decode::state(raw) {
        "running" => Lifecycle::Ready,
        "error" | "degraded" => Lifecycle::Failed,
        "deleting" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}
