//! Following what a task began: each event of its operation goes to who gave
//! the task, until the operation has ended.

use std::time::Duration;

use exokit_model::ids::OperationId;
use exokit_wire::event::EventMessage;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::reply::OperationReply;
use exokit_wire::request::EventsRequest;
use exokit_wire::task::Update;
use serde::Deserialize as _;
use serde_json::Value;

use super::ask::Asker;
use super::giver::Giver;
use super::{Shared, Stage, Stages};

/// Longest time for which one task is followed.
const FOLLOW: Duration = Duration::from_secs(3600);

/// Pause before the agent is asked again for what it has recorded.
const RETRY: Duration = Duration::from_secs(5);

/// Most events that are taken from the feed together.
const TOGETHER: usize = 64;

/// Event after which nothing more comes by itself, until somebody decides.
const PARKED: &str = "operation-parked";

/// Events after which nothing more comes.
const LAST: [&str; 3] = ["operation-succeeded", "operation-rolled-back", "plan-rejected"];

/// A task whose operation has begun or waits to begin.
pub(super) struct Follow {
    giver: Giver,
    operation: OperationId,
    /// The last record that was told.
    told: u64,
}

/// Why a task is no longer followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// Its operation has ended, and that was told.
    Ended,
    /// Nobody hears it any more.
    Unheard,
    /// The orchestrator ends.
    Stopped,
    /// It has taken too long.
    TooLong,
    /// Too many others are followed.
    Crowded,
}

impl Follow {
    /// What is to be followed after an answer; none when nothing was begun.
    pub(super) fn of(giver: Giver, answer: &Value) -> Option<Self> {
        let reply = OperationReply::deserialize(answer.get("result")?).ok()?;
        let is_open = !matches!(reply.phase.raw(), "succeeded" | "rolled-back" | "rejected" | "needs-human");
        is_open.then_some(Self { giver, operation: reply.operation, told: 0 })
    }

    /// Follows it to its end, or tells that it is left before.
    pub(super) async fn run(mut self, shared: &Shared, mut stages: Stages, has_room: bool) {
        let left = match has_room {
            false => Left::Crowded,
            true => tokio::select! {
                biased;
                left = self.hand_on(shared) => left,
                () = stages.reach(Stage::Unfollowed) => Left::Stopped,
                () = tokio::time::sleep(FOLLOW) => Left::TooLong,
            },
        };
        match left {
            Left::Ended => {}
            Left::Unheard => tracing::info!(operation = %self.operation, "nobody hears it any more"),
            Left::Stopped | Left::TooLong | Left::Crowded => self.leave(shared, left).await,
        }
    }

    /// Hands on what was recorded before, then what is heard.
    async fn hand_on(&mut self, shared: &Shared) -> Left {
        let mut listener = shared.feed.listen(&self.operation).await;
        let recorded = loop {
            match self.recorded(shared).await {
                Ok(recorded) => break recorded,
                Err(failure) => tracing::info!(why = failure.why, "the agent is asked again for its events"),
            }
            tokio::time::sleep(RETRY).await;
        };
        if let Some(left) = self.tell_all(recorded, shared).await {
            return left;
        }
        let mut heard = Vec::new();
        while listener.events.recv_many(&mut heard, TOGETHER).await > 0 {
            if let Some(left) = self.tell_all(std::mem::take(&mut heard), shared).await {
                return left;
            }
        }
        Left::Stopped
    }

    /// The events of the operation that were recorded and not told.
    async fn recorded(&self, shared: &Shared) -> Result<Vec<EventMessage>, Failure> {
        let Ok(_permit) = shared.looks.acquire().await else { return Ok(Vec::new()) };
        let asker = Asker { client: &shared.client, trace: None };
        let (mut events, mut after) = (Vec::new(), self.told);
        loop {
            let operation = Some(self.operation.clone());
            let reply = asker.ask(&EventsRequest { after, environment: None, operation }).await?;
            events.extend(reply.events);
            after = reply.next;
            if reply.next >= reply.head {
                return Ok(events);
            }
        }
    }

    /// Tells events that came together. One that was parked, and that something
    /// comes after, has gone on since.
    async fn tell_all(&mut self, events: Vec<EventMessage>, shared: &Shared) -> Option<Left> {
        let last = events.last().map(|event| event.seq);
        for event in events {
            if event.seq <= self.told {
                continue;
            }
            let seq = event.seq;
            let ends = is_end(&event, last == Some(seq));
            let update = if ends { Update::Ended(event) } else { Update::Progress(event) };
            match (self.giver.tell_until_heard(update, &shared.tellings).await, ends) {
                (false, _) => return Some(Left::Unheard),
                (true, true) => return Some(Left::Ended),
                (true, false) => self.told = seq,
            }
        }
        None
    }

    /// Looks whether it has ended meanwhile, and otherwise says that nothing
    /// more comes.
    async fn leave(&mut self, shared: &Shared, why: Left) {
        let recorded = match why {
            Left::TooLong => self.recorded(shared).await.unwrap_or_default(),
            _ => Vec::new(),
        };
        if self.tell_all(recorded, shared).await.is_none() {
            tracing::info!(operation = %self.operation, ?why, "no longer followed");
            self.giver.tell(Update::Unfollowed(self.left(why))).await;
        }
    }

    fn left(&self, why: Left) -> Failure {
        let (class, code, why) = match why {
            Left::Stopped => (Class::Unavailable, "stopping", "the orchestrator ends".to_owned()),
            Left::Crowded => (Class::Busy, "busy", "too many others are followed".to_owned()),
            Left::TooLong | Left::Ended | Left::Unheard => {
                let why = format!("it has not ended within {} s", FOLLOW.as_secs());
                (Class::Unavailable, "follow-ended", why)
            }
        };
        let hint = "the work goes on: ask for infra.status, or send the task again under its idempotency key";
        Failure::new(class, code, "following", self.operation.as_str(), &why, hint)
    }
}

fn is_end(event: &EventMessage, is_last: bool) -> bool {
    let kind = event.event.get("type").and_then(Value::as_str).unwrap_or_default();
    LAST.contains(&kind) || (kind == PARKED && is_last)
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
    fn what_was_parked_and_went_on_has_not_ended() {
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
