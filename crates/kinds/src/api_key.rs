//! API keys. The secret is shown once, in the reply to the create request; a
//! key whose reply was lost is useless and is replaced, never adopted.

use exokit_model::ids::NodeKey;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::json;

use crate::ownership::OwnerMark;
use crate::resource_kind::{MarkPlace, ResourceKind, template};
use crate::{Accepted, OneTimeSecret, Predicted, decode};

/// The kind.
pub(crate) const KIND: ResourceKind = ResourceKind {
    id_field: "key",
    mark: MarkPlace::Name,
    compared: &["/name", "/role-id"],
    accepted: |_, reply| {
        let secret = OneTimeSecret(decode::text(reply, "secret")?.to_owned());
        Ok(Accepted { id: Some(decode::id(reply, "key")?), secret: Some(secret), ..Accepted::default() })
    },
    adoptable: false,
    watch_resource: true,
    ..ResourceKind::new(
        Kind::ApiKey,
        "/v2/api-key",
        "api-keys",
        ["list-api-keys", "get-api-key", "delete-api-key"],
        Predicted { create_seconds: 1, delete_seconds: 2, gone_seconds: 2 },
    )
};

/// The request that makes a key with the role of node `role`, and its name.
#[must_use]
pub fn create(mark: &OwnerMark, environment: &str, role: &NodeKey) -> (String, RequestTemplate) {
    let name = mark.name(&format!("{environment}-bucket"));
    let body = json!({"name": name, "role-id": null});
    let mut request = template("create-api-key", Method::Post, KIND.path, Some(body));
    request.slots.insert("/role-id".to_owned(), role.clone());
    (name, request)
}
