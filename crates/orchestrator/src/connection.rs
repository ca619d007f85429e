//! The connection of the orchestrator and the permissions that it needs.

use exokit_nats::{Connection, NatsError, NatsOptions, Permission, connect_with_permissions};
use exokit_wire::event::TASK_PREFIX;

use crate::event_feed::EVENTS;

/// Name of the connection, for the operators of the server.
const NAME: &str = "exokit orchestrator";

/// Connects with the permissions that the orchestrator needs. While the server
/// is away it retries, and reports the error of each attempt.
///
/// # Errors
/// When the server denies a permission.
pub async fn connect(options: &NatsOptions, report: impl FnMut(&NatsError)) -> Result<Connection, NatsError> {
    let required = permissions(&options.inbox);
    let connected = connect_with_permissions((options, NAME), &required, &[], report).await;
    connected.map(|(connection, _)| connection)
}

/// The permissions that the server must give. The check publishes only where
/// nothing subscribes, and takes no task.
fn permissions(inbox: &str) -> Vec<Permission> {
    vec![
        Permission::Publish("infra.preflight".to_owned()),
        Permission::Publish(format!("{inbox}.preflight")),
        Permission::Subscribe(format!("{TASK_PREFIX}preflight")),
        Permission::Subscribe(EVENTS.to_owned()),
    ]
}
