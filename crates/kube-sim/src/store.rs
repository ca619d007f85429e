//! The objects of the cluster and the recent changes to them.

use crate::kind::Kind;
use crate::selector::labels;
use crate::value::{at, name, namespace, set};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// Changes that watches can still ask for.
const WINDOW_LENGTH: usize = 256;
/// Changes older than this are forgotten, as the real server does.
const WINDOW_MS: i64 = 300_000;

/// All objects by kind and key, and a bounded window of changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Store {
    revision: u64,
    /// Changes up to this revision are forgotten.
    forgotten: u64,
    objects: BTreeMap<Kind, BTreeMap<String, Arc<Value>>>,
    window: VecDeque<Event>,
}

/// One change.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) revision: u64,
    at: i64,
    pub(crate) kind: Kind,
    pub(crate) change: Change,
    pub(crate) object: Arc<Value>,
    /// The fields that selectors see, before the change, where they differ.
    pub(crate) before: Option<Value>,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// The key of an object in its kind.
pub(crate) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// The key of an object in its kind.
pub(crate) fn key_of(object: &Value) -> String {
    key(namespace(object), name(object))
}

/// The namespace and the name in a key.
pub(crate) fn split_key(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { revision: 1, forgotten: 0, objects: BTreeMap::new(), window: VecDeque::new() }
    }

    /// The revision of the last change.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The changes after a revision, or `None` when some are forgotten.
    pub(crate) fn changes_after(&self, revision: u64) -> Option<impl Iterator<Item = &Event>> {
        let start = self.window.partition_point(|event| event.revision <= revision);
        (revision >= self.forgotten).then(|| self.window.range(start..))
    }

    /// Forgets all changes, so that a fresh cluster is small.
    pub(crate) fn clear_window(&mut self) {
        self.window.clear();
        self.forgotten = self.revision;
    }

    pub(crate) fn get(&self, kind: Kind, key: &str) -> Option<&Arc<Value>> {
        self.objects.get(&kind)?.get(key)
    }

    pub(crate) fn contains(&self, kind: Kind, key: &str) -> bool {
        self.get(kind, key).is_some()
    }

    /// The objects of a kind in the order of their keys, of one namespace or of
    /// all, after the key `after`.
    pub(crate) fn range<'a>(
        &'a self,
        kind: Kind,
        namespace: Option<&str>,
        after: Option<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a Arc<Value>)> {
        let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        let start = match after {
            Some(after) if after >= prefix.as_str() => Bound::Excluded(after.to_owned()),
            _ => Bound::Included(prefix.clone()),
        };
        self.objects
            .get(&kind)
            .into_iter()
            .flat_map(move |objects| objects.range((start.clone(), Bound::Unbounded)))
            .map(|(key, object)| (key.as_str(), object))
            .take_while(move |(key, _)| key.starts_with(&prefix))
    }

    /// The objects of a kind in one namespace.
    pub(crate) fn within(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = &Arc<Value>> {
        self.range(kind, Some(namespace), None).map(|(_, object)| object)
    }

    /// All objects of a kind.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &Arc<Value>> {
        self.objects.get(&kind).into_iter().flat_map(BTreeMap::values)
    }

    /// Every object.
    pub(crate) fn everything(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.objects.values().flat_map(BTreeMap::values)
    }

    /// The number of objects of a kind in a namespace.
    pub(crate) fn count(&self, kind: Kind, namespace: &str) -> usize {
        self.within(kind, namespace).count()
    }

    /// Adds or replaces an object, and returns it with its new version.
    pub(crate) fn put(&mut self, now: i64, kind: Kind, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        set(&mut object, "metadata.resourceVersion", self.revision.to_string());
        let key = key_of(&object);
        let object = Arc::new(object);
        let old = self.objects.entry(kind).or_default().insert(key, Arc::clone(&object));
        let change = if old.is_some() { Change::Modified } else { Change::Added };
        let before = old.and_then(|old| selectable_difference(&old, &object));
        self.record(Event {
            revision: self.revision,
            at: now,
            kind,
            change,
            object: Arc::clone(&object),
            before,
        });
        object
    }

    /// Removes an object, and returns it with the version of its removal.
    pub(crate) fn remove(&mut self, now: i64, kind: Kind, key: &str) -> Option<Arc<Value>> {
        let old = self.objects.get_mut(&kind)?.remove(key)?;
        self.revision += 1;
        let mut last = Value::clone(&old);
        set(&mut last, "metadata.resourceVersion", self.revision.to_string());
        let object = Arc::new(last);
        let event = Event {
            revision: self.revision,
            at: now,
            kind,
            change: Change::Deleted,
            object: Arc::clone(&object),
            before: None,
        };
        self.record(event);
        Some(object)
    }

    fn record(&mut self, event: Event) {
        let oldest = event.at - WINDOW_MS;
        self.window.push_back(event);
        while self.window.len() > WINDOW_LENGTH || self.window.front().is_some_and(|event| event.at < oldest)
        {
            if let Some(event) = self.window.pop_front() {
                self.forgotten = event.revision;
            }
        }
    }
}

/// The fields of `old` that selectors see, if they differ from those of `new`.
fn selectable_difference(old: &Value, new: &Value) -> Option<Value> {
    const PATHS: [&str; 4] = ["spec.nodeName", "status.phase", "status.podIP", "spec.unschedulable"];
    let is_same = labels(old) == labels(new) && PATHS.iter().all(|path| at(old, path) == at(new, path));
    if is_same {
        return None;
    }
    let mut before =
        json!({"metadata": {"name": name(old), "namespace": namespace(old), "labels": labels(old)}});
    for path in PATHS {
        if !at(old, path).is_null() {
            set(&mut before, path, at(old, path).clone());
        }
    }
    Some(before)
}
