//! Block storage volumes. The CSI driver makes them without labels and they
//! outlive the cluster, so they are recorded before its nodes go.

use exokit_model::kind::Kind;
use serde_json::Value;

use crate::resource_kind::ResourceKind;
use crate::{Lifecycle, Predicted, decode};

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    lifecycle,
    ..ResourceKind::new(
        Kind::BlockVolume,
        "/v2/block-storage",
        "block-storage-volumes",
        ["list-block-storage-volumes", "get-block-storage-volume", "delete-block-storage-volume"],
        Predicted { create_seconds: 5, delete_seconds: 5, gone_seconds: 5 },
    )
};

fn lifecycle(raw: &Value) -> Lifecycle {
    match decode::state(raw) {
        "detached" | "attached" => Lifecycle::Ready,
        "error" => Lifecycle::Failed,
        "deleting" | "deleted" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}
