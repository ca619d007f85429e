//! What the server allows, asked at the start. Otherwise a right that is
//! missing would show as silence, hours later.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::{Client, Event, ServerError};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::NatsError;
use super::bus::round_trip;

/// Something that must be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// Publishing to a subject.
    Publish(String),
    /// Subscribing to a subject.
    Subscribe(String),
}

impl Right {
    fn words(&self) -> String {
        match self {
            Right::Publish(subject) => format!("publish to {subject}"),
            Right::Subscribe(subject) => format!("subscribe to {subject}"),
        }
    }

    /// How the server speaks of it when it denies it.
    fn denial(&self) -> String {
        match self {
            Right::Publish(subject) => format!("Permissions Violation for Publish to \"{subject}\""),
            Right::Subscribe(subject) => format!("Permissions Violation for Subscription to \"{subject}\""),
        }
    }
}

/// Longest wait for the server.
const ANSWER: Duration = Duration::from_secs(5);

/// How long denials are waited for after the server has answered everything:
/// the client hands them over by another way than replies.
const GRACE: Duration = Duration::from_millis(250);

/// Tries every right. Says whether those that are wished for are there, too.
///
/// # Errors
/// [`NatsError::Denied`] with all that are needed and missing.
pub async fn check(
    client: &Client,
    said: &mut mpsc::UnboundedReceiver<Event>,
    needed: &[Right],
    wished: &[Right],
) -> Result<bool, NatsError> {
    let mut held = Vec::new();
    for right in needed.iter().chain(wished) {
        match right {
            // An empty message is no message of ours; nobody takes it for one.
            Right::Publish(subject) => {
                let sent = client.publish(subject.clone(), Bytes::new()).await;
                sent.map_err(|_| NatsError::Silent(ANSWER))?;
            }
            Right::Subscribe(subject) => {
                let subscribed = client.subscribe(subject.clone()).await;
                let failed = |source| NatsError::Subscribe { subject: subject.clone(), source };
                held.push(subscribed.map_err(failed)?);
            }
        }
    }
    let answered = round_trip(client, ANSWER).await;
    let denials = denials(said).await;
    let missing = denied(&denials, needed);
    match (missing.is_empty(), answered) {
        (false, _) => Err(NatsError::Denied { denied: missing }),
        (true, Err(_)) => Err(NatsError::Silent(ANSWER)),
        (true, Ok(())) => Ok(denied(&denials, wished).is_empty()),
    }
}

/// What the server says about what it denies.
async fn denials(said: &mut mpsc::UnboundedReceiver<Event>) -> Vec<String> {
    let mut denials = Vec::new();
    while let Ok(Some(event)) = tokio::time::timeout(GRACE, said.recv()).await {
        if let Event::ServerError(ServerError::Other(text)) = event {
            denials.push(text.to_lowercase());
        }
    }
    denials
}

/// Which of the rights are denied, in words.
fn denied(denials: &[String], rights: &[Right]) -> Vec<String> {
    let is_denied = |right: &&Right| {
        let denial = right.denial().to_lowercase();
        denials.iter().any(|text| text.contains(&denial))
    };
    let denied: BTreeSet<String> = rights.iter().filter(is_denied).map(Right::words).collect();
    denied.into_iter().collect()
}
