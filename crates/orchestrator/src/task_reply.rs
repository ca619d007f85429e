//! The reply subject of a task, and updates to it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Message, StatusCode, Subject};
use bytes::Bytes;
use exokit_nats::UNUSED_SUBJECT;
use exokit_spans::request::TraceContext;
use exokit_wire::SCHEMA_VERSION;
use exokit_wire::event::{TaskUpdate, Update};
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::agent_client::headers;

/// Longest time without a subscriber. A requester that has lost the server too
/// may reconnect later than the orchestrator.
const UNSUBSCRIBED_MAX: Duration = Duration::from_secs(120);

/// First and longest pause between two attempts; it doubles.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(4);

/// Longest wait for the server's answer to one update.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct TaskReply {
    pub(crate) client: Client,
    pub(crate) kind: String,
    pub(crate) subject: Subject,
    pub(crate) trace: TraceContext,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// The subject had a subscriber.
    Delivered,
    /// The subject had no subscriber.
    NoSubscriber,
    /// The update may be lost, or the server is away.
    Unknown,
}

impl TaskReply {
    /// Sends an update once. The requester receives it again when it repeats the
    /// task.
    pub(crate) async fn send(&self, update: Update) {
        let Some(body) = self.body(update) else { return };
        let (to, headers) = (self.subject.clone(), headers(&self.trace));
        if let Err(error) = self.client.publish_with_headers(to, headers, body).await {
            tracing::warn!(%error, "an update was not sent");
        }
    }

    /// Sends an update until a subscriber receives it; returns false when there
    /// was no subscriber for too long. The update may arrive twice when a
    /// connection is lost.
    pub(crate) async fn send_until_delivered(&self, update: Update, permits: &Semaphore) -> bool {
        let Some(body) = self.body(update) else { return false };
        let (mut unsubscribed_since, mut pause) = (None, RETRY_MIN);
        loop {
            match self.try_send(body.clone(), permits).await {
                Delivery::Delivered => return true,
                Delivery::NoSubscriber
                    if unsubscribed_since.get_or_insert_with(Instant::now).elapsed() > UNSUBSCRIBED_MAX =>
                {
                    return false;
                }
                Delivery::NoSubscriber => {}
                Delivery::Unknown => unsubscribed_since = None,
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(RETRY_MAX);
        }
    }

    fn body(&self, update: Update) -> Option<Bytes> {
        let update = TaskUpdate { schema_version: SCHEMA_VERSION, task: self.kind.clone(), update };
        serde_json::to_vec(&update).ok().map(Bytes::from)
    }

    /// Sends an update, and right after it a message to an unused subject. The
    /// server answers both at once when a subject has no subscriber, in order:
    /// if the first answer is for the unused subject, the update was delivered.
    /// Each attempt takes a subscription, so the permits limit them.
    async fn try_send(&self, body: Bytes, permits: &Semaphore) -> Delivery {
        let Ok(_permit) = permits.acquire().await else { return Delivery::Unknown };
        // The client would queue each attempt for a server that is away.
        if self.client.connection_state() != State::Connected {
            return Delivery::Unknown;
        }
        let (inbox, connection) = (self.client.new_inbox(), self.connection());
        let (of_update, of_unused) = (format!("{inbox}.update"), format!("{inbox}.unused"));
        let first_answer = async {
            let mut answers = self.client.subscribe(format!("{inbox}.*")).await.ok()?;
            let (to, headers) = (self.subject.clone(), headers(&self.trace));
            self.client.publish_with_reply_and_headers(to, of_update.clone(), headers, body).await.ok()?;
            self.client.publish_with_reply(UNUSED_SUBJECT, of_unused, Bytes::new()).await.ok()?;
            answers.next().await
        };
        let answer = tokio::time::timeout(CONFIRM_TIMEOUT, first_answer).await.ok().flatten();
        // Messages of an earlier connection may be lost with it.
        match answer.filter(|_| connection == self.connection()) {
            None => Delivery::Unknown,
            Some(answer) if is_no_responders(&answer, &of_update) => Delivery::NoSubscriber,
            Some(_) => Delivery::Delivered,
        }
    }

    /// Number of the connection, counted from the first.
    fn connection(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

/// Whether the server says that the message with this reply subject had no
/// subscriber.
fn is_no_responders(answer: &Message, reply: &str) -> bool {
    answer.subject.as_str() == reply && answer.status == Some(StatusCode::NO_RESPONDERS)
}
