//! The agent's events for all tasks that are tracked: each once, in order and
//! without a gap.
//!
//! One subscription serves all tasks, because the server limits subscriptions
//! per connection. The feed polls the agent for what it has missed when sequence
//! numbers are missing, after a lost connection, and once a minute in any case.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use exokit_model::ids::OperationId;
use exokit_nats::NatsError;
use exokit_wire::event::EventMessage;
use exokit_wire::failure::Failure;
use exokit_wire::reply::EventsReply;
use exokit_wire::request::EventsRequest;
use futures_util::StreamExt as _;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use crate::agent_client::AgentClient;

pub(crate) const EVENTS: &str = "infra.events.>";

/// Interval of polls. Without them the loss of the last event would never show.
const POLL_INTERVAL: Duration = Duration::from_secs(60);

/// Pause before another poll when the agent could not reply.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// A sequence number beyond every ledger: the reply to a request for what comes
/// after it has no events, only the head of the ledger.
const BEYOND_HEAD: u64 = 1 << 52;

type Subscriptions = BTreeMap<OperationId, Vec<mpsc::UnboundedSender<EventMessage>>>;

/// Distributes events to subscriptions.
#[derive(Debug)]
pub(crate) struct EventFeed {
    subscriptions: Mutex<Subscriptions>,
    /// Whether the feed knows its position in the ledger.
    has_position: watch::Sender<bool>,
    poll_now: Notify,
}

#[derive(Debug)]
pub(crate) struct EventSubscription {
    feed: Arc<EventFeed>,
    operation: OperationId,
    pub(crate) events: mpsc::UnboundedReceiver<EventMessage>,
}

impl EventFeed {
    /// Subscribes to all events. The reader must run.
    pub(crate) async fn open(client: Client) -> Result<(Arc<Self>, FeedReader), NatsError> {
        let failed = |source| NatsError::Subscribe(EVENTS.to_owned(), source);
        let events = client.subscribe(EVENTS).await.map_err(failed)?;
        let (subscriptions, has_position) = (Mutex::default(), watch::Sender::new(false));
        let feed = Arc::new(Self { subscriptions, has_position, poll_now: Notify::new() });
        let reader = FeedReader {
            feed: feed.clone(),
            client,
            events,
            position: None,
            is_behind: false,
            poll_at: Instant::now(),
        };
        Ok((feed, reader))
    }

    /// Subscribes to an operation: to every event that is recorded after this
    /// returns.
    pub(crate) async fn subscribe(self: &Arc<Self>, operation: &OperationId) -> EventSubscription {
        let (sender, events) = mpsc::unbounded_channel();
        self.lock().entry(operation.clone()).or_default().push(sender);
        let subscription = EventSubscription { feed: self.clone(), operation: operation.clone(), events };
        let mut has_position = self.has_position.subscribe();
        if !*has_position.borrow() {
            self.poll_now();
        }
        // The sender lives in the feed, which is here.
        let _ = has_position.wait_for(|has_position| *has_position).await;
        subscription
    }

    /// Polls the agent for missed events.
    pub(crate) fn poll_now(&self) {
        self.poll_now.notify_one();
    }

    fn has_subscriptions(&self) -> bool {
        !self.lock().is_empty()
    }

