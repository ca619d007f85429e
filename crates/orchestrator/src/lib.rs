//! The orchestrator: maps tasks of the platform to requests to the agent, and
//! sends the results back.
//!
//! The orchestrator has no authority: the agent verifies every vote again. It
//! keeps requests that cannot succeed away from the agent, and logs each vote
//! before it forwards it.

mod agent_client;
mod approval_gate;
mod audit_log;
mod connection;
mod event_feed;
mod operation_tracker;
mod router;
mod routes;
mod shared;
mod shutdown;
mod task;
mod task_reply;

use std::sync::Arc;

use async_nats::Event;
use exokit_nats::{Connection, NatsError, flush, round_trip, watch};
use exokit_wire::event::TASK_PREFIX;
use tokio::sync::mpsc;

use crate::event_feed::{EventFeed, FeedReader};
use crate::router::{Router, SERVER_TIMEOUT};
use crate::shared::Shared;
use crate::task::GROUP;

pub use audit_log::AuditLog;
pub use connection::connect;
pub use routes::{Gate, Route, Routes};
pub use shared::{Config, Now};

/// The orchestrator.
pub struct Orchestrator {
    shared: Arc<Shared>,
    router: Router,
    reader: FeedReader,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Orchestrator {
    /// Subscribes to events, then to tasks, so that no event of a task is missed.
    ///
    /// # Errors
    /// When a subject cannot be subscribed to.
    pub async fn open(connection: Connection, config: Config) -> Result<Self, NatsError> {
        let Connection { client, events } = connection;
        let (feed, reader) = EventFeed::open(client.clone()).await?;
        let subject = format!("{TASK_PREFIX}>");
        let subscribed = client.queue_subscribe(subject.clone(), GROUP.to_owned()).await;
        let tasks = subscribed.map_err(|source| NatsError::Subscribe(subject, source))?;
        // A client may send a task as soon as this returns.
        if let Err(error) = round_trip(&client, SERVER_TIMEOUT).await {
            tracing::warn!(%error, "the server has not confirmed the subscriptions yet");
        }
        let shared = Arc::new(Shared::new(client, config, feed));
        Ok(Self { router: Router::new(shared.clone(), tasks), shared, reader, events })
    }

    /// Routes tasks until `stop` completes; then answers those in flight, for
    /// some seconds, and tells the requesters of tracked operations that
    /// tracking ends.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { shared, mut router, reader, events } = self;
        // Events may be missing after a lost connection.
        let watch = watch(events, |is_connected| {
            if is_connected {
                shared.feed.poll_now();
            }
        });
        let background = async { tokio::join!(reader.run(), watch) };
        tokio::select! {
            biased;
            () = router.run(stop) => {}
            _ = background => {}
        }
        flush(&shared.client).await;
    }
}
