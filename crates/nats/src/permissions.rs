//! A check of permissions at the start. Without it a missing permission would
//! show as silence, hours later.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::{Client, Event, ServerError};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Connection, NatsError, NatsOptions, connect, round_trip};

/// Pause before another attempt to reach a server that was never reached.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// A permission that the server must give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// Publish to a subject.
    Publish(String),
    /// Subscribe to a subject.
    Subscribe(String),
}

impl Permission {
    fn words(&self) -> String {
        match self {
            Permission::Publish(subject) => format!("publish to {subject}"),
            Permission::Subscribe(subject) => format!("subscribe to {subject}"),
        }
    }

    /// The server's error text when it denies this permission.
    fn violation(&self) -> String {
        match self {
            Permission::Publish(subject) => format!("Permissions Violation for Publish to \"{subject}\""),
            Permission::Subscribe(subject) => {
                format!("Permissions Violation for Subscription to \"{subject}\"")
            }
        }
    }
}

/// Longest wait for the server.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for violations after the round trip: the client delivers
/// them through another channel than replies.
const VIOLATIONS_TIMEOUT: Duration = Duration::from_millis(250);

/// Connects and checks permissions. Retries while the server is away, and
/// reports the error of each attempt. Returns the connection, and whether the
/// server gives all optional permissions.
///
/// # Errors
/// When the first attempt finds that required permissions are missing. Later
/// attempts retry in that case too: the process has begun other work.
pub async fn connect_with_permissions(
    (options, name): (&NatsOptions, &str),
    required: &[Permission],
    optional: &[Permission],
    mut report: impl FnMut(&NatsError),
) -> Result<(Connection, bool), NatsError> {
    let mut is_first = true;
    loop {
        let attempt = async {
            let mut connection = connect(options, name).await?;
            let has_optional =
                check_permissions(&connection.client, &mut connection.events, required, optional).await?;
            Ok((connection, has_optional))
        };
        match attempt.await {
            Err(error @ NatsError::Denied(_)) if is_first => return Err(error),
            Err(error) => report(&error),
            Ok(connected) => return Ok(connected),
        }
        is_first = false;
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Tries every permission. Returns whether the server gives all optional ones.
async fn check_permissions(
    client: &Client,
    events: &mut mpsc::UnboundedReceiver<Event>,
    required: &[Permission],
    optional: &[Permission],
) -> Result<bool, NatsError> {
    let mut subscriptions = Vec::new();
    for permission in required.iter().chain(optional) {
        match permission {
            // No receiver takes an empty message for a request or an event.
            Permission::Publish(subject) => {
                let sent = client.publish(subject.clone(), Bytes::new()).await;
                sent.map_err(|error| NatsError::RoundTrip(error.to_string()))?;
            }
            Permission::Subscribe(subject) => {
                let subscribed = client.subscribe(subject.clone()).await;
                let failed = |source| NatsError::Subscribe(subject.clone(), source);
                subscriptions.push(subscribed.map_err(failed)?);
            }
        }
    }
    let answered = round_trip(client, TIMEOUT).await;
    let violations = violations(events).await;
    let denied = denied(&violations, required);
    if !denied.is_empty() {
        return Err(NatsError::Denied(denied));
    }
    answered.map(|()| self::denied(&violations, optional).is_empty())
}

/// Errors that the server has sent.
async fn violations(events: &mut mpsc::UnboundedReceiver<Event>) -> Vec<String> {
    let mut violations = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(VIOLATIONS_TIMEOUT, events.recv()).await {
        if let Event::ServerError(ServerError::Other(text)) = event {
            violations.push(text.to_lowercase());
        }
    }
    violations
}

/// The permissions that are denied, in words.
fn denied(violations: &[String], permissions: &[Permission]) -> Vec<String> {
    let is_denied = |permission: &&Permission| {
        let violation = permission.violation().to_lowercase();
        violations.iter().any(|text| text.contains(&violation))
    };
    let denied: BTreeSet<String> = permissions.iter().filter(is_denied).map(Permission::words).collect();
    denied.into_iter().collect()
}
