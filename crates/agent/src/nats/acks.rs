//! What streams say of the events that are published: where each is kept.
//!
//! A stream answers to the reply subject of a message once it has it. So every
//! event has one, numbered; whether there is a stream shows in the answers.

use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use exokit_service::bus::Kept;
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

/// Longest wait for a stream that has answered before.
const KNOWN: Duration = Duration::from_secs(5);

/// Longest wait over a new connection, on which no stream has answered yet.
const NEW: Duration = Duration::from_secs(1);

/// Whether a stream is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// Nothing was published over this connection yet.
    Unknown,
    There,
    NotThere,
}

impl Stream {
    /// Longest wait for its answers.
    fn wait(self) -> Duration {
        match self {
            Stream::There => KNOWN,
            Stream::Unknown => NEW,
            Stream::NotThere => Duration::ZERO,
        }
    }
}

/// The answers of streams.
#[derive(Debug)]
pub(super) struct Acks {
    inbox: String,
    answers: Subscriber,
    stream: Stream,
    /// The connection that this is about.
    connection: u64,
    /// Number of the next message.
    next: u64,
    /// Number of the first one that is not confirmed.
    first: u64,
    /// The first new position since something was known of the stream.
    first_new: Option<u64>,
}

/// What a stream answers.
#[derive(Debug, Deserialize)]
struct Answer {
    seq: Option<u64>,
    #[serde(default)]
    duplicate: bool,
    error: Option<Refused>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    description: String,
}

/// What came back for one message.
#[derive(Debug, PartialEq, Eq)]
enum Ack {
    /// It is kept there; it may have been there before.
    Kept { position: u64, is_new: bool },
    /// It is not kept.
    Not(String),
}

impl Acks {
    /// Listens for answers.
    pub(super) async fn listen(client: &Client) -> Result<Self, async_nats::SubscribeError> {
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.*")).await?;
        Ok(Self {
            inbox,
            answers,
            stream: Stream::Unknown,
            connection: 0,
            next: 0,
            first: 0,
            first_new: None,
        })
    }

    /// Where the answer to the next message goes.
    pub(super) fn reply(&mut self) -> String {
        self.next += 1;
        format!("{}.{}", self.inbox, self.next - 1)
    }

    /// Does not wait for what was sent so far: it is sent again.
    pub(super) fn forget(&mut self) {
        self.first = self.next;
    }

    /// Waits for the answers to all messages since the last time. None when
    /// they are not all kept: then nothing is known of a stream.
    pub(super) async fn confirm(&mut self, connection: u64) -> Option<Kept> {
        if self.connection != connection {
            (self.connection, self.stream) = (connection, Stream::Unknown);
        }
        let first = std::mem::replace(&mut self.first, self.next);
        let (began, mut missing, mut last) = (Instant::now(), self.next - first, None);
        while missing > 0 {
            let Ok(Some(message)) = timeout_at(began + self.stream.wait(), self.answers.next()).await else {
                self.miss("it does not answer");
                return None;
            };
            // What comes late says that there is a stream, and what it has taken.
            let number = number(&self.inbox, &message).filter(|number| *number >= first);
            missing -= u64::from(number.is_some());
            match read(&message) {
                Ack::Kept { position, is_new } => {
                    self.stream = Stream::There;
                    if is_new {
                        self.first_new = Some(self.first_new.map_or(position, |first| first.min(position)));
                    }
                    if number == Some(self.next - 1) {
                        last = Some(position);
                    }
                }
                Ack::Not(why) => {
                    self.miss(&why);
                    // The others are not waited for; they count when they come.
                    if number.is_some() {
                        return None;
                    }
                }
            }
        }
        Some(Kept { last: last?, first_new: self.first_new.take() })
    }

    /// No stream keeps what is published; that is said once.
    fn miss(&mut self, why: &str) {
        match std::mem::replace(&mut self.stream, Stream::NotThere) {
            Stream::There => {
                tracing::warn!(why, "the stream of events is lost; it gets what it misses when it is back");
            }
            Stream::Unknown => tracing::info!(why, "no stream keeps the events"),
            Stream::NotThere => {}
        }
    }
}

/// The number in the subject of an answer.
fn number(inbox: &str, message: &Message) -> Option<u64> {
    message.subject.strip_prefix(inbox)?.strip_prefix('.')?.parse().ok()
}

fn read(message: &Message) -> Ack {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Ack::Not("nobody listens".to_owned());
    }
    match serde_json::from_slice(&message.payload) {
        Ok(Answer { error: Some(refused), .. }) => Ack::Not(refused.description),
        Ok(Answer { seq: Some(position), duplicate, .. }) => Ack::Kept { position, is_new: !duplicate },
        _ => Ack::Not("somebody else answers".to_owned()),
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
    fn what_a_stream_answers_is_understood() {
        let kept = |position, is_new| Ack::Kept { position, is_new };
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}"#;
        for (status, payload, expected) in [
            (None, r#"{"stream":"EVENTS","seq":4}"#, kept(4, true)),
            (None, r#"{"stream":"EVENTS","seq":4,"duplicate":true}"#, kept(4, false)),
            (None, full, Ack::Not("maximum messages exceeded".to_owned())),
            (None, "+OK", Ack::Not("somebody else answers".to_owned())),
            (Some(StatusCode::NO_RESPONDERS), "", Ack::Not("nobody listens".to_owned())),
        ] {
            assert_eq!(read(&message(status, payload)), expected, "{payload}");
        }
        assert_eq!(number("_INBOX.a", &message(None, "")), Some(7));
        assert_eq!(number("_INBOX.b", &message(None, "")), None);
    }
}
