//! IAM roles: here one that may use a single bucket and nothing else.

use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::json;

use crate::Predicted;
use crate::ownership::OwnerMark;
use crate::resource_kind::{MarkPlace, ResourceKind, template};

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    mark: MarkPlace::Both,
    compared: &["/name", "/policy", "/labels"],
    ..ResourceKind::new(
        Kind::IamRole,
        "/v2/iam-role",
        "iam-roles",
        ["list-iam-roles", "get-iam-role", "delete-iam-role"],
        Predicted { create_seconds: 2, delete_seconds: 2, gone_seconds: 2 },
    )
};

/// The request that makes a role limited to `bucket`, and its name. The name
/// of a bucket is a slug, so it cannot break out of the expression.
#[must_use]
pub fn create(mark: &OwnerMark, environment: &str, bucket: &str) -> (String, RequestTemplate) {
    let name = mark.name(&format!("{environment}-bucket"));
    let body = json!({
        "name": name,
        "description": mark.description(),
        "editable": false,
        "labels": mark.labels(),
        "policy": {
            "default-service-strategy": "deny",
            "services": {
                "sos": {
                    "type": "rules",
                    "rules": [{"action": "allow", "expression": format!("resources.bucket == '{bucket}'")}],
                },
            },
        },
    });
    (name, template("create-iam-role", Method::Post, KIND.path, Some(body)))
}
