//! Instance pools. Those behind nodepools belong to SKS and go with them; here they are observed for the sweep.

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::Value;

use crate::security_group::template;
use crate::{DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, mark};

/// The kind.
pub(crate) struct InstancePool;

impl ResourceKind for InstancePool {
    fn kind(&self) -> Kind {
        Kind::InstancePool
    }

    fn list(&self) -> Read {
        Read::api("list-instance-pools", "/v2/instance-pool")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "instance-pools")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api("get-instance-pool", format!("/v2/instance-pool/{id}"))
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
        vec![template("delete-instance-pool", Method::Delete, "/v2/instance-pool/{self}", None)]
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/name"]
    }

    fn predicted(&self) -> Predicted {
        Predicted { create_seconds: 30, delete_seconds: 30, gone_seconds: 30 }
    }
}

fn observe(raw: &Value) -> Result<Observed, DecodeError> {
    let lifecycle = match decode::text_or_empty(raw, "state") {
        "running" => Lifecycle::Ready,
        "destroying" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    };
    Ok(Observed {
        kind: Kind::InstancePool,
        id: decode::id(raw, "id")?,
        name: decode::text_or_empty(raw, "name").to_owned(),
        marks: mark::candidates(raw, ""),
        lifecycle,
        created_at: decode::created_at(raw),
        parent: None,
        raw: raw.clone(),
    })
}
