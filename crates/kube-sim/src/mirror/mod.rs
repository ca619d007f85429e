//! A cluster as the mirror of a real API server.
//!
//! The store of such a cluster holds copies of the server's objects, and only
//! the actors run that a real cluster has outside its control plane: kubelets,
//! cloud controller and CSI driver. What they change is applied to the copy at
//! once and collected as a [`Write`] for the server.
//!
//! An object with writes under way keeps its local form: observations of it wait
//! until the last write is confirmed, so an actor never sees its own change
//! undone by an older event.

mod actors;
mod observe;
mod patch;
mod write;

pub use observe::MirroredKind;
pub use write::{Outcome, Write};

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::settings::Settings;
use observe::Seen;
use std::collections::BTreeMap;

/// An object by kind and key.
pub(crate) type Target = (Kind, String);

/// What a mirror knows beside the copies themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mirror {
    /// Writes that nobody has taken yet, oldest first.
    writes: Vec<Write>,
    /// Objects with writes that are not confirmed.
    pending: BTreeMap<Target, Pending>,
    /// What the server last said of an object.
    known: BTreeMap<Target, Known>,
}

#[derive(Clone, Debug, Default)]
struct Pending {
    writes: usize,
    /// The newest observation that came meanwhile.
    held: Option<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    version: u64,
    exists: bool,
}

impl Cluster {
    /// The mirror of an API server that serves nothing yet. The first writes
    /// create what the actors of a cluster bring with them.
    pub fn mirror(settings: Settings, now_ms: i64) -> Self {
        let mut cluster = Self::empty(settings, now_ms);
        cluster.mirror = Some(Box::default());
        crate::builtins::storage(&mut cluster);
        cluster
    }

    /// Whether the control plane is somewhere else.
    pub(crate) fn is_mirror(&self) -> bool {
        self.mirror.is_some()
    }
}

#[cfg(test)]
mod tests;
