//! Security groups: a name and a description, no labels, no update.

use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::request::{Api, Method, RequestTemplate};
use serde_json::{Value, json};

use crate::mark::Mark;
use crate::{DecodeError, Lifecycle, Observed, Predicted, Read, ResourceKind, decode, mark};

/// The kind.
pub struct SecurityGroup;

impl SecurityGroup {
    /// The request that makes one, and its name.
    #[must_use]
    pub fn create(mark: &Mark, environment: &str) -> (String, RequestTemplate) {
        let name = mark.name(environment);
        let body = json!({"name": name, "description": mark.description()});
        (name, template("create-security-group", Method::Post, "/v2/security-group", Some(body)))
    }
}

/// A request to the Exoscale API without slots in its body.
pub(crate) fn template(operation: &str, method: Method, path: &str, body: Option<Value>) -> RequestTemplate {
    RequestTemplate {
        operation: operation.to_owned(),
        api: Api::Exoscale,
        method,
        path: path.to_owned(),
        body,
        slots: std::collections::BTreeMap::new(),
    }
}

impl ResourceKind for SecurityGroup {
    fn kind(&self) -> Kind {
        Kind::SecurityGroup
    }

    fn list(&self) -> Read {
        Read::api("list-security-groups", "/v2/security-group")
    }

    fn parse_list(&self, body: &Value) -> Result<Vec<Observed>, DecodeError> {
        decode::array(body, "security-groups")?.iter().map(observe).collect()
    }

    fn get(&self, id: &ResourceId, _parent: Option<&ResourceId>) -> Read {
        Read::api("get-security-group", format!("/v2/security-group/{id}"))
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
        vec![template("delete-security-group", Method::Delete, "/v2/security-group/{self}", None)]
    }

    fn compared(&self) -> &'static [&'static str] {
        &["/name", "/description"]
    }

    fn predicted(&self) -> Predicted {
        // The nodes' machines linger for 5 to 10 minutes and keep it busy.
        Predicted { create_seconds: 2, delete_seconds: 450, gone_seconds: 2 }
    }
}

fn observe(raw: &Value) -> Result<Observed, DecodeError> {
    let name = decode::text(raw, "name")?.to_owned();
    Ok(Observed {
        kind: Kind::SecurityGroup,
        id: decode::id(raw, "id")?,
        marks: mark::candidates(raw, &name),
        name,
        lifecycle: Lifecycle::Ready,
        created_at: decode::created_at(raw),
        parent: None,
        raw: raw.clone(),
    })
}
