//! Requests to the cloud: as approved in a plan, and as sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::{CanonicalError, Digest, to_canonical_bytes};
use crate::ids::{NodeKey, ResourceId};
use crate::secret_slot::SecretSlot;

/// Which interface a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Api {
    /// The Exoscale API v2, signed with `EXO2-HMAC-SHA256`.
    Exoscale,
    /// Object storage (S3), signed with SigV4.
    Storage,
    /// The API server of a cluster, with a client certificate that the cluster
    /// issues. The first segment of the path is the id of the cluster and
    /// stands for its address, which is known only once the cluster is there.
    Kubernetes,
}

/// Method of a mutating request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH: a server-side apply.
    Patch,
    /// DELETE.
    Delete,
}

impl Method {
    /// The method as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// A mutating request as it stands in a plan.
///
/// It is complete but for slots: places that hold the id of a resource which
/// exists only at run time. A slot can be filled with one checked
/// [`ResourceId`] and nothing else, so filling cannot alter size, type or
/// count of what was approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestTemplate {
    /// The `operationId` of the official OpenAPI document, or for object
    /// storage a name in the same style, such as `create-bucket`.
    pub operation: String,
    /// Where the request goes.
    pub api: Api,
    /// Its method.
    pub method: Method,
    /// Path, with its query where there is one. `{key}` stands for the id of node `key`, `{self}`
    /// for the id of the node that the request belongs to.
    pub path: String,
    /// The body with `null` at each slot; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// JSON pointers into the body, each with the node whose id goes there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slots: BTreeMap<String, NodeKey>,
    /// JSON pointers into the body, each with the secret value that goes there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretSlot>,
}

/// A request ready to be signed and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConcreteRequest {
    /// See [`RequestTemplate::operation`].
    pub operation: String,
    /// Where the request goes.
    pub api: Api,
    /// Its method.
    pub method: Method,
    /// Complete path.
    pub path: String,
    /// Exactly the bytes to send, but for secrets; empty when there is no body.
    pub body: Vec<u8>,
    /// See [`RequestTemplate::secrets`]. They are `null` in the body until it
    /// is sent.
    pub secrets: BTreeMap<String, SecretSlot>,
}

impl ConcreteRequest {
    /// Digest over everything that determines the effect of the request. Of a
    /// secret it covers which one it is, and not its value.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let head = format!("{:?} {} {}\n", self.api, self.method.as_str(), self.path);
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        for (pointer, slot) in &self.secrets {
            bytes.extend_from_slice(format!("\n{pointer} {} {}", slot.node, slot.value).as_bytes());
        }
        Digest::of("exokit-request/v1", &bytes)
    }
}

/// Why a request template could not be made concrete.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// A slot refers to a node whose id is not known.
    #[error("the id of {node:?} is not known yet, {operation} needs it")]
    Unknown {
        /// The operation that needs the id.
        operation: String,
        /// Key of the node, or `self`.
        node: String,
    },
    /// A slot points to a place that is not `null` in the body.
    #[error("{operation} has no empty slot at {pointer:?}")]
    NoSlot {
        /// The operation.
        operation: String,
        /// The JSON pointer.
        pointer: String,
    },
    /// The path has a brace without its partner.
    #[error("{operation} has a malformed path {path:?}")]
    Path {
        /// The operation.
        operation: String,
        /// The path.
        path: String,
    },
    /// The body has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
}

impl RequestTemplate {
    /// Fills the slots.
    ///
    /// # Errors
    /// When an id is missing or the template is malformed.
    pub fn resolve(
        &self,
        own: Option<&ResourceId>,
        id_of: &dyn Fn(&str) -> Option<ResourceId>,
    ) -> Result<ConcreteRequest, ResolveError> {
        let lookup = |node: &str| match node {
            "self" => own.cloned(),
            key => id_of(key),
        };
        let unknown =
            |node: &str| ResolveError::Unknown { operation: self.operation.clone(), node: node.to_owned() };
        let path = self.fill_path(&|node| lookup(node).ok_or_else(|| unknown(node)))?;
        let mut body = self.body.clone();
        for (pointer, node) in &self.slots {
            let id = lookup(node.as_str()).ok_or_else(|| unknown(node.as_str()))?;
            match body.as_mut().and_then(|value| value.pointer_mut(pointer)) {
                Some(slot @ Value::Null) => *slot = Value::String(id.to_string()),
                _ => {
                    return Err(ResolveError::NoSlot {
                        operation: self.operation.clone(),
                        pointer: pointer.clone(),
                    });
                }
            }
        }
        self.check_secrets(body.as_ref())?;
        let body =
            body.map(|value| to_canonical_bytes("a request body", &value)).transpose()?.unwrap_or_default();
        Ok(ConcreteRequest {
            operation: self.operation.clone(),
            api: self.api,
            method: self.method,
            path,
            body,
            secrets: self.secrets.clone(),
        })
    }

