//! One task, from its message to the answer.

use std::time::Duration;

use async_nats::{Client, Message};
use bytes::Bytes;
use exokit_nats::is_inbox;
use exokit_spans::request::{TRACEPARENT, TraceContext, process_span};
use exokit_wire::decode;
use exokit_wire::event::{TASK_PREFIX, Update};
use exokit_wire::failure::{Class, Failure};
use serde_json::Value;
use tracing::{Instrument as _, Span};

use crate::agent_client::{AgentClient, record_reply};
use crate::approval_gate::ApprovalGate;
use crate::operation_tracker::OperationTracker;
use crate::shared::Shared;
use crate::shutdown::{ShutdownPhase, ShutdownPhases, reached};
use crate::task_reply::TaskReply;

/// Queue group that the replicas of the orchestrator share.
pub(crate) const GROUP: &str = "orchestrator";

/// Most tasks that wait for an answer at once; more are refused.
pub(crate) const TASKS_MAX: usize = 1_000;

pub(crate) struct Task {
    pub(crate) reply: TaskReply,
    payload: Bytes,
    /// Open until the task is answered.
    span: Span,
}

impl Task {
    /// The task of a message; none without an inbox for the reply.
    pub(crate) fn of(message: Message, client: &Client) -> Option<Self> {
        let kind = message.subject.as_str().strip_prefix(TASK_PREFIX)?.to_owned();
        let Some(subject) = message.reply.clone().filter(is_inbox) else {
            tracing::warn!(task = kind, "not routed: the message has no inbox for the reply");
            return None;
        };
        // Publishers choose the end of the subject, so the span's name omits it.
        let name = format!("{TASK_PREFIX}>");
        let span = process_span(&name, &message.subject, GROUP, message.payload.len());
        let header = message.headers.as_ref().and_then(|headers| headers.get(TRACEPARENT));
        let trace = TraceContext::continued(header.map(|value| value.as_str()), &span);
        let reply = TaskReply { client: client.clone(), kind, subject, trace };
        Some(Self { reply, payload: message.payload, span })
    }

    /// Answers or refuses the task. Returns the operation to track, if any.
    pub(crate) async fn run(
        self,
        shared: &Shared,
        mut shutdown: ShutdownPhases,
        has_capacity: bool,
    ) -> Option<OperationTracker> {
        let outcome = match has_capacity {
            false => Err(at_capacity(&self.reply.kind)),
            true => tokio::select! {
                biased;
                outcome = self.forward(shared).instrument(self.span.clone()) => outcome,
                () = reached(&mut shutdown, ShutdownPhase::RefuseTasks) => Err(stopping(&self.reply.kind)),
            },
        };
        record_reply(&self.span, &outcome);
        match outcome {
            Ok(answer) => {
                self.reply.send(Update::Answered(answer.clone())).await;
                OperationTracker::new(self.reply, &answer)
            }
            Err(failure) => {
                tracing::info!(code = failure.code, why = failure.why, "refused");
                self.reply.send(Update::Refused(failure)).await;
                None
            }
        }
    }

    /// Checks the task against its route and gate, and forwards it to the agent.
    async fn forward(&self, shared: &Shared) -> Result<Value, Failure> {
        let (config, kind) = (&shared.config, &self.reply.kind);
        let route = config.routes.tasks.get(kind).ok_or_else(|| {
            let why = "no route is known for it";
            let hint = "use one of the task types in the routing table";
            Failure::new(Class::NotFound, "unknown-task", "routing", kind, why, hint)
        })?;
        let fields = decode::object(&self.payload).map_err(|error| error.failure(kind))?;
        let agent = AgentClient { client: &shared.client, trace: Some(&self.reply.trace) };
        let gate = ApprovalGate { agent, root: config.root.as_ref(), now: (config.now)() };
        let votes = gate.check(route, &fields).await?;
        config.audit.append(kind, &votes, (config.now)()).map_err(|error| {
            let hint = "check the disk of the audit log; without it no vote is handed on";
            Failure::new(Class::Unavailable, "audit", "writing down", "the votes", &error.to_string(), hint)
        })?;
        let timeout = Duration::from_secs(route.timeout_seconds);
        agent.forward(&route.subject, self.payload.clone(), timeout).await
    }
}

fn at_capacity(task: &str) -> Failure {
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
