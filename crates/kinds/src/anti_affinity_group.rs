//! Anti-affinity groups: keep the machines of a nodepool on different hosts.

use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::json;

use crate::Predicted;
use crate::ownership::OwnerMark;
use crate::simple_kind::{SimpleKind, always_ready, template};

/// The kind.
pub(crate) const KIND: SimpleKind = SimpleKind {
    kind: Kind::AntiAffinityGroup,
    path: "/v2/anti-affinity-group",
    list_field: "anti-affinity-groups",
    operations: ["list-anti-affinity-groups", "get-anti-affinity-group", "delete-anti-affinity-group"],
    marked_name: true,
    lifecycle: always_ready,
    compared: &["/name", "/description"],
    // The nodes' machines linger for 5 to 10 minutes and keep it busy.
    predicted: Predicted { create_seconds: 2, delete_seconds: 450, gone_seconds: 2 },
};

/// Most machines that one group can hold (measured, not in the API document).
const MEMBERS_MAX: u32 = 8;

/// The request that makes one, and its name; none when the pool is too small
/// to need one or too large for one to hold.
#[must_use]
pub fn create(mark: &OwnerMark, environment: &str, nodes: u32) -> Option<(String, RequestTemplate)> {
    let name = mark.name(environment);
    let body = json!({"name": name, "description": mark.description()});
    let request = template("create-anti-affinity-group", Method::Post, KIND.path, Some(body));
    (2..=MEMBERS_MAX).contains(&nodes).then_some((name, request))
}
