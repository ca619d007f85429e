//! Records the changes of actors as requests to the API server.

use super::patch;
use super::request::{Write, collection, path_of};
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::objects::is_held;
use crate::store::key_of;
use crate::value::{object, place, remove, text, uid};
use http::Method;
use serde_json::{Value, json};

/// The result of a [`Write`].
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The object as the server has it now.
    Present(Value),
    /// The server has no such object.
    Gone,
}

impl Write {
    /// The outcome of a write with a successful reply.
    pub fn outcome(&self, reply: Value) -> Outcome {
        let is_gone = text(&reply, "kind") == "Status"
            || (self.method == Method::DELETE && !is_held(self.target.0, &reply));
        if is_gone { Outcome::Gone } else { Outcome::Present(reply) }
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
