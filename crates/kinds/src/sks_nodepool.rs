//! SKS nodepools. There is no list of them: they stand inside their cluster.

use std::collections::BTreeMap;

use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use exokit_model::spec::NodesSpec;
use serde_json::{Value, json};

use crate::ownership::OwnerMark;
use crate::simple_kind::template;
use crate::sks_cluster::lifecycle;
use crate::{DecodeError, Observed, Predicted, Read, ResourceKind, decode, ownership};

/// The kind.
pub struct SksNodepool;

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

impl SksNodepool {
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
        let mut slots =
            BTreeMap::from([("/security-groups/0/id".to_owned(), request.security_group.clone())]);
        if let Some(group) = request.anti_affinity_group {
            body["anti-affinity-groups"] = json!([{"id": null}]);
            slots.insert("/anti-affinity-groups/0/id".to_owned(), group.clone());
        }
        let path = format!("/v2/sks-cluster/{{{}}}/nodepool", request.cluster);
        RequestTemplate { slots, ..template("create-sks-nodepool", Method::Post, &path, Some(body)) }
    }
}

impl ResourceKind for SksNodepool {
    fn kind(&self) -> Kind {
        Kind::SksNodepool
    }

    fn list(&self) -> Read {
        Read::api("list-sks-clusters", "/v2/sks-cluster")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        let pools = decode::array(body, "sks-clusters")?.iter().map(|cluster| {
            let parent = decode::id(cluster, "id")?;
            decode::array(cluster, "nodepools")?.iter().map(|raw| observe(raw, Some(&parent))).collect()
        });
        pools.collect::<Result<Vec<Vec<_>>, _>>().map(|pools| pools.concat())
    }

    fn get(&self, id: &ResourceId, parent: Option<&ResourceId>) -> Read {
        match parent {
            Some(cluster) => {
                Read::api("get-sks-nodepool", format!("/v2/sks-cluster/{cluster}/nodepool/{id}"))
            }
            None => self.list(),
        }
    }

    fn parse_get(
        &self,
        id: &ResourceId,
        parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        match parent {
            Some(_) => observe(body, parent).map(Some),
            None => Ok(self.parse_list(body)?.into_iter().find(|pool| pool.id == *id)),
        }
    }

    fn delete(&self, parent: Option<&str>, _protected: bool) -> Vec<RequestTemplate> {
        let cluster = parent.unwrap_or("cluster");
        let path = format!("/v2/sks-cluster/{{{cluster}}}/nodepool/{{self}}");
        vec![template("delete-sks-nodepool", Method::Delete, &path, None)]
    }

    fn parent(&self) -> Option<Kind> {
        Some(Kind::SksCluster)
    }

    fn compared(&self) -> &'static [&'static str] {
        &[
            "/name",
            "/size",
            "/disk-size",
            "/instance-type",
            "/security-groups",
            "/anti-affinity-groups",
            "/labels",
        ]
    }

    fn predicted(&self) -> Predicted {
        // Measured in ch-dk-2: 31 s to create.
        Predicted { create_seconds: 31, delete_seconds: 30, gone_seconds: 30 }
    }
}

fn observe(raw: &Value, parent: Option<&ResourceId>) -> Result<Observed, DecodeError> {
    Ok(Observed {
        kind: Kind::SksNodepool,
        id: decode::id(raw, "id")?,
        name: decode::text(raw, "name")?.to_owned(),
        marks: ownership::candidates(raw, ""),
        lifecycle: lifecycle(decode::text_or_empty(raw, "state")),
        created_at: decode::created_at(raw),
        parent: parent.cloned(),
        raw: raw.clone(),
    })
}
