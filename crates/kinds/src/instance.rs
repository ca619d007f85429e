//! Virtual machines, observed for the sweep: those of a deleted nodepool linger and keep its groups busy.

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::Value;

use crate::security_group::template;
use crate::{DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, mark};

/// The kind.
pub(crate) struct Instance;

impl ResourceKind for Instance {
    fn kind(&self) -> Kind {
        Kind::Instance
    }

    fn list(&self) -> Read {
        Read::api("list-instances", "/v2/instance")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "instances")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api("get-instance", format!("/v2/instance/{id}"))
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
        vec![template("delete-instance", Method::Delete, "/v2/instance/{self}", None)]
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
        "running" | "stopped" => Lifecycle::Ready,
        "error" => Lifecycle::Failed,
        "destroying" | "destroyed" | "expunging" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    };
    Ok(Observed {
        kind: Kind::Instance,
        id: decode::id(raw, "id")?,
        name: decode::text_or_empty(raw, "name").to_owned(),
        marks: mark::candidates(raw, ""),
        lifecycle,
        created_at: decode::created_at(raw),
        parent: None,
        raw: raw.clone(),
    })
}
