//! Anti-affinity groups: keep the machines of a nodepool on different hosts.

use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::json;

use crate::Predicted;
use crate::ownership::OwnerMark;
use crate::resource_kind::{MarkPlace, ResourceKind, template};

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    mark: MarkPlace::Both,
    compared: &["/name", "/description"],
    ..ResourceKind::new(
        Kind::AntiAffinityGroup,
        "/v2/anti-affinity-group",
        "anti-affinity-groups",
        ["list-anti-affinity-groups", "get-anti-affinity-group", "delete-anti-affinity-group"],
        // The nodes' machines linger for 5 to 10 minutes and keep it busy.
        Predicted { create_seconds: 2, delete_seconds: 450, gone_seconds: 2 },
    )
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
