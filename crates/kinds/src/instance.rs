//! Virtual machines, observed for the sweep: those of a deleted nodepool linger
//! and keep its groups busy.

use exokit_model::kind::Kind;

use crate::simple_kind::SimpleKind;
use crate::{Lifecycle, Predicted};

/// The kind.
pub(crate) const KIND: SimpleKind = SimpleKind {
    kind: Kind::Instance,
    path: "/v2/instance",
    list_field: "instances",
    operations: ["list-instances", "get-instance", "delete-instance"],
    marked_name: false,
    lifecycle,
    compared: &["/name"],
    predicted: Predicted { create_seconds: 30, delete_seconds: 30, gone_seconds: 30 },
};

fn lifecycle(state: &str) -> Lifecycle {
    match state {
        "running" | "stopped" => Lifecycle::Ready,
        "error" => Lifecycle::Failed,
        "destroying" | "destroyed" | "expunging" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}
