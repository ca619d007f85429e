//! How objects come, change and go, for controllers and for requests.

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::queue::Task;
use crate::store::key_of;
use crate::time::rfc3339;
use crate::value::{at, is_deleting, items, list, namespace, number, place, set, text, uid};
use serde_json::{Value, json};
use std::sync::Arc;

/// The finalizer of a deletion that waits for dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of a deletion that keeps dependents.
pub(crate) const ORPHAN: &str = "orphan";

impl Cluster {
    /// Adds an object. A name that is taken replaces the object, so requests
    /// check first.
    pub(crate) fn create_object(&mut self, kind: Kind, object: Value) -> Arc<Value> {
        let object = self.new_object(kind, object);
        self.write_creation(kind, &object);
        let object = self.store.put(self.now, kind, object);
        self.notify(kind, None, Some(&object));
        object
    }

    /// An object with the metadata of a new one, which is not stored.
    pub(crate) fn new_object(&mut self, kind: Kind, mut object: Value) -> Value {
        let info = kind.info();
        set(&mut object, "apiVersion", info.api_version());
        set(&mut object, "kind", info.name);
        set(&mut object, "metadata.uid", self.rng.uuid());
        set(&mut object, "metadata.creationTimestamp", rfc3339(self.now));
        if info.has_generation {
            set(&mut object, "metadata.generation", 1);
        }
        object
    }

    /// Changes an object, if it exists and the change makes a difference. An
    /// object that is being deleted goes once nothing holds it.
    pub(crate) fn change_object(&mut self, kind: Kind, key: &str, change: impl FnOnce(&mut Value)) {
        let Some(old) = self.store.get(kind, key).map(Arc::clone) else {
            return;
        };
        let mut new = Value::clone(&old);
        change(&mut new);
        self.replace_object(kind, &old, new);
    }

    /// Stores the new form of an object, if it differs from the old form.
    pub(crate) fn replace_object(&mut self, kind: Kind, old: &Arc<Value>, mut new: Value) -> Arc<Value> {
        if **old == new {
            return Arc::clone(old);
        }
        if kind.info().has_generation && is_desire_changed(old, &new) {
            let generation = number(old, "metadata.generation") + 1;
            set(&mut new, "metadata.generation", generation);
        }
        self.write_change(kind, old, &new);
        // The object goes in its old form: its watchers see no update.
        if is_deleting(&new) && !is_held(kind, &new) {
            self.drop_object(kind, &key_of(&new));
            return Arc::new(new);
        }
        let new = self.store.put(self.now, kind, new);
        self.notify(kind, Some(old), Some(&new));
        new
    }

    /// Removes an object at once.
    pub(crate) fn remove_object(&mut self, kind: Kind, key: &str) {
        if let Some(old) = self.store.get(kind, key).map(Arc::clone) {
            self.write_deletion(kind, &old, Some(0));
            self.drop_object(kind, key);
        }
    }

    /// An object is gone.
    pub(crate) fn drop_object(&mut self, kind: Kind, key: &str) {
        if let Some(old) = self.store.remove(self.now, kind, key) {
            self.notify(kind, Some(&old), None);
        }
    }

    /// Deletes an object as a request without options does.
    pub(crate) fn delete_object(&mut self, kind: Kind, key: &str) {
        self.delete_with(kind, key, &Deletion::default());
    }

    /// Deletes an object: at once, or once its finalizers are gone.
    pub(crate) fn delete_with(&mut self, kind: Kind, key: &str, deletion: &Deletion) {
        let Some(old) = self.store.get(kind, key).map(Arc::clone) else {
            return;
        };
        let mut new = Value::clone(&old);
        match deletion.propagation {
            Propagation::Background => {}
            Propagation::Foreground => add_finalizer(&mut new, FOREGROUND),
            Propagation::Orphan => add_finalizer(&mut new, ORPHAN),
        }
        let grace = self.grace_seconds(kind, &new, deletion.grace_seconds);
        if !is_deleting(&new) {
            set(&mut new, "metadata.deletionTimestamp", rfc3339(self.now + grace * 1000));
            if kind != Kind::Namespace {
                set(&mut new, "metadata.deletionGracePeriodSeconds", grace);
            }
            if kind.info().has_generation && number(&new, "metadata.generation") > 0 {
                let generation = number(&new, "metadata.generation") + 1;
                set(&mut new, "metadata.generation", generation);
            }
        } else if grace < number(&new, "metadata.deletionGracePeriodSeconds") {
            set(&mut new, "metadata.deletionTimestamp", rfc3339(self.now + grace * 1000));
            set(&mut new, "metadata.deletionGracePeriodSeconds", grace);
        }
        if kind == Kind::Namespace {
            set(&mut new, "status.phase", "Terminating");
        }
        self.write_deletion(kind, &old, deletion.grace_seconds);
        if !is_held(kind, &new) {
            self.drop_object(kind, key);
            return;
        }
        if *old != new {
            let new = self.store.put(self.now, kind, new);
            self.notify(kind, Some(&old), Some(&new));
        }
        if kind == Kind::Pod && grace > 0 {
            self.stop_pod(key, grace);
        }
    }

