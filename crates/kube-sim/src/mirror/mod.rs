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
mod record;
mod request;
pub(crate) mod state;

pub use observe::MirroredKind;
pub use record::Outcome;
pub use request::Write;

use crate::cluster::Cluster;
use crate::settings::Settings;

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
