//! Watches.

use super::call::Call;
use super::options;
use super::read::Selection;
use super::route::Target;
use super::table;
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::refusal::Refusal;
use crate::store::{Change, Event};
use crate::value::text;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

/// How long a watch lasts that does not say so: half an hour, the shortest that
/// the real server draws.
const DEFAULT_SECONDS: i64 = 1800;
const SECONDS_MAX: i64 = 86_400;
const BOOKMARK_MS: i64 = 60_000;

/// A watch in progress. The owner drains it after each change of the cluster
/// and at [`Watch::next_due_ms`], and closes it at [`Watch::until_ms`].
#[derive(Clone, Debug)]
pub struct Watch {
    kind: Kind,
    namespace: Option<String>,
    name: Option<String>,
    selection: Selection,
    /// Changes up to this revision are delivered.
    revision: u64,
    until_ms: i64,
    bookmarks: bool,
    last_event_ms: i64,
    /// Events that are ready, such as the initial state.
    ready: VecDeque<Bytes>,
    format: table::Format,
    ended: bool,
}

impl Cluster {
    pub(crate) fn start_watch(&self, call: &Call<'_>, target: &Target) -> Result<Watch, Refusal> {
        self.authorize(call.user, "watch", target)?;
        options::check_list(call, true)?;
        let seconds = call.query.get("timeoutSeconds").and_then(|text| text.parse::<i64>().ok());
        let seconds = seconds.filter(|seconds| *seconds > 0).unwrap_or(DEFAULT_SECONDS).min(SECONDS_MAX);
        let wanted = call.query.get("resourceVersion").filter(|version| *version != "0");
        let revision = match wanted {
            Some(text) => text.parse().map_err(|_| Refusal::internal(options::unreadable_version(text)))?,
            None => self.store.revision(),
        };
        let mut watch = Watch {
            kind: target.kind,
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            selection: Selection::of(call, target)?,
            revision,
            until_ms: self.now + seconds * 1000,
            bookmarks: call.query.flag("allowWatchBookmarks"),
            last_event_ms: self.now,
            ready: VecDeque::new(),
            format: table::Format::of(call),
            ended: false,
        };
        let sends_initial = call.query.flag("sendInitialEvents");
        if wanted.is_none() || sends_initial {
            watch.queue_initial(self, sends_initial);
        }
        Ok(watch)
    }
}

impl Watch {
    /// The events since the last call, each one line of JSON.
    pub fn drain(&mut self, cluster: &Cluster) -> Vec<Bytes> {
        let mut out: Vec<Bytes> = self.ready.drain(..).collect();
        if self.ended || self.revision == cluster.store.revision() {
            self.add_bookmark(cluster, &mut out);
            return out;
        }
        match cluster.store.changes_after(self.revision) {
            Some(changes) => {
                let changes = changes.filter(|event| event.kind == self.kind);
                out.extend(changes.filter_map(|event| self.event(cluster, event)));
            }
            None => {
                let message =
                    format!("too old resource version: {} ({})", self.revision, cluster.store.revision());
                out.push(line("ERROR", &Refusal::expired(message).status()));
                self.ended = true;
            }
        }
        self.revision = cluster.store.revision();
        if !out.is_empty() {
            self.last_event_ms = cluster.now;
        }
        self.add_bookmark(cluster, &mut out);
        out
    }

    /// When the watch ends.
    pub fn until_ms(&self) -> i64 {
        if self.ended { self.last_event_ms } else { self.until_ms }
    }

    /// When the watch has something to do although nothing changes: its next
    /// bookmark, or its end.
    pub fn next_due_ms(&self) -> i64 {
        let bookmark = self.last_event_ms + BOOKMARK_MS;
        if self.bookmarks { self.until_ms().min(bookmark) } else { self.until_ms() }
    }

    /// Whether the watch has ended with an error and delivers no more events.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    fn queue_initial(&mut self, cluster: &Cluster, with_mark: bool) {
        let objects = cluster.store.range(self.kind, self.namespace.as_deref(), None);
        let selected: Vec<Arc<Value>> =
            objects.map(|(_, object)| object).filter(|object| self.selects(object)).cloned().collect();
        for object in selected {
            let shown = self.format.shown(self.kind, &object, cluster.now);
            self.ready.push_back(line("ADDED", &shown));
        }
        self.revision = cluster.store.revision();
        if with_mark {
            self.ready.push_back(self.bookmark(true));
        }
    }

    fn selects(&self, object: &Value) -> bool {
        self.is_in_scope(object) && self.selection.selects(object)
    }

    fn is_in_scope(&self, object: &Value) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| text(object, "metadata.namespace") == namespace)
            && self.name.as_deref().is_none_or(|name| text(object, "metadata.name") == name)
    }

    fn event(&self, cluster: &Cluster, event: &Event) -> Option<Bytes> {
        let object = &event.object;
        if !self.is_in_scope(object) {
            return None;
        }
        let is_selected = self.selection.selects(object);
        let was_selected = match event.change {
            Change::Added => false,
            _ => event.before.as_ref().map_or(is_selected, |before| self.selection.selects(before)),
        };
        let kind = match (event.change, was_selected, is_selected) {
            (Change::Deleted, _, true) | (Change::Modified, true, false) => "DELETED",
            (Change::Modified, true, true) => "MODIFIED",
            (Change::Added | Change::Modified, _, true) => "ADDED",
            _ => return None,
        };
        if let (Change::Modified, "DELETED", Some(before)) = (event.change, kind, &event.before) {
            // An object that leaves the selection is shown in its last selected form.
            let mut last = Value::clone(object);
            super::patch::merge(&mut last, before);
            crate::value::set(&mut last, "metadata.labels", crate::selector::labels(before).clone());
            return Some(line(kind, &self.format.shown(self.kind, &Arc::new(last), cluster.now)));
        }
        Some(line(kind, &self.format.shown(self.kind, object, cluster.now)))
    }

    fn add_bookmark(&mut self, cluster: &Cluster, out: &mut Vec<Bytes>) {
        if self.bookmarks && !self.ended && cluster.now - self.last_event_ms >= BOOKMARK_MS {
            self.last_event_ms = cluster.now;
            out.push(self.bookmark(false));
        }
    }

    fn bookmark(&self, is_initial: bool) -> Bytes {
        let info = self.kind.info();
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if is_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        line("BOOKMARK", &json!({"kind": info.name, "apiVersion": info.api_version(), "metadata": metadata}))
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n"))
}
