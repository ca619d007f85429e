//! Instance pools. Those behind nodepools belong to SKS and go with them; here
//! they are observed for the sweep.

use exokit_model::kind::Kind;
use serde_json::Value;

use crate::resource_kind::ResourceKind;
use crate::{Lifecycle, Predicted, decode};

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    lifecycle,
    ..ResourceKind::new(
        Kind::InstancePool,
        "/v2/instance-pool",
        "instance-pools",
        ["list-instance-pools", "get-instance-pool", "delete-instance-pool"],
        Predicted { create_seconds: 30, delete_seconds: 30, gone_seconds: 30 },
    )
};

fn lifecycle(raw: &Value) -> Lifecycle {
    match decode::state(raw) {
        "running" => Lifecycle::Ready,
        "destroying" => Lifecycle::Deleting,
        _ => Lifecycle::Pending,
    }
}
