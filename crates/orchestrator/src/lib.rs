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
mod shutdown;
mod task;
mod task_reply;

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Event};
use exokit_approval::keys::PublicKey;
use exokit_nats::{Connection, NatsError, flush, round_trip, watch};
use exokit_wire::task::TASK_PREFIX;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};

use crate::event_feed::{EventFeed, FeedReader};
use crate::router::Router;

pub use audit_log::AuditLog;
pub use connection::connect;
pub use routes::{Gate, Route, Routes};

/// Queue group that the replicas of the orchestrator share.
const GROUP: &str = "orchestrator";

/// Most tasks that wait for an answer at once; more are refused.
const TASKS_MAX: usize = 1_000;

/// Most operations that are tracked at once. Each takes some memory, and nothing
/// of the server.
const TRACKED_MAX: usize = 10_000;

/// Most updates in flight. Each takes a subscription, of which the server allows
/// 256.
const UPDATES_MAX: usize = 32;

/// Most requests at once for recorded events.
const HISTORY_REQUESTS_MAX: usize = 16;

/// Longest wait for the server.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);

/// The time of day.
pub type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// How the orchestrator routes.
pub struct Config {
    /// The routing table.
    pub routes: Routes,
    /// Public key of the signer of rosters. Without it no vote verifies.
    pub root: Option<PublicKey>,
    /// Where votes are logged before they are forwarded.
    pub audit: AuditLog,
    /// The time of day.
    pub now: Now,
}

/// What all tasks share.
struct Shared {
    client: Client,
    config: Config,
    feed: Arc<EventFeed>,
    update_permits: Semaphore,
    history_permits: Semaphore,
}

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
        let tasks = subscribed.map_err(|source| NatsError::Subscribe { subject, source })?;
        // A client may send a task as soon as this returns.
        if let Err(error) = round_trip(&client, SERVER_TIMEOUT).await {
            tracing::warn!(%error, "the server has not confirmed the subscriptions yet");
        }
        let update_permits = Semaphore::new(UPDATES_MAX);
        let history_permits = Semaphore::new(HISTORY_REQUESTS_MAX);
        let shared = Arc::new(Shared { client, config, feed, update_permits, history_permits });
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
