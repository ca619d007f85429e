//! The objects of the cluster and the recent changes to them.

use crate::kind::Kind;
use crate::selector::labels;
use crate::value::{at, name, namespace, set};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, OnceLock};

/// Changes that watches can still ask for.
const WINDOW_LENGTH: usize = 128;
/// Changes older than this are forgotten. The real server remembers five
/// minutes; clients here reconnect sooner, and memory counts.
const WINDOW_MS: i64 = 120_000;

/// All objects by kind and key, and a bounded window of changes. The window is
/// not saved: after a restart, watches start over from a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Saved")]
pub(crate) struct Store {
    revision: u64,
    objects: BTreeMap<Kind, BTreeMap<String, Slot>>,
    /// Changes up to this revision are forgotten.
    #[serde(skip)]
    forgotten: u64,
    #[serde(skip)]
    window: VecDeque<Event>,
}

#[derive(Deserialize)]
struct Saved {
    revision: u64,
    objects: BTreeMap<Kind, BTreeMap<String, Slot>>,
}

impl From<Saved> for Store {
    fn from(saved: Saved) -> Self {
        let Saved { revision, objects } = saved;
        Self { revision, objects, forgotten: revision, window: VecDeque::new() }
    }
}

/// An object. One that nobody has read since it was created or restored is kept
/// as text, which takes a tenth of the memory.
#[derive(Clone, Debug)]
struct Slot {
    packed: Box<str>,
    live: OnceLock<Arc<Value>>,
}

impl Slot {
    fn live(object: Arc<Value>) -> Self {
        Self { packed: Box::default(), live: OnceLock::from(object) }
    }

    fn packed(object: &Value) -> Self {
        Self { packed: object.to_string().into_boxed_str(), live: OnceLock::new() }
    }

    fn unpack(&self) -> Value {
        // The text was written from a value.
        serde_json::from_str(&self.packed).unwrap_or_default()
    }

    fn get(&self) -> &Arc<Value> {
        self.live.get_or_init(|| Arc::new(self.unpack()))
    }
}

impl Serialize for Slot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.live.get() {
            Some(object) => object.serialize(serializer),
            None => self.unpack().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Slot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::packed(&Value::deserialize(deserializer)?))
    }
}

/// One change.
#[derive(Clone, Debug)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// Forgets all changes and packs all objects, so that a fresh cluster is
    /// small.
    pub(crate) fn pack(&mut self) {
        self.window.clear();
        self.forgotten = self.revision;
        for slot in self.objects.values_mut().flat_map(BTreeMap::values_mut) {
            *slot = Slot::packed(slot.get());
        }
    }

    pub(crate) fn get(&self, kind: Kind, key: &str) -> Option<&Arc<Value>> {
        self.objects.get(&kind)?.get(key).map(Slot::get)
    }

    pub(crate) fn contains(&self, kind: Kind, key: &str) -> bool {
        self.objects.get(&kind).is_some_and(|objects| objects.contains_key(key))
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
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(|(key, slot)| (key.as_str(), slot.get()))
    }

    /// The objects of a kind in one namespace.
    pub(crate) fn within(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = &Arc<Value>> {
        self.range(kind, Some(namespace), None).map(|(_, object)| object)
    }

    /// All objects of a kind.
    pub(crate) fn all(&self, kind: Kind) -> impl Iterator<Item = &Arc<Value>> {
        self.objects.get(&kind).into_iter().flat_map(BTreeMap::values).map(Slot::get)
    }

    /// Every object.
    pub(crate) fn everything(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.objects.values().flat_map(BTreeMap::values).map(Slot::get)
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
        let old = self.objects.entry(kind).or_default().insert(key, Slot::live(Arc::clone(&object)));
        let change = if old.is_some() { Change::Modified } else { Change::Added };
        let before = old.and_then(|old| selectable_difference(old.get(), &object));
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
        let mut last = Value::clone(old.get());
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
        let now = event.at;
        self.window.push_back(event);
        self.forget_old(now);
    }

    /// Forgets changes that are too old or too many.
    pub(crate) fn forget_old(&mut self, now: i64) {
        let oldest = now - WINDOW_MS;
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