    /// Has the kubelet of a deleted pod stop its containers.
    pub(crate) fn stop_pod(&mut self, key: &str, grace_seconds: i64) {
        let limit = u64::try_from(grace_seconds.saturating_mul(1000)).unwrap_or(0);
        let delay = self.rng.between(limit.min(500), limit.min(2000));
        self.schedule(i64::try_from(delay).unwrap_or(0), Task::RemovePod(key.to_owned()));
    }

    /// Seconds that a deleted object has left: only pods on a node have any.
    fn grace_seconds(&self, kind: Kind, object: &Value, wanted: Option<i64>) -> i64 {
        let is_running = kind == Kind::Pod
            && self.store.contains(Kind::Node, text(object, "spec.nodeName"))
            && !["Succeeded", "Failed"].contains(&text(object, "status.phase"));
        if !is_running {
            return 0;
        }
        wanted.unwrap_or_else(|| number(object, "spec.terminationGracePeriodSeconds")).clamp(0, 86_400)
    }

    /// The kinds and keys of the objects that name `owner` as an owner. They are
    /// in the namespace of the owner, or in any if it belongs to the cluster.
    pub(crate) fn dependents(&self, owner_namespace: &str, owner: &str) -> Vec<(Kind, String)> {
        let mut found = Vec::new();
        for info in &crate::kind::KINDS {
            let namespace = Some(owner_namespace).filter(|namespace| !namespace.is_empty());
            if namespace.is_some() && !info.namespaced {
                continue;
            }
            for (key, object) in self.store.range(info.kind, namespace, None) {
                if items(object, "metadata.ownerReferences").iter().any(|o| text(o, "uid") == owner) {
                    found.push((info.kind, key.to_owned()));
                }
            }
        }
        found
    }

    /// The object that a reference to an owner names, if it exists.
    pub(crate) fn owner(&self, dependent: &Value, reference: &Value) -> Option<&Arc<Value>> {
        let kind = Kind::by_name(text(reference, "apiVersion"), text(reference, "kind"))?;
        let space = if kind.info().namespaced { namespace(dependent) } else { "" };
        let owner = self.store.get(kind, &crate::store::key(space, text(reference, "name")))?;
        (uid(owner) == text(reference, "uid")).then_some(owner)
    }
}

/// How to delete an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion {
    pub(crate) propagation: Propagation,
    pub(crate) grace_seconds: Option<i64>,
}

/// What becomes of the dependents of a deleted object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Propagation {
    /// They go after the object.
    #[default]
    Background,
    /// They go before the object.
    Foreground,
    /// They stay, without the owner.
    Orphan,
}

/// Whether anything keeps a deleted object.
pub(crate) fn is_held(kind: Kind, object: &Value) -> bool {
    !items(object, "metadata.finalizers").is_empty()
        || (kind == Kind::Namespace && !items(object, "spec.finalizers").is_empty())
        || (kind == Kind::Pod && number(object, "metadata.deletionGracePeriodSeconds") > 0)
}

/// Whether anything but metadata and status differs.
fn is_desire_changed(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return false;
    };
    let is_desire = |key: &&String| !["metadata", "status"].contains(&key.as_str());
    old.keys().chain(new.keys()).filter(is_desire).any(|key| old.get(key) != new.get(key))
}

pub(crate) fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    items(object, "metadata.finalizers").iter().any(|item| item == finalizer)
}

pub(crate) fn add_finalizer(object: &mut Value, finalizer: &str) {
    if !has_finalizer(object, finalizer) {
        list(place(object, "metadata.finalizers")).push(json!(finalizer));
    }
}

pub(crate) fn remove_finalizer(object: &mut Value, finalizer: &str) {
    if has_finalizer(object, finalizer) {
        let finalizers = list(place(object, "metadata.finalizers"));
        finalizers.retain(|item| item != finalizer);
        if finalizers.is_empty() {
            crate::value::remove(object, "metadata.finalizers");
        }
    }
}

/// A reference to the controller that owns an object.
pub(crate) fn controller_reference(kind: Kind, owner: &Value) -> Value {
    json!({
        "apiVersion": kind.info().api_version(),
        "kind": kind.info().name,
        "name": crate::value::name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// The reference of an object to its controller.
pub(crate) fn controller_of(object: &Value) -> Option<&Value> {
    items(object, "metadata.ownerReferences").iter().find(|owner| at(owner, "controller") == true)
}
