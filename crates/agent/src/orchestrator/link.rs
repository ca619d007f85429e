//! The connection of the orchestrator: waited for at the start, and what the
//! server says about it afterwards.

use std::time::Duration;

use async_nats::Event;
use exokit_wire::task::TASK_PREFIX;
use tokio::sync::mpsc;

use super::feed::{EVENTS, Feed};
use crate::nats::{Connection, NatsError, NatsOptions, Right, connect_as, preflight};

/// How the server's operators see it.
const NAME: &str = "exokit orchestrator";

/// Pause between two attempts to reach a server that was never reached.
const RETRY: Duration = Duration::from_secs(2);

/// A connection that allows what is needed. A server that is not there yet is
/// waited for; each time, why it was not reached is told.
///
/// # Errors
/// When the server denies what is needed.
pub async fn reach(options: &NatsOptions, mut tell: impl FnMut(&NatsError)) -> Result<Connection, NatsError> {
    loop {
        match allowed(options).await {
            Err(error) if !matches!(error, NatsError::Denied { .. }) => tell(&error),
            reached => return reached,
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn allowed(options: &NatsOptions) -> Result<Connection, NatsError> {
    let mut connection = connect_as(options, NAME).await?;
    preflight(&connection.client, &mut connection.said, &rights(&options.inbox), &[]).await?;
    Ok(connection)
}

/// What the server must allow. Nothing is sent to where somebody listens, and
/// no task is taken away.
fn rights(inbox: &str) -> Vec<Right> {
    vec![
        Right::Publish("infra.preflight".to_owned()),
        Right::Publish(format!("{inbox}.preflight")),
        Right::Subscribe(format!("{TASK_PREFIX}preflight")),
        Right::Subscribe(EVENTS.to_owned()),
    ]
}

/// Notes what the server says. After a lost connection events may be missing.
pub(super) async fn listen(mut said: mpsc::UnboundedReceiver<Event>, feed: &Feed) {
    while let Some(event) = said.recv().await {
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