    /// Each secret has an empty place in the body.
    fn check_secrets(&self, body: Option<&Value>) -> Result<(), ResolveError> {
        let filled = |pointer: &&String| body.and_then(|body| body.pointer(pointer)) != Some(&Value::Null);
        match self.secrets.keys().find(filled) {
            Some(pointer) => {
                Err(ResolveError::NoSlot { operation: self.operation.clone(), pointer: pointer.clone() })
            }
            None => Ok(()),
        }
    }

    fn fill_path(
        &self,
        lookup: &dyn Fn(&str) -> Result<ResourceId, ResolveError>,
    ) -> Result<String, ResolveError> {
        let malformed = || ResolveError::Path { operation: self.operation.clone(), path: self.path.clone() };
        let mut out = String::with_capacity(self.path.len() + 40);
        let mut rest = self.path.as_str();
        while let Some(open) = rest.find('{') {
            let close = rest[open..].find('}').map(|at| open + at).ok_or_else(malformed)?;
            out.push_str(&rest[..open]);
            out.push_str(lookup(&rest[open + 1..close])?.as_str());
            rest = &rest[close + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret_slot::SecretValue;
    use serde_json::json;

    fn nodepool() -> RequestTemplate {
        RequestTemplate {
            operation: "create-sks-nodepool".into(),
            api: Api::Exoscale,
            method: Method::Post,
            path: "/v2/sks-cluster/{cluster}/nodepool".into(),
            body: Some(json!({"size": 2, "name": "x", "security-groups": [{"id": null}]})),
            slots: [("/security-groups/0/id".to_owned(), "security-group".parse().unwrap())].into(),
            secrets: BTreeMap::new(),
        }
    }

    #[test]
    fn slots_and_path_are_filled_and_the_body_is_canonical() {
        let ids = |node: &str| match node {
            "cluster" => Some("c1".parse().unwrap()),
            "security-group" => Some("s1".parse().unwrap()),
            _ => None,
        };
        let request = nodepool().resolve(None, &ids).unwrap();
        assert_eq!(request.path, "/v2/sks-cluster/c1/nodepool");
        assert_eq!(request.body, br#"{"name":"x","security-groups":[{"id":"s1"}],"size":2}"#);
    }

    #[test]
    fn a_missing_id_or_a_full_slot_is_refused() {
        let none = |_: &str| None;
        assert!(matches!(nodepool().resolve(None, &none), Err(ResolveError::Unknown { .. })));
        let all = |_: &str| Some("x".parse().unwrap());
        let mut full = nodepool();
        full.slots.insert("/size".into(), "cluster".parse().unwrap());
        assert!(matches!(full.resolve(None, &all), Err(ResolveError::NoSlot { .. })));
        let mut secret = nodepool();
        let slot = SecretSlot { node: "database".parse().unwrap(), value: SecretValue::DatabaseUri };
        secret.secrets.insert("/name".into(), slot);
        assert!(matches!(secret.resolve(None, &all), Err(ResolveError::NoSlot { .. })));
    }

    #[test]
    fn the_digest_covers_method_path_and_body() {
        let all = |_: &str| Some("x".parse().unwrap());
        let one = nodepool().resolve(None, &all).unwrap();
        for change in [
            |r: &mut ConcreteRequest| r.path.push('x'),
            |r: &mut ConcreteRequest| r.body.push(b' '),
            |r: &mut ConcreteRequest| r.method = Method::Put,
            |r: &mut ConcreteRequest| r.api = Api::Storage,
            |r: &mut ConcreteRequest| {
                let slot =
                    SecretSlot { node: "database".parse().unwrap(), value: SecretValue::DatabasePassword };
                r.secrets.insert("/data/password".into(), slot);
            },
        ] {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(one.digest(), other.digest());
        }
    }
}
