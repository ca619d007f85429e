//! The state of a mirror beside the copies of the objects.

use super::request::{Target, Write};
use http::Method;
use serde_json::Value;
use std::collections::BTreeMap;

/// The state of a mirror beside the copies themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirror {
    /// Writes that nobody has taken yet, oldest first.
    pub(super) writes: Vec<Write>,
    /// Objects with writes that are not confirmed.
    pub(super) pending: BTreeMap<Target, Pending>,
    /// The last observation of each object.
    pub(super) known: BTreeMap<Target, Known>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub(super) writes: usize,
    /// The newest observation that came meanwhile.
    pub(super) held: Option<Seen>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) version: u64,
    pub(super) exists: bool,
}

/// An observation of one object.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) version: u64,
    /// Absent: the object is gone.
    pub(super) object: Option<Value>,
}

impl Mirror {
    pub(super) fn push(&mut self, target: Target, method: Method, path: String, body: Value) {
        self.pending.entry(target.clone()).or_default().writes += 1;
        self.writes.push(Write { target, method, path, body });
    }

    /// Whether the server has told of the object, so that its uid is real.
    pub(super) fn is_confirmed(&self, target: &Target) -> bool {
        matches!(self.known.get(target), Some(Known { exists: true, .. }))
    }
}
