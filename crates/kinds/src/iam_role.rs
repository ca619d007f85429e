//! IAM roles: here one that may use a single bucket and nothing else.

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Method, RequestTemplate};
use serde_json::{Value, json};

use crate::mark::Mark;
use crate::security_group::template;
use crate::{DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, mark};

/// The kind.
pub struct IamRole;

impl IamRole {
    /// The request that makes a role limited to `bucket`, and its name. The
    /// name of a bucket is a slug, so it cannot break out of the expression.
    #[must_use]
    pub fn create(mark: &Mark, environment: &str, bucket: &str) -> (String, RequestTemplate) {
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
        (name, template("create-iam-role", Method::Post, "/v2/iam-role", Some(body)))
    }
}

impl ResourceKind for IamRole {
    fn kind(&self) -> Kind {
        Kind::IamRole
    }

    fn list(&self) -> Read {
        Read::api("list-iam-roles", "/v2/iam-role")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "iam-roles")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api("get-iam-role", format!("/v2/iam-role/{id}"))
    }

    fn parse_get(
        &self,
        _id: &ResourceId,
        _parent: Option<&ResourceId>,
        body: &Value,
    ) -> Result<Option<Observed>, DecodeError> {
        observe(body).map(Some)
    }

    fn delete(&self, _parent: Option<&str>, _protected: bool) -> Vec<RequestTemplate> {
        vec![template("delete-iam-role", Method::Delete, "/v2/iam-role/{self}", None)]
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/name", "/policy", "/labels"]
    }

    fn predicted(&self) -> Predicted {
        Predicted { create_seconds: 2, delete_seconds: 2, gone_seconds: 2 }
    }
}

fn observe(raw: &Value) -> Result<Observed, DecodeError> {
    let name = decode::text(raw, "name")?.to_owned();
    Ok(Observed {
        kind: Kind::IamRole,
        id: decode::id(raw, "id")?,
        marks: mark::candidates(raw, &name),
        name,
        lifecycle: Lifecycle::Ready,
        created_at: decode::created_at(raw),
        parent: None,
        raw: raw.clone(),
    })
}
