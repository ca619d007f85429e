//! Observations of the API server: lists, events and replies to writes.

use super::record::Outcome;
use super::request::{Target, Write, collection};
use super::state::{Known, Seen};
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::store::key_of;
use crate::value::{remove, set, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// The kinds that the actors read, and that visits from outside need.
const FOLLOWED: [Kind; 10] = [
    Kind::Node,
    Kind::StorageClass,
    Kind::ConfigMap,
    Kind::Secret,
    Kind::PersistentVolume,
    Kind::PersistentVolumeClaim,
    Kind::VolumeAttachment,
    Kind::Service,
    Kind::Ingress,
    Kind::Pod,
];

/// A kind of object that a mirror follows by list and watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirroredKind(Kind);

impl MirroredKind {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        FOLLOWED.into_iter().map(Self)
    }

    /// The path to list and watch.
    pub fn path(self) -> String {
        collection(self.0, "")
    }
}

/// The version of an object, which the API server counts up.
fn version(object: &Value) -> u64 {
    text(object, "metadata.resourceVersion").parse().unwrap_or(0)
}

impl Cluster {
    /// Takes a complete list of a kind. `version` is that of the list.
    pub fn observe_list(&mut self, now_ms: i64, kind: MirroredKind, items: Vec<Value>, version_of_list: u64) {
        self.advance(now_ms);
        let kind = kind.0;
        let mut listed = BTreeSet::new();
        for item in items {
            listed.insert(key_of(&item));
            self.see((kind, key_of(&item)), Seen { version: version(&item), object: Some(item) });
        }
        let missing: Vec<String> = self
            .store
            .range(kind, None, None)
            .map(|(key, _)| key.to_owned())
            .filter(|key| !listed.contains(key))
            .collect();
        for key in missing {
            self.see((kind, key), Seen { version: version_of_list, object: None });
        }
    }

    /// Takes an event of a watch: its type, and the object.
    pub fn observe(&mut self, now_ms: i64, kind: MirroredKind, event: &str, object: Value) {
        self.advance(now_ms);
        let (target, version) = ((kind.0, key_of(&object)), version(&object));
        match event {
            "ADDED" | "MODIFIED" => self.see(target, Seen { version, object: Some(object) }),
            "DELETED" => self.see(target, Seen { version, object: None }),
            _ => {}
        }
    }

    /// Takes what became of a write.
    pub fn confirm(&mut self, now_ms: i64, write: &Write, outcome: Outcome) {
        self.advance(now_ms);
        let target = write.target().clone();
        let Some(mirror) = &mut self.mirror else { return };
        let Some(pending) = mirror.pending.get_mut(&target) else { return };
        pending.writes = pending.writes.saturating_sub(1);
        let reply = match outcome {
            Outcome::Present(object) => Seen { version: version(&object), object: Some(object) },
            Outcome::Gone => {
                Seen { version: mirror.known.get(&target).map_or(0, |known| known.version), object: None }
            }
        };
        let newest = match pending.held.take() {
            Some(held) if held.version > reply.version => held,
            _ => reply,
        };
        if pending.writes > 0 {
            pending.held = Some(newest);
            return;
        }
        mirror.pending.remove(&target);
        self.accept(target, newest);
    }

    fn see(&mut self, target: Target, seen: Seen) {
        let Some(mirror) = &mut self.mirror else { return };
        if let Some(pending) = mirror.pending.get_mut(&target) {
            if pending.held.as_ref().is_none_or(|held| held.version < seen.version) {
                pending.held = Some(seen);
            }
            return;
        }
        if mirror.known.get(&target).is_none_or(|known| known.version < seen.version) {
            self.accept(target, seen);
        }
    }

    /// Makes the copy what was seen, and tells the actors.
    fn accept(&mut self, (kind, key): Target, seen: Seen) {
        if let Some(mirror) = &mut self.mirror {
            let known = Known { version: seen.version, exists: seen.object.is_some() };
            mirror.known.insert((kind, key.clone()), known);
        }
        let Some(mut object) = seen.object else {
            return self.drop_object(kind, &key);
        };
        // Items of lists have neither.
        set(&mut object, "apiVersion", kind.info().api_version());
        set(&mut object, "kind", kind.info().name);
        remove(&mut object, "metadata.managedFields");
        let old = self.store.get(kind, &key).cloned();
        let new = self.store.put(self.now, kind, object);
        self.notify(kind, old.as_deref(), Some(&new));
    }
}
