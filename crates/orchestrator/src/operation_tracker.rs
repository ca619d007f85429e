//! Tracking of an operation that a task started: each event of the operation
//! goes to the task's reply subject, until the operation has ended.

use std::time::Duration;

use exokit_model::ids::OperationId;
use exokit_wire::event::{EventMessage, Update};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::reply::OperationReply;
use exokit_wire::request::EventsRequest;
use serde::Deserialize as _;
use serde_json::Value;

use crate::agent_client::AgentClient;
use crate::shared::Shared;
use crate::shutdown::{ShutdownPhase, ShutdownPhases, reached};
use crate::task_reply::TaskReply;

/// Longest time to track one operation.
const TRACKING_MAX: Duration = Duration::from_secs(3600);

/// Pause before the agent is polled again for recorded events.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Most events that are taken from the feed together.
const BATCH_MAX: usize = 64;

/// Event after which nothing more comes until a human decides.
const PARKED: &str = "operation-parked";

/// Events after which nothing more comes.
const TERMINAL: [&str; 3] = ["operation-succeeded", "operation-rolled-back", "plan-rejected"];

/// An operation that has started or waits to start.
pub(crate) struct OperationTracker {
    reply: TaskReply,
    operation: OperationId,
    /// Sequence number of the last event that was sent.
    sent: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrackingEnd {
    /// The operation has ended, and its last event was sent.
    Completed,
    /// The reply subject has no subscriber.
    NoSubscriber,
    /// The orchestrator stops.
    Stopping,
    /// The operation has taken too long.
    TimedOut,
    /// Too many other operations are tracked.
    AtCapacity,
}

impl OperationTracker {
    /// A tracker for the operation in an answer; none when it has ended or waits
    /// for a human.
    pub(crate) fn new(reply: TaskReply, answer: &Value) -> Option<Self> {
        let operation = OperationReply::deserialize(answer.get("result")?).ok()?;
        let is_open =
            !matches!(operation.phase.raw(), "succeeded" | "rolled-back" | "rejected" | "needs-human");
        is_open.then_some(Self { reply, operation: operation.operation, sent: 0 })
    }

    /// Tracks the operation to its end, or tells the requester why not.
    pub(crate) async fn run(mut self, shared: &Shared, mut shutdown: ShutdownPhases, has_capacity: bool) {
        let end = match has_capacity {
            false => TrackingEnd::AtCapacity,
            true => tokio::select! {
                biased;
                end = self.forward_events(shared) => end,
                () = reached(&mut shutdown, ShutdownPhase::EndTracking) => TrackingEnd::Stopping,
                () = tokio::time::sleep(TRACKING_MAX) => TrackingEnd::TimedOut,
            },
        };
        match end {
            TrackingEnd::Completed => {}
            TrackingEnd::NoSubscriber => {
                tracing::info!(operation = %self.operation, "the reply subject has no subscriber");
            }
            TrackingEnd::Stopping | TrackingEnd::TimedOut | TrackingEnd::AtCapacity => {
                self.stop(shared, end).await;
            }
        }
    }

    /// Sends the events that are recorded already, then those of the feed.
    async fn forward_events(&mut self, shared: &Shared) -> TrackingEnd {
        let mut subscription = shared.feed.subscribe(&self.operation).await;
        let recorded = loop {
            match self.recorded(shared).await {
                Ok(recorded) => break recorded,
                Err(failure) => tracing::info!(why = failure.why, "polling the agent for events again soon"),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        };
        if let Some(end) = self.send_all(recorded, shared).await {
            return end;
        }
        let mut events = Vec::new();
        while subscription.events.recv_many(&mut events, BATCH_MAX).await > 0 {
            if let Some(end) = self.send_all(std::mem::take(&mut events), shared).await {
                return end;
            }
        }
        TrackingEnd::Stopping
    }

    /// Events of the operation that are recorded and not sent.
    async fn recorded(&self, shared: &Shared) -> Result<Vec<EventMessage>, Failure> {
        let Ok(_permit) = shared.history_permits.acquire().await else { return Ok(Vec::new()) };
        let agent = AgentClient { client: &shared.client, trace: None };
        let (mut events, mut after) = (Vec::new(), self.sent);
        loop {
            let operation = Some(self.operation.clone());
            let reply = agent.request(&EventsRequest { after, environment: None, operation }).await?;
            events.extend(reply.events);
            after = reply.next;
            if reply.next >= reply.head {
                return Ok(events);
            }
        }
    }

    /// Sends a batch of events. A parked operation with later events has gone on
    /// since.
    async fn send_all(&mut self, events: Vec<EventMessage>, shared: &Shared) -> Option<TrackingEnd> {
        let last = events.last().map(|event| event.seq);
        for event in events {
            if event.seq <= self.sent {
                continue;
            }
            let seq = event.seq;
            let is_end = is_end(&event, last == Some(seq));
            let update = if is_end { Update::Ended(event) } else { Update::Progress(event) };
            match (self.reply.send_until_delivered(update, &shared.update_permits).await, is_end) {
                (false, _) => return Some(TrackingEnd::NoSubscriber),
                (true, true) => return Some(TrackingEnd::Completed),
                (true, false) => self.sent = seq,
            }
        }
        None
    }

    /// Sends the end if it is recorded, and otherwise tells the requester that
    /// tracking stops.
    async fn stop(&mut self, shared: &Shared, end: TrackingEnd) {
        let recorded = match end {
            TrackingEnd::TimedOut => self.recorded(shared).await.unwrap_or_default(),
            _ => Vec::new(),
        };
        if self.send_all(recorded, shared).await.is_none() {
            tracing::info!(operation = %self.operation, why = ?end, "no longer tracked");
            self.reply.send(Update::Unfollowed(self.failure(end))).await;
        }
    }

    fn failure(&self, end: TrackingEnd) -> Failure {
        let (class, code, why) = match end {
            TrackingEnd::Stopping => (Class::Unavailable, "stopping", "the orchestrator ends".to_owned()),
            TrackingEnd::AtCapacity => (Class::Busy, "busy", "too many others are followed".to_owned()),
            TrackingEnd::TimedOut | TrackingEnd::Completed | TrackingEnd::NoSubscriber => {
                let why = format!("it has not ended within {} s", TRACKING_MAX.as_secs());
                (Class::Unavailable, "follow-ended", why)
            }
        };
        let hint = "the work goes on: ask for infra.status, or send the task again under its idempotency key";
        Failure::new(class, code, "following", self.operation.as_str(), &why, hint)
    }
}

fn is_end(event: &EventMessage, is_last: bool) -> bool {
    let kind = event.event.get("type").and_then(Value::as_str).unwrap_or_default();
    TERMINAL.contains(&kind) || (kind == PARKED && is_last)
}

#[cfg(test)]
mod tests {
    use exokit_model::canonical::Digest;
    use jiff::Timestamp;

    use super::*;

    fn event(kind: &str) -> EventMessage {
        let event = [("type".to_owned(), Value::from(kind))].into_iter().collect();
        let hash = Digest::of("test", b"");
        let (at, environment, operation) = (Timestamp::UNIX_EPOCH, None, None);
        EventMessage { schema_version: 1, seq: 1, hash, at, environment, operation, event }
    }

    #[test]
    fn a_parked_operation_that_went_on_has_not_ended() {
        for (kind, is_last, ends) in [
            ("operation-parked", true, true),
            ("operation-parked", false, false),
            ("operation-succeeded", false, true),
            ("plan-rejected", true, true),
            ("resource-ready", true, false),
        ] {
            assert_eq!(is_end(&event(kind), is_last), ends, "{kind}");
        }
    }
}
