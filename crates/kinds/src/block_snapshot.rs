//! Snapshots of block storage volumes.

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::Value;

use crate::security_group::template;
use crate::{DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, mark};

/// The kind.
pub(crate) struct BlockSnapshot;

impl ResourceKind for BlockSnapshot {
    fn kind(&self) -> Kind {
        Kind::BlockSnapshot
    }

    fn list(&self) -> Read {
        Read::api("list-block-storage-snapshots", "/v2/block-storage-snapshot")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "block-storage-snapshots")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api("get-block-storage-snapshot", format!("/v2/block-storage-snapshot/{id}"))
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
        vec![template(
            "delete-block-storage-snapshot",
            Method::Delete,
            "/v2/block-storage-snapshot/{self}",
            None,
        )]
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/name"]
    }

    fn predicted(&self) -> Predicted {
        Predicted { create_seconds: 5, delete_seconds: 5, gone_seconds: 5 }
    }
}

fn observe(raw: &Value) -> Result<Observed, DecodeError> {
    let lifecycle = match decode::text_or_empty(raw, "state") {
        "created" => Lifecycle::Ready,
        "error" => Lifecycle::Failed,
        "destroying" | "destroyed" | "partially-destroyed" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    };
    Ok(Observed {
        kind: Kind::BlockSnapshot,
        id: decode::id(raw, "id")?,
        name: decode::text_or_empty(raw, "name").to_owned(),
        marks: mark::candidates(raw, ""),
        lifecycle,
        created_at: decode::created_at(raw),
        parent: None,
        raw: raw.clone(),
    })
}
