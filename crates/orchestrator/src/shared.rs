//! How the orchestrator routes, and what all tasks share.

use std::sync::Arc;

use async_nats::Client;
use exokit_approval::keys::PublicKey;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::audit_log::AuditLog;
use crate::event_feed::EventFeed;
use crate::routes::Routes;

/// Most updates in flight. Each takes a subscription, of which the server allows
/// 256.
const UPDATES_MAX: usize = 32;

/// Most requests at once for recorded events.
const HISTORY_REQUESTS_MAX: usize = 16;

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

pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) config: Config,
    pub(crate) feed: Arc<EventFeed>,
    pub(crate) update_permits: Semaphore,
    pub(crate) history_permits: Semaphore,
}

impl Shared {
    pub(crate) fn new(client: Client, config: Config, feed: Arc<EventFeed>) -> Self {
        let update_permits = Semaphore::new(UPDATES_MAX);
        let history_permits = Semaphore::new(HISTORY_REQUESTS_MAX);
        Self { client, config, feed, update_permits, history_permits }
    }
}
