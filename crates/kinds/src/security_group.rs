//! Security groups: a name and a description, no labels, no update.

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
        Kind::SecurityGroup,
        "/v2/security-group",
        "security-groups",
        ["list-security-groups", "get-security-group", "delete-security-group"],
        // The nodes' machines linger for 5 to 10 minutes and keep it busy.
        Predicted { create_seconds: 2, delete_seconds: 450, gone_seconds: 2 },
    )
};

/// The request that makes one, and its name.
#[must_use]
pub fn create(mark: &OwnerMark, environment: &str) -> (String, RequestTemplate) {
    let name = mark.name(environment);
    let body = json!({"name": name, "description": mark.description()});
    (name, template("create-security-group", Method::Post, KIND.path, Some(body)))
}
