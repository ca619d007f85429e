//! Security groups: a name and a description, no labels, no update.

use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::json;

use crate::Predicted;
use crate::ownership::OwnerMark;
use crate::simple_kind::{SimpleKind, always_ready, template};

/// The kind.
pub(crate) const KIND: SimpleKind = SimpleKind {
    kind: Kind::SecurityGroup,
    path: "/v2/security-group",
    list_field: "security-groups",
    operations: ["list-security-groups", "get-security-group", "delete-security-group"],
    marked_name: true,
    lifecycle: always_ready,
    compared: &["/name", "/description"],
    // The nodes' machines linger for 5 to 10 minutes and keep it busy.
    predicted: Predicted { create_seconds: 2, delete_seconds: 450, gone_seconds: 2 },
};

/// The request that makes one, and its name.
#[must_use]
pub fn create(mark: &OwnerMark, environment: &str) -> (String, RequestTemplate) {
    let name = mark.name(environment);
    let body = json!({"name": name, "description": mark.description()});
    (name, template("create-security-group", Method::Post, KIND.path, Some(body)))
}
