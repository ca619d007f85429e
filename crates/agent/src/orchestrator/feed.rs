//! The agent's events, each once, in order and without a gap, for all tasks
//! that are followed.
//!
//! One subscription is for all of them: the server allows few for one
//! connection. Where numbers are missing, after a lost connection, and once a
//! minute in any case, the agent is asked for what was recorded since.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use exokit_model::ids::OperationId;
use exokit_wire::event::EventMessage;
use exokit_wire::failure::Failure;
use exokit_wire::request::EventsRequest;
use futures_util::StreamExt as _;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::ask::Asker;
use exokit_nats::NatsError;

/// What all events are published under.
pub(super) const EVENTS: &str = "infra.events.>";

/// How often the agent is asked whether anything was missed. Nobody notices
/// otherwise that the last event of all is missing.
const LOOK: Duration = Duration::from_secs(60);

/// Pause before the agent is asked again when it could not answer.
const RETRY: Duration = Duration::from_secs(5);

/// A record that no ledger has: who asks for what comes after it is only told
/// where the ledger ends.
const NO_RECORD: u64 = 1 << 52;

type Listeners = BTreeMap<OperationId, Vec<mpsc::UnboundedSender<EventMessage>>>;

/// Hands events out to those who listen.
#[derive(Debug)]
pub(super) struct Feed {
    listeners: Mutex<Listeners>,
    /// Whether it is known where the feed stands in the ledger.
    is_placed: watch::Sender<bool>,
    again: Notify,
}

/// What is heard of one operation.
#[derive(Debug)]
pub(super) struct Listener {
    feed: Arc<Feed>,
    operation: OperationId,
    pub(super) events: mpsc::UnboundedReceiver<EventMessage>,
}

impl Feed {
    /// Subscribes to all events; what reads them must be run.
    pub(super) async fn open(client: Client) -> Result<(Arc<Self>, Reader), NatsError> {
        let failed = |source| NatsError::Subscribe { subject: EVENTS.to_owned(), source };
        let events = client.subscribe(EVENTS).await.map_err(failed)?;
        let (listeners, is_placed) = (Mutex::default(), watch::Sender::new(false));
        let feed = Arc::new(Self { listeners, is_placed, again: Notify::new() });
        let reader = Reader {
            feed: feed.clone(),
            client,
            events,
            heard: None,
            is_behind: false,
            look_at: Instant::now(),
        };
        Ok((feed, reader))
    }

    /// Listens to an operation: to every event that is recorded from when this
    /// returns.
    pub(super) async fn listen(self: &Arc<Self>, operation: &OperationId) -> Listener {
        let (sender, events) = mpsc::unbounded_channel();
        self.lock().entry(operation.clone()).or_default().push(sender);
        let listener = Listener { feed: self.clone(), operation: operation.clone(), events };
        let mut is_placed = self.is_placed.subscribe();
        if !*is_placed.borrow() {
            self.look_again();
        }
        // The sender is in the feed, which is here.
        let _ = is_placed.wait_for(|is_placed| *is_placed).await;
        listener
    }

    /// Asks the agent what was missed.
    pub(super) fn look_again(&self) {
        self.again.notify_one();
    }

    fn has_listeners(&self) -> bool {
        !self.lock().is_empty()
    }

    fn hand_out(&self, event: EventMessage) {
        let listeners = self.lock();
        let senders = event.operation.as_ref().and_then(|operation| listeners.get(operation));
        for sender in senders.into_iter().flatten() {
            // Who stopped listening is about to be taken out.
            let _ = sender.send(event.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.events.close();
        let mut listeners = self.feed.lock();
        if let Some(senders) = listeners.get_mut(&self.operation) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                listeners.remove(&self.operation);
            }
        }
    }
}

/// Where an event stands after what was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The first one.
    First,
    /// Heard before: what is not confirmed is published again.
    Old,
    /// The next one.
    Next,
    /// Others between are missing.
    Beyond,
}

