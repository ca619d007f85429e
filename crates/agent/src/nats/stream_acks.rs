//! Acknowledgements of a JetStream stream for published events: the position of
//! each event in the stream.
//!
//! A stream acknowledges a message to its reply subject. So every event has a
//! numbered reply subject; the acknowledgements show whether a stream exists.

use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use exokit_service::bus::Kept;
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

/// Longest wait for a stream that has acknowledged before.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest wait on a new connection without acknowledgements.
const UNKNOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// Whether a stream exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// Nothing was published on this connection yet.
    Unknown,
    Present,
    Absent,
}

impl Stream {
    fn timeout(self) -> Duration {
        match self {
            Stream::Present => KNOWN_TIMEOUT,
            Stream::Unknown => UNKNOWN_TIMEOUT,
            Stream::Absent => Duration::ZERO,
        }
    }
}

#[derive(Debug)]
pub(super) struct StreamAcks {
    inbox: String,
    acks: Subscriber,
    stream: Stream,
    /// Connection that `stream` is about.
    connection: u64,
    /// Number of the next message.
    next: u64,
    /// Number of the first message that is not confirmed.
    first: u64,
    /// First new position since the last confirmation.
    first_new: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Payload {
    seq: Option<u64>,
    #[serde(default)]
    duplicate: bool,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    description: String,
}

/// The stream's answer to one message.
#[derive(Debug, PartialEq, Eq)]
enum Ack {
    /// The stream keeps the message; it may have had the message before.
    Kept { position: u64, is_new: bool },
    /// The stream does not keep the message, for this reason.
    NotKept(String),
}

impl StreamAcks {
    pub(super) async fn subscribe(client: &Client) -> Result<Self, async_nats::SubscribeError> {
        let inbox = client.new_inbox();
        let acks = client.subscribe(format!("{inbox}.*")).await?;
        Ok(Self { inbox, acks, stream: Stream::Unknown, connection: 0, next: 0, first: 0, first_new: None })
    }

    pub(super) fn reply(&mut self) -> String {
        self.next += 1;
        format!("{}.{}", self.inbox, self.next - 1)
    }

    /// Forgets the messages so far: they are sent again.
    pub(super) fn forget(&mut self) {
        self.first = self.next;
    }

    /// Waits for the acknowledgements of all messages since the last call. Returns
    /// none unless the stream keeps all of them.
    pub(super) async fn confirm(&mut self, connection: u64) -> Option<Kept> {
        if self.connection != connection {
            (self.connection, self.stream) = (connection, Stream::Unknown);
        }
        let first = std::mem::replace(&mut self.first, self.next);
        let (began, mut missing, mut highest) = (Instant::now(), self.next - first, None);
        while missing > 0 {
            let Ok(Some(message)) = timeout_at(began + self.stream.timeout(), self.acks.next()).await else {
                self.set_absent("it does not answer");
                return None;
            };
            // A late acknowledgement shows that the stream exists, and a position.
            let number = number(&self.inbox, &message).filter(|number| *number >= first);
            missing -= u64::from(number.is_some());
            match read(&message) {
                Ack::Kept { position, is_new } => {
                    self.stream = Stream::Present;
                    if is_new {
                        self.first_new = Some(self.first_new.map_or(position, |first| first.min(position)));
                    }
                    if number.is_some() {
                        highest = highest.max(Some(position));
                    }
                }
                Ack::NotKept(why) => {
                    self.set_absent(&why);
                    // The other acknowledgements count when they come.
                    if number.is_some() {
                        return None;
                    }
                }
            }
        }
        Some(Kept { highest: highest?, first_new: self.first_new.take() })
    }

    /// Logs once that no stream keeps the events.
    fn set_absent(&mut self, why: &str) {
        match std::mem::replace(&mut self.stream, Stream::Absent) {
            Stream::Present => {
                tracing::warn!(why, "the stream of events is lost; it gets what it misses when it is back");
            }
            Stream::Unknown => tracing::info!(why, "no stream keeps the events"),
            Stream::Absent => {}
        }
    }
}

/// The number in the subject of an acknowledgement.
fn number(inbox: &str, message: &Message) -> Option<u64> {
    message.subject.strip_prefix(inbox)?.strip_prefix('.')?.parse().ok()
}

fn read(message: &Message) -> Ack {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Ack::NotKept("nothing subscribes".to_owned());
    }
    match serde_json::from_slice(&message.payload) {
        Ok(Payload { error: Some(refused), .. }) => Ack::NotKept(refused.description),
        Ok(Payload { seq: Some(position), duplicate, .. }) => Ack::Kept { position, is_new: !duplicate },
        _ => Ack::NotKept("not an acknowledgement".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(status: Option<StatusCode>, payload: &'static str) -> Message {
        Message {
            subject: "_INBOX.a.7".into(),
            reply: None,
            payload: payload.into(),
            headers: None,
            status,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn acknowledgements_are_parsed() {
        let kept = |position, is_new| Ack::Kept { position, is_new };
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}"#;
        for (status, payload, expected) in [
            (None, r#"{"stream":"EVENTS","seq":4}"#, kept(4, true)),
            (None, r#"{"stream":"EVENTS","seq":4,"duplicate":true}"#, kept(4, false)),
            (None, full, Ack::NotKept("maximum messages exceeded".to_owned())),
            (None, "+OK", Ack::NotKept("not an acknowledgement".to_owned())),
            (Some(StatusCode::NO_RESPONDERS), "", Ack::NotKept("nothing subscribes".to_owned())),
        ] {
            assert_eq!(read(&message(status, payload)), expected, "{payload}");
        }
        assert_eq!(number("_INBOX.a", &message(None, "")), Some(7));
        assert_eq!(number("_INBOX.b", &message(None, "")), None);
    }
}
