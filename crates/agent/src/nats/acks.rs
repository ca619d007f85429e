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
        Ok(Self { inbox, answers, stream: Stream::Unknown, connection: 0, next: 0, first: 0 })
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
        let (mut missing, mut kept) = (self.next - first, None);
        let (began, mut whole) = (Instant::now(), missing > 0);
        while missing > 0 {
            let wait = match self.stream {
                Stream::There => KNOWN,
                Stream::Unknown => NEW,
                Stream::NotThere => Duration::ZERO,
            };
            let Ok(Some(message)) = timeout_at(began + wait, self.answers.next()).await else {
                self.miss("it does not answer");
                return None;
            };
            // What comes late says that there is a stream, and no more.
            let is_late = number(&self.inbox, &message).is_none_or(|number| number < first);
            match read(&message) {
                Ack::Kept { position, is_new } => {
                    self.stream = Stream::There;
                    if !is_late {
                        kept = Some(with(kept, position, is_new));
                    }
                }
                Ack::Not(why) => {
                    self.miss(&why);
                    whole &= is_late;
                }
            }
            missing -= u64::from(!is_late);
        }
        kept.filter(|_| whole)
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

fn with(kept: Option<Kept>, position: u64, is_new: bool) -> Kept {
    let before = kept.unwrap_or(Kept { first_new: None, last: 0 });
    let first_new = match (before.first_new, is_new) {
        (Some(first), true) => Some(first.min(position)),
        (None, true) => Some(position),
        (first, false) => first,
    };
    Kept { first_new, last: before.last.max(position) }
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

    #[test]
    fn the_first_new_and_the_last_position_count() {
        let all = [(7, true), (3, false), (6, true), (2, false)];
        let kept = all.into_iter().fold(None, |kept, (at, is_new)| Some(with(kept, at, is_new)));
        assert_eq!(kept, Some(Kept { first_new: Some(6), last: 7 }));
    }
}
