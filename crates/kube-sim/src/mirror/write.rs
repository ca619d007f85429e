//! What the actors of a mirror change, as requests to the API server.

use super::patch;
use super::{Known, Mirror, Target};
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::objects::is_held;
use crate::store::{key_of, split_key};
use crate::value::{object, place, remove, text, uid};
use http::Method;
use serde_json::{Value, json};

/// A request that changes one object.
#[derive(Clone, Debug)]
pub struct Write {
    target: Target,
    method: Method,
    path: String,
    body: Value,
}

/// What became of a [`Write`].
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The object as the server has it now.
    Present(Value),
    /// The server has no such object.
    Gone,
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

    /// What a successful reply to the write says.
    pub fn outcome(&self, reply: Value) -> Outcome {
        let is_gone = text(&reply, "kind") == "Status"
            || (self.method == Method::DELETE && !is_held(self.target.0, &reply));
        if is_gone { Outcome::Gone } else { Outcome::Present(reply) }
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

fn path_of(kind: Kind, key: &str) -> String {
    let (namespace, name) = split_key(key);
    format!("{}/{name}", collection(kind, namespace))
}

impl Mirror {
    fn push(&mut self, target: Target, method: Method, path: String, body: Value) {
        self.pending.entry(target.clone()).or_default().writes += 1;
        self.writes.push(Write { target, method, path, body });
    }

    /// Whether the server has told of the object, so that its uid is real.
    fn is_confirmed(&self, target: &Target) -> bool {
        matches!(self.known.get(target), Some(Known { exists: true, .. }))
    }
}

impl Cluster {
    /// Takes the writes of the actors, oldest first. Each is reported to
    /// [`Cluster::confirm`].
    pub fn take_writes(&mut self) -> Vec<Write> {
        self.mirror.as_mut().map(|mirror| std::mem::take(&mut mirror.writes)).unwrap_or_default()
    }

    /// Whether there are writes to take.
    pub fn has_writes(&self) -> bool {
        self.mirror.as_ref().is_some_and(|mirror| !mirror.writes.is_empty())
    }

    /// Records the creation of an object, if this is a mirror.
    pub(crate) fn write_creation(&mut self, kind: Kind, new: &Value) {
        let Some(mirror) = &mut self.mirror else { return };
        let mut body = new.clone();
        for field in ["uid", "creationTimestamp", "resourceVersion", "generation"] {
            remove(&mut body, &format!("metadata.{field}"));
        }
        let path = collection(kind, text(new, "metadata.namespace"));
        mirror.push((kind, key_of(new)), Method::POST, path, body);
    }

    /// Records the change of an object, if this is a mirror.
    pub(crate) fn write_change(&mut self, kind: Kind, old: &Value, new: &Value) {
        let Some(mirror) = &mut self.mirror else { return };
        let target = (kind, key_of(new));
        let is_confirmed = mirror.is_confirmed(&target);
        let path = path_of(kind, &target.1);
        for (path, body) in [
            (path.clone(), patch::of_object(old, new)),
            (format!("{path}/status"), patch::of_status(old, new)),
        ] {
            let Some(mut body) = body else { continue };
            if is_confirmed {
                // A precondition: another object may have the name by now.
                object(place(&mut body, "metadata")).insert("uid".to_owned(), json!(uid(new)));
            }
            mirror.push(target.clone(), Method::PATCH, path, body);
        }
    }

    /// Records the deletion of an object, if this is a mirror.
    pub(crate) fn write_deletion(&mut self, kind: Kind, old: &Value, grace_seconds: Option<i64>) {
        let Some(mirror) = &mut self.mirror else { return };
        let target = (kind, key_of(old));
        let mut body = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(seconds) = grace_seconds {
            body["gracePeriodSeconds"] = json!(seconds);
        }
        if mirror.is_confirmed(&target) {
            body["preconditions"] = json!({"uid": uid(old)});
        }
        let path = path_of(kind, &target.1);
        mirror.push(target, Method::DELETE, path, body);
    }
}
