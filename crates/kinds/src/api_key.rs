//! API keys. The secret is shown once, in the reply to the create request; a
//! key whose reply was lost is useless and is replaced, never adopted.

use exokit_model::graph::Node;
use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::{Value, json};

use crate::ownership::OwnerMark;
use crate::simple_kind::template;
use crate::{
    Accepted, DecodeError, Lifecycle, Observed, OneTimeSecret, Predicted, Read, ResourceKind, decode,
    ownership,
};

/// The kind.
pub struct ApiKey;

impl ApiKey {
    /// The request that makes a key with the role of node `role`, and its
    /// name.
    #[must_use]
    pub fn create(mark: &OwnerMark, environment: &str, role: &NodeKey) -> (String, RequestTemplate) {
        let name = mark.name(&format!("{environment}-bucket"));
        let body = json!({"name": name, "role-id": null});
        let mut request = template("create-api-key", Method::Post, "/v2/api-key", Some(body));
        request.slots.insert("/role-id".to_owned(), role.clone());
        (name, request)
    }
}

impl ResourceKind for ApiKey {
    fn kind(&self) -> Kind {
        Kind::ApiKey
    }

    fn list(&self) -> Read {
        Read::api("list-api-keys", "/v2/api-key")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "api-keys")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api("get-api-key", format!("/v2/api-key/{id}"))
    }

    fn parse_get(
        &self,
        _id: &ResourceId,
        _parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        observe(body).map(Some)
    }

    fn accepted(&self, _node: &Node, reply: &Value) -> Result<Accepted, DecodeError> {
        let secret = OneTimeSecret(decode::text(reply, "secret")?.to_owned());
        Ok(Accepted { id: Some(decode::id(reply, "key")?), cloud_operation: None, secret: Some(secret) })
    }

    fn delete(&self, _parent: Option<&str>, _protected: bool) -> Vec<RequestTemplate> {
        vec![template("delete-api-key", Method::Delete, "/v2/api-key/{self}", None)]
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/name", "/role-id"]
    }

    fn adoptable(&self) -> bool {
        false
    }

    fn watch_resource(&self) -> bool {
        true
    }

    fn predicted(&self) -> Predicted {
        Predicted { create_seconds: 1, delete_seconds: 2, gone_seconds: 2 }
    }
}

fn observe(raw: &Value) -> Result<Observed, DecodeError> {
    let name = decode::text(raw, "name")?.to_owned();
    let mut shown = raw.clone();
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("secret");
    }
    Ok(Observed {
        kind: Kind::ApiKey,
        id: decode::id(raw, "key")?,
        marks: ownership::candidates(&Value::Null, &name),
        name,
        lifecycle: Lifecycle::Ready,
        created_at: decode::created_at(raw),
        parent: None,
        raw: shown,
    })
}
