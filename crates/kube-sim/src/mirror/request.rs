//! Requests that change objects of the API server, and their paths.

use crate::kind::Kind;
use crate::store::split_key;
use http::Method;
use serde_json::Value;

/// An object by kind and key.
pub(crate) type Target = (Kind, String);

/// A request that changes one object.
#[derive(Clone, Debug)]
pub struct Write {
    pub(super) target: Target,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Value,
}

impl Write {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, of the object, its kind or a subresource.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The body.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// The type of the body.
    pub fn content_type(&self) -> &'static str {
        match self.method {
            Method::PATCH => "application/strategic-merge-patch+json",
            _ => "application/json",
        }
    }

    /// The path of the object itself.
    pub fn object_path(&self) -> String {
        path_of(self.target.0, &self.target.1)
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }
}

/// The path of all objects of a kind, in one namespace or in all.
pub(super) fn collection(kind: Kind, namespace: &str) -> String {
    let info = kind.info();
    let root = match info.group {
        "" => format!("/api/{}", info.version),
        group => format!("/apis/{group}/{}", info.version),
    };
    match namespace {
        "" => format!("{root}/{}", info.plural),
        namespace => format!("{root}/namespaces/{namespace}/{}", info.plural),
    }
}

pub(super) fn path_of(kind: Kind, key: &str) -> String {
    let (namespace, name) = split_key(key);
    format!("{}/{name}", collection(kind, namespace))
}
