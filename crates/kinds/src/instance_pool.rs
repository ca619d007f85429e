//! Instance pools. Those behind nodepools belong to SKS and go with them; here
//! they are observed for the sweep.

use exokit_model::kind::Kind;

use crate::simple_kind::SimpleKind;
use crate::{Lifecycle, Predicted};

/// The kind.
pub(crate) const KIND: SimpleKind = SimpleKind {
    kind: Kind::InstancePool,
    path: "/v2/instance-pool",
    list_field: "instance-pools",
    operations: ["list-instance-pools", "get-instance-pool", "delete-instance-pool"],
    marked_name: false,
    lifecycle,
    compared: &["/name"],
    predicted: Predicted { create_seconds: 30, delete_seconds: 30, gone_seconds: 30 },
};

fn lifecycle(state: &str) -> Lifecycle {
    match state {
        "running" => Lifecycle::Ready,
        "destroying" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}