fn place(heard: Option<u64>, seq: u64) -> Place {
    match heard {
        None => Place::First,
        Some(heard) if seq <= heard => Place::Old,
        Some(heard) if seq == heard + 1 => Place::Next,
        Some(_) => Place::Beyond,
    }
}

/// Reads the events.
pub(super) struct Reader {
    feed: Arc<Feed>,
    client: Client,
    events: Subscriber,
    /// The last record that was handed out.
    heard: Option<u64>,
    /// Whether something was missed that the agent could not be asked for.
    is_behind: bool,
    look_at: Instant,
}

impl Reader {
    /// Reads until the connection is closed.
    pub(super) async fn run(mut self) {
        let feed = self.feed.clone();
        loop {
            tokio::select! {
                message = self.events.next() => match message {
                    Some(message) => self.take(&message).await,
                    None => return,
                },
                () = feed.again.notified() => self.look().await,
                () = tokio::time::sleep_until(self.look_at) => self.look().await,
            }
        }
    }

    async fn take(&mut self, message: &Message) {
        let Ok(event) = serde_json::from_slice::<EventMessage>(&message.payload) else {
            tracing::warn!(subject = %message.subject, "this is no event");
            return;
        };
        match (place(self.heard, event.seq), self.feed.has_listeners(), self.is_behind) {
            (Place::Old, ..) => {}
            (Place::First | Place::Next, ..) | (Place::Beyond, false, _) => self.hand_out(event),
            // It is asked for soon.
            (Place::Beyond, true, true) => {}
            (Place::Beyond, true, false) => self.look().await,
        }
    }

    fn hand_out(&mut self, event: EventMessage) {
        self.stand_at(event.seq);
        self.feed.hand_out(event);
    }

    fn stand_at(&mut self, seq: u64) {
        self.heard = Some(seq);
        self.feed.is_placed.send_replace(true);
    }

    /// Asks the agent for what was missed, and says when to ask again.
    async fn look(&mut self) {
        let filled = self.fill().await;
        self.is_behind = filled.is_err();
        self.look_at = Instant::now() + if self.is_behind { RETRY } else { LOOK };
        match filled {
            Ok(0) => {}
            Ok(missed) => tracing::info!(missed, "events that were not heard came from the agent"),
            Err(failure) => tracing::info!(why = failure.why, "the agent is asked again for its events"),
        }
    }

    /// Hands out what was recorded since the last event. Says how many events
    /// that were.
    async fn fill(&mut self) -> Result<usize, Failure> {
        let mut missed = 0;
        let Some(mut heard) = self.heard else { return self.begin().await.map(|()| missed) };
        while self.feed.has_listeners() {
            let reply = self.asker().ask(&EventsRequest { after: heard, ..EventsRequest::default() }).await?;
            missed += reply.events.len();
            for event in reply.events {
                self.hand_out(event);
            }
            // A head before that is the one of another ledger.
            let last = self.heard.unwrap_or(heard).max(reply.next);
            heard = if reply.head < heard { reply.head } else { last };
            self.stand_at(heard);
            if reply.next >= reply.head {
                break;
            }
        }
        Ok(missed)
    }

    /// Stands at the end of the ledger.
    async fn begin(&mut self) -> Result<(), Failure> {
        let reply = self.asker().ask(&EventsRequest { after: NO_RECORD, ..EventsRequest::default() }).await?;
        self.stand_at(reply.head);
        Ok(())
    }

    fn asker(&self) -> Asker<'_> {
        Asker { client: &self.client, trace: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_number_is_noticed_and_a_repeated_one_is_not_new() {
        assert_eq!(place(None, 7), Place::First);
        for (seq, expected) in
            [(1, Place::Old), (7, Place::Old), (8, Place::Next), (9, Place::Beyond), (90, Place::Beyond)]
        {
            assert_eq!(place(Some(7), seq), expected, "{seq}");
        }
    }
}
