//! What oracles read: the journal of mutations and the set of live resources.

use super::{Kind, World};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a request changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing.
    None,
    /// A resource came into being.
    Created {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// A resource was changed.
    Updated {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
    },
    /// A resource was deleted, or its deletion was accepted.
    Deleted {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: String,
    },
}

impl Effect {
    pub(crate) fn created(kind: Kind, id: &str) -> Self {
        let id = id.to_owned();
        Self::Created { kind, id }
    }

    pub(crate) fn updated(kind: Kind, id: &str) -> Self {
        let id = id.to_owned();
        Self::Updated { kind, id }
    }

    pub(crate) fn deleted(kind: Kind, id: &str) -> Self {
        let id = id.to_owned();
        Self::Deleted { kind, id }
    }
}

/// One mutating request, accepted or refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When it was executed.
    pub at_ms: i64,
    /// The operation id.
    pub operation: String,
    /// The HTTP method.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The zone it addressed.
    pub zone: String,
    /// The body; empty for object storage.
    pub body: String,
    /// The API key, if any was given.
    pub key: Option<String>,
    /// The HTTP status decided on (not necessarily delivered).
    pub status: u16,
    /// What it changed.
    pub effect: Effect,
    /// How long the operation that it began takes, as it was drawn: a resource
    /// is usable so many milliseconds after `at_ms`. None when everything
    /// happened at once.
    #[serde(default)]
    pub takes_ms: Option<i64>,
    /// When its signature expires.
    pub request_expires_ms: Option<i64>,
    /// The request id that the event log shows.
    pub request_id: String,
    /// Whether the client got this reply whole.
    pub delivered: bool,
    /// Whether it went to the API server of a cluster, whose changes are not in
    /// the event log of the cloud.
    #[serde(default)]
    pub in_cluster: bool,
    /// Path parameters.
    pub params: BTreeMap<String, String>,
}

/// A resource that exists now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveResource {
    /// Its kind.
    pub kind: Kind,
    /// Its id (name of databases and buckets, key of API keys).
    pub id: String,
    /// Its name, if it has one.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its description, if it has one.
    pub description: String,
    /// Its zone; `None` when organisation-wide.
    pub zone: Option<String>,
    /// When it was made.
    pub created_at_ms: i64,
    /// The resource it belongs to.
    pub parent: Option<String>,
    /// Its state, if it has one.
    pub state: Option<String>,
}

impl World {
    pub(crate) fn record(&mut self, entry: JournalEntry) {
        self.journal.push(Arc::new(entry));
        self.touch();
    }

    pub(crate) fn count_call(&mut self, operation: &str) {
        *self.calls.entry(operation.to_owned()).or_default() += 1;
    }
}
