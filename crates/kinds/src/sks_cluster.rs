//! SKS clusters: the Kubernetes control plane.

use std::collections::BTreeMap;

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use exokit_model::spec::ClusterSpec;
use serde_json::{Value, json};

use crate::ownership::OwnerMark;
use crate::simple_kind::template;
use crate::{DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, ownership};

/// The kind.
pub struct SksCluster;

impl SksCluster {
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
            "level": cluster.level.as_str(),
            "cni": cluster.cni.as_str(),
            "version": version,
            "addons": cluster.addons,
            "auto-upgrade": false,
            "labels": all,
        });
        template("create-sks-cluster", Method::Post, "/v2/sks-cluster", Some(body))
    }
}

impl ResourceKind for SksCluster {
    fn kind(&self) -> Kind {
        Kind::SksCluster
    }

    fn list(&self) -> Read {
        Read::api("list-sks-clusters", "/v2/sks-cluster")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "sks-clusters")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api("get-sks-cluster", format!("/v2/sks-cluster/{id}"))
    }

    fn parse_get(
        &self,
        _id: &ResourceId,
        _parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        observe(body).map(Some)
    }

    fn delete(&self, _parent: Option<&str>, _protected: bool) -> Vec<RequestTemplate> {
        vec![template("delete-sks-cluster", Method::Delete, "/v2/sks-cluster/{self}", None)]
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/name", "/description", "/level", "/cni", "/version", "/addons", "/auto-upgrade", "/labels"]
    }

    fn predicted(&self) -> Predicted {
        // Measured in ch-dk-2: 90 to 146 s.
        Predicted { create_seconds: 118, delete_seconds: 30, gone_seconds: 30 }
    }
}

/// Where an SKS resource stands, from its `state`. An unknown state counts as
/// pending: it is observed again, and no conclusion is drawn from it.
pub(crate) fn lifecycle(state: &str) -> Lifecycle {
    match state {
        "running" => Lifecycle::Ready,
        "error" | "degraded" => Lifecycle::Failed,
        "deleting" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}

fn observe(raw: &Value) -> Result<Observed, DecodeError> {
    Ok(Observed {
        kind: Kind::SksCluster,
        id: decode::id(raw, "id")?,
        name: decode::text(raw, "name")?.to_owned(),
        // A cluster is named like its environment, so only its label counts.
        marks: ownership::candidates(raw, ""),
        lifecycle: lifecycle(decode::text_or_empty(raw, "state")),
        created_at: decode::created_at(raw),
        parent: None,
        raw: raw.clone(),
    })
}
