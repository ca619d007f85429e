//! One task, from its message to the answer.

use async_nats::{Client, Message};
use bytes::Bytes;
use exokit_wire::decode;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::task::{TASK_PREFIX, Update};
use serde_json::Value;
use tracing::{Instrument as _, Span};

use super::ask::Asker;
use super::follow::Follow;
use super::gate::Judge;
use super::giver::Giver;
use super::stage::{Stage, Stages};
use super::{GROUP, Shared, TASKS_MAX};
use crate::span;
use crate::trace::Trace;
use exokit_nats::is_inbox;

/// One task under way.
pub(super) struct Task {
    pub(super) giver: Giver,
    payload: Bytes,
    /// Open until the task is answered.
    span: Span,
}

impl Task {
    /// The task of a message; none when there is no inbox to answer to.
    pub(super) fn of(message: Message, client: &Client) -> Option<Self> {
        let kind = message.subject.as_str().strip_prefix(TASK_PREFIX)?.to_owned();
        let Some(reply) = message.reply.clone().filter(is_inbox) else {
            tracing::warn!(task = kind, "not routed: there is no inbox to answer to");
            return None;
        };
        let span = span::task(&message, GROUP);
        let header = message.headers.as_ref().and_then(|headers| headers.get("traceparent"));
        let trace = Trace::continued(header.map(|value| value.as_str()), &span);
        let giver = Giver { client: client.clone(), kind, reply, trace };
        Some(Self { giver, payload: message.payload, span })
    }

    /// Answers or refuses it. Gives what is to be followed.
    pub(super) async fn work(self, shared: &Shared, mut stages: Stages, has_room: bool) -> Option<Follow> {
        let outcome = match has_room {
            false => Err(crowded(&self.giver.kind)),
            true => tokio::select! {
                biased;
                outcome = self.forward(shared).instrument(self.span.clone()) => outcome,
                () = stages.reach(Stage::Unanswered) => Err(stopping(&self.giver.kind)),
            },
        };
        span::asked(&self.span, &outcome);
        match outcome {
            Ok(answer) => {
                self.giver.tell(Update::Answered(answer.clone())).await;
                Follow::of(self.giver, &answer)
            }
            Err(failure) => {
                tracing::info!(code = failure.code, why = failure.why, "refused");
                self.giver.tell(Update::Refused(failure)).await;
                None
            }
        }
    }

    /// Checks a task against the table and its gate, and asks the agent.
    async fn forward(&self, shared: &Shared) -> Result<Value, Failure> {
        let (setup, kind) = (&shared.setup, &self.giver.kind);
        let route = setup.routes.find(kind).ok_or_else(|| {
            let why = "no route is known for it";
            let hint = "use one of the task types in the routing table";
            Failure::new(Class::NotFound, "unknown-task", "routing", kind, why, hint)
        })?;
        let fields = decode::object(&self.payload).map_err(|error| error.failure(kind))?;
        let asker = Asker { client: &shared.client, trace: Some(&self.giver.trace) };
        let judge = Judge { asker, root: setup.root.as_ref(), now: (setup.now)() };
        let votes = judge.check(route, &fields).await?;
        setup.audit.write(kind, &votes, (setup.now)()).map_err(|error| {
            let hint = "check the disk of the audit log; without it no vote is handed on";
            Failure::new(Class::Unavailable, "audit", "writing down", "the votes", &error.to_string(), hint)
        })?;
        asker.forward(&route.subject, self.payload.clone(), route.timeout()).await
    }
}

fn crowded(task: &str) -> Failure {
    let why = format!("{TASKS_MAX} tasks wait for an answer");
    let hint = "send the same again after the time in retry_after_ms";
    let failure = Failure::new(Class::Busy, "busy", "routing", task, &why, hint);
    Failure { retry_after_ms: Some(5_000), ..failure }
}

fn stopping(task: &str) -> Failure {
    let why = "the orchestrator ends, and the agent has not answered yet";
    let hint = "it may have been done: send the same again under the same idempotency key";
    Failure::new(Class::Unavailable, "stopping", "routing", task, why, hint)
}
