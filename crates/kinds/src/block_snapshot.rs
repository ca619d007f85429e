//! Snapshots of block storage volumes.

use exokit_model::kind::Kind;
use serde_json::Value;

use crate::resource_kind::ResourceKind;
use crate::{Lifecycle, Predicted, decode};

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    lifecycle,
    ..ResourceKind::new(
        Kind::BlockSnapshot,
        "/v2/block-storage-snapshot",
        "block-storage-snapshots",
        ["list-block-storage-snapshots", "get-block-storage-snapshot", "delete-block-storage-snapshot"],
        Predicted { create_seconds: 5, delete_seconds: 5, gone_seconds: 5 },
    )
};

fn lifecycle(raw: &Value) -> Lifecycle {
    match decode::state(raw) {
        "created" => Lifecycle::Ready,
        "error" => Lifecycle::Failed,
        "destroying" | "destroyed" | "partially-destroyed" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}