    fn distribute(&self, event: EventMessage) {
        let subscriptions = self.lock();
        let senders = event.operation.as_ref().and_then(|operation| subscriptions.get(operation));
        for sender in senders.into_iter().flatten() {
            // A closed subscription is about to be removed.
            let _ = sender.send(event.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for EventSubscription {
    fn drop(&mut self) {
        self.events.close();
        let mut subscriptions = self.feed.lock();
        if let Some(senders) = subscriptions.get_mut(&self.operation) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                subscriptions.remove(&self.operation);
            }
        }
    }
}

/// Where an event stands relative to the position of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    /// The next event, or the first one.
    Next,
    /// A repeated event: the agent publishes again what the server may have lost.
    Repeated,
    /// A later event: others are missing.
    Gap,
}

fn sequence(position: Option<u64>, seq: u64) -> Sequence {
    match position {
        Some(position) if seq <= position => Sequence::Repeated,
        Some(position) if seq > position + 1 => Sequence::Gap,
        _ => Sequence::Next,
    }
}

pub(crate) struct FeedReader {
    feed: Arc<EventFeed>,
    client: Client,
    events: Subscriber,
    /// Sequence number of the last event that was distributed.
    position: Option<u64>,
    /// Whether events are missing that the agent could not be polled for.
    is_behind: bool,
    poll_at: Instant,
}

impl FeedReader {
    /// Reads until the connection is closed.
    pub(crate) async fn run(mut self) {
        let feed = self.feed.clone();
        loop {
            tokio::select! {
                message = self.events.next() => match message {
                    Some(message) => self.receive(&message).await,
                    None => return,
                },
                () = feed.poll_now.notified() => self.poll().await,
                () = tokio::time::sleep_until(self.poll_at) => self.poll().await,
            }
        }
    }

    async fn receive(&mut self, message: &Message) {
        let Ok(event) = serde_json::from_slice::<EventMessage>(&message.payload) else {
            tracing::warn!(subject = %message.subject, "not an event");
            return;
        };
        match (sequence(self.position, event.seq), self.feed.has_subscriptions()) {
            (Sequence::Repeated, _) => {}
            (Sequence::Next, _) | (Sequence::Gap, false) => self.distribute(event),
            (Sequence::Gap, true) if self.is_behind => {}
            (Sequence::Gap, true) => self.poll().await,
        }
    }

    fn distribute(&mut self, event: EventMessage) {
        self.move_to(event.seq);
        self.feed.distribute(event);
    }

    fn move_to(&mut self, seq: u64) {
        self.position = Some(seq);
        self.feed.has_position.send_replace(true);
    }

    /// Polls the agent for missed events, and schedules the next poll.
    async fn poll(&mut self) {
        let caught_up = self.catch_up().await;
        self.is_behind = caught_up.is_err();
        self.poll_at = Instant::now() + if self.is_behind { RETRY_INTERVAL } else { POLL_INTERVAL };
        match caught_up {
            Ok(0) => {}
            Ok(missed) => tracing::info!(missed, "missed events came from the agent"),
            Err(failure) => tracing::info!(why = failure.why, "polling the agent for events again soon"),
        }
    }

    /// Distributes what was recorded since the last event, and returns how many
    /// events that were. Without a position it takes that of the ledger's head.
    async fn catch_up(&mut self) -> Result<usize, Failure> {
        let Some(mut after) = self.position else {
            let reply = self.request(BEYOND_HEAD).await?;
            self.move_to(reply.head);
            return Ok(0);
        };
        let mut missed = 0;
        while self.feed.has_subscriptions() {
            let reply = self.request(after).await?;
            missed += reply.events.len();
            for event in reply.events {
                self.distribute(event);
            }
            // An earlier head belongs to another ledger.
            let last = self.position.unwrap_or(after).max(reply.next);
            after = if reply.head < after { reply.head } else { last };
            self.move_to(after);
            if reply.next >= reply.head {
                break;
            }
        }
        Ok(missed)
    }

    async fn request(&self, after: u64) -> Result<EventsReply, Failure> {
        let agent = AgentClient { client: &self.client, trace: None };
        agent.request(&EventsRequest { after, ..EventsRequest::default() }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_number_is_a_gap_and_a_repeated_one_is_not_new() {
        assert_eq!(sequence(None, 7), Sequence::Next);
        for (seq, expected) in [
            (1, Sequence::Repeated),
            (7, Sequence::Repeated),
            (8, Sequence::Next),
            (9, Sequence::Gap),
            (90, Sequence::Gap),
        ] {
            assert_eq!(sequence(Some(7), seq), expected, "{seq}");
        }
    }
}
