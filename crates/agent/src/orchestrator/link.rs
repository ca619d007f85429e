//! The connection of the orchestrator: waited for at the start, and what the
//! server says about it afterwards.

use async_nats::Event;
use exokit_wire::task::TASK_PREFIX;
use tokio::sync::mpsc;

use super::feed::{EVENTS, Feed};
use exokit_nats::{Connection, NatsError, NatsOptions, Permission, connect_with_permissions};

/// How the server's operators see it.
const NAME: &str = "exokit orchestrator";

/// Connects with the permissions that the orchestrator needs. While the server
/// is away it retries, and reports the error of each attempt.
///
/// # Errors
/// When the server denies what is needed.
pub async fn connect(options: &NatsOptions, report: impl FnMut(&NatsError)) -> Result<Connection, NatsError> {
    let required = permissions(&options.inbox);
    let connected = connect_with_permissions((options, NAME), &required, &[], report).await;
    connected.map(|(connection, _)| connection)
}

/// What the server must allow. Nothing is sent to where somebody listens, and
/// no task is taken away.
fn permissions(inbox: &str) -> Vec<Permission> {
    vec![
        Permission::Publish("infra.preflight".to_owned()),
        Permission::Publish(format!("{inbox}.preflight")),
        Permission::Subscribe(format!("{TASK_PREFIX}preflight")),
        Permission::Subscribe(EVENTS.to_owned()),
    ]
}

/// Notes what the server says. After a lost connection events may be missing.
pub(super) async fn listen(mut events: mpsc::UnboundedReceiver<Event>, feed: &Feed) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected => {
                tracing::info!("NATS is connected");
                feed.look_again();
            }
            Event::Disconnected => tracing::warn!("NATS is lost; it is connected to again"),
            other => tracing::warn!(said = %other, "NATS"),
        }
    }
}
