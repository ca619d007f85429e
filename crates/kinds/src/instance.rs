//! Virtual machines, observed for the sweep: those of a deleted nodepool linger
//! and keep its groups busy.

use exokit_model::kind::Kind;
use serde_json::Value;

use crate::resource_kind::ResourceKind;
use crate::{Lifecycle, Predicted, decode};

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    lifecycle,
    ..ResourceKind::new(
        Kind::Instance,
        "/v2/instance",
        "instances",
        ["list-instances", "get-instance", "delete-instance"],
        Predicted { create_seconds: 30, delete_seconds: 30, gone_seconds: 30 },
    )
};

fn lifecycle(raw: &Value) -> Lifecycle {
    match decode::state(raw) {
        "running" | "stopped" => Lifecycle::Ready,
        "error" => Lifecycle::Failed,
        "destroying" | "destroyed" | "expunging" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}
