//! The body of a response that a watch goes on with.
//!
//! Events are taken from the cluster when the connection has sent those before,
//! so a slow client holds one batch. A client that falls behind the history of
//! the cluster gets an error, as from the real server.

use crate::world::{OpenWatch, WatchProgress};
use crate::{SharedWorld, SimError};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;

/// The body of any response.
pub(crate) type ResponseBody = UnsyncBoxBody<Bytes, SimError>;

/// A body that is complete.
pub(crate) fn whole(bytes: Bytes) -> ResponseBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A body that begins with `first` and goes on with the events of a watch until
/// that ends.
pub(crate) fn watching(first: Bytes, watch: OpenWatch, world: SharedWorld) -> ResponseBody {
    let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
    let follower = Follower { watch, changes: world.changes(), world, has_ended: false };
    let events = first.chain(stream::try_unfold(follower, Follower::next));
    StreamBody::new(events.map(|event| event.map(Frame::data))).boxed_unsync()
}

/// Follows a watch.
struct Follower {
    watch: OpenWatch,
    world: SharedWorld,
    changes: watch::Receiver<()>,
    has_ended: bool,
}

impl Follower {
    /// Waits for the next events; none when the watch has ended.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, SimError> {
        while !self.has_ended {
            // Marked before the world is read: no change is missed in between.
            self.changes.borrow_and_update();
            let progress = self.world.with(|world| world.continue_watch(&mut self.watch))?;
            let (events, next_due_ms) = match progress {
                WatchProgress::Continues { events, next_due_ms } => (events, next_due_ms),
                WatchProgress::Ended { events } => {
                    self.has_ended = true;
                    (events, 0)
                }
            };
            if !events.is_empty() {
                return Ok(Some((events, self)));
            }
            if !self.has_ended {
                self.wait(next_due_ms).await;
            }
        }
        Ok(None)
    }

    /// Waits until the world changes, or something is due.
    async fn wait(&mut self, due_ms: i64) {
        let patience = self.world.wait_max(due_ms);
        // Both are reasons to continue; the sender lives as long as the world.
        let _ = tokio::time::timeout(patience, self.changes.changed()).await;
    }
}
