//! Snapshots of block storage volumes.

use exokit_model::kind::Kind;

use crate::simple_kind::SimpleKind;
use crate::{Lifecycle, Predicted};

/// The kind.
pub(crate) const KIND: SimpleKind = SimpleKind {
    kind: Kind::BlockSnapshot,
    path: "/v2/block-storage-snapshot",
    list_field: "block-storage-snapshots",
    operations: [
        "list-block-storage-snapshots",
        "get-block-storage-snapshot",
        "delete-block-storage-snapshot",
    ],
    marked_name: false,
    lifecycle,
    compared: &["/name"],
    predicted: Predicted { create_seconds: 5, delete_seconds: 5, gone_seconds: 5 },
};

fn lifecycle(state: &str) -> Lifecycle {
    match state {
        "created" => Lifecycle::Ready,
        "error" => Lifecycle::Failed,
        "destroying" | "destroyed" | "partially-destroyed" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}
