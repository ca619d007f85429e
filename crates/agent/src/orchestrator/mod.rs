//! The orchestrator's routing: tasks of the platform become requests to the
//! agent, and what comes of them goes back.
//!
//! It is no authority: the agent verifies every vote again. It spares the agent
//! requests that cannot succeed, and writes down each vote that it hands on
//! before it does.

mod audit;
mod gate;
mod routes;

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, RequestErrorKind, Subject};
use exokit_approval::keys::PublicKey;
use exokit_wire::SCHEMA_VERSION;
use exokit_wire::decode;
use exokit_wire::event::EventMessage;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::task::{TASK_PREFIX, TaskUpdate, Update};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde_json::Value;
use tokio::task::JoinSet;
use tracing::{Instrument as _, Span};

use crate::nats::{NatsError, headers, is_inbox};
use crate::span;
use crate::trace::Trace;

pub use audit::Audit;
pub use routes::{Gate, Route, Routes};

/// Queue group that the replicas of the orchestrator share.
const GROUP: &str = "orchestrator";

/// Most tasks under way at once; more are told to come again.
const TASKS_MAX: usize = 1_000;

/// Longest time for which the events of one task are handed on.
const FOLLOW: Duration = Duration::from_secs(3600);

/// Events after which nothing more comes of an operation by itself.
const LAST: [&str; 4] = ["operation-succeeded", "operation-rolled-back", "operation-parked", "plan-rejected"];

/// What routing needs.
pub struct Orchestrator {
    /// The connection.
    pub client: Client,
    /// The table.
    pub routes: Routes,
    /// Who signs rosters. Without it no vote can be verified.
    pub root: Option<PublicKey>,
    /// Where votes that are handed on are written down.
    pub audit: Audit,
    /// The time of day.
    pub now: Now,
}

/// The time of day.
pub type Now = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// One task under way.
struct Task {
    kind: String,
    reply: Subject,
    payload: bytes::Bytes,
    trace: Trace,
    /// Open until the task is answered.
    span: Span,
}

/// Who asks the agent, for one task.
struct Asker<'a> {
    orchestrator: &'a Orchestrator,
    trace: &'a Trace,
}

impl Orchestrator {
    /// Routes tasks until `stop` comes true.
    ///
    /// # Errors
    /// When tasks cannot be subscribed to.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), NatsError> {
        let subject = format!("{TASK_PREFIX}>");
        let subscribed = self.client.queue_subscribe(subject.clone(), GROUP.to_owned()).await;
        let mut tasks = subscribed.map_err(|source| NatsError::Subscribe { subject, source })?;
        let shared = Arc::new(self);
        let mut under_way = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                Some(message) = tasks.next() => {
                    let Some(task) = task_of(message) else { continue };
                    let shared = shared.clone();
                    let has_room = under_way.len() < TASKS_MAX;
                    let logged = tracing::info_span!("task", task = task.kind, trace = %task.trace.id());
                    let work = async move { shared.work(task, has_room).await };
                    under_way.spawn(work.instrument(logged));
                }
            }
        }
        // What is under way is the agent's; who waits asks it for the status.
        under_way.shutdown().await;
        Ok(())
    }

    async fn work(&self, mut task: Task, has_room: bool) {
        let span = std::mem::replace(&mut task.span, Span::none());
        let outcome = match has_room {
            true => self.forward(&task).instrument(span.clone()).await,
            false => Err(crowded(&task.kind)),
        };
        span::asked(&span, &outcome);
        // What follows may take an hour.
        drop(span);
        match outcome {
            Ok(answer) => {
                let environment = began(&answer);
                match environment {
                    Some((name, operation)) => self.follow(&task, answer, &name, &operation).await,
                    None => self.tell(&task, Update::Answered(answer)).await,
                }
            }
            Err(failure) => {
                tracing::info!(code = failure.code, why = failure.why, "refused");
                self.tell(&task, Update::Refused(failure)).await;
            }
        }
    }

    /// Checks a task against the table and its gate, and asks the agent.
    async fn forward(&self, task: &Task) -> Result<Value, Failure> {
        let route = self.routes.find(&task.kind).ok_or_else(|| {
            let why = "no route is known for it";
            let hint = "use one of the task types in the routing table";
            Failure::new(Class::NotFound, "unknown-task", "routing", &task.kind, why, hint)
        })?;
        let fields = decode::object(&task.payload).map_err(|error| error.failure(&task.kind))?;
        let asker = Asker { orchestrator: self, trace: &task.trace };
        let votes = gate::check(&asker, route, &fields).await?;
        self.audit.write(&task.kind, &votes, (self.now)()).map_err(|error| {
            let hint = "check the disk of the audit log; without it no vote is handed on";
            Failure::new(Class::Unavailable, "audit", "writing down", "the votes", &error.to_string(), hint)
        })?;
        asker.ask(&route.subject, task.payload.clone(), route.timeout()).await
    }

    /// Asks the agent. Only what carries our version is an answer.
    async fn ask(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: bytes::Bytes,
        within: Duration,
    ) -> Result<Value, Failure> {
        let failed = |class, code: &str, why: String, hint: &str| {
            Err(Failure::new(class, code, "asking", subject, &why, hint))
        };
        let asked = self.client.request_with_headers(subject.to_owned(), headers, payload);
        let message = match tokio::time::timeout(within, asked).await {
            Ok(Ok(message)) => message,
            Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => {
                let why = "no agent answers".to_owned();
                return failed(Class::Unavailable, "no-agent", why, "start one with `exokit serve --nats`");
            }
            Ok(Err(error)) => {
                let hint = "check NATS; the request may have been done: send the same again";
                return failed(Class::Unavailable, "nats", error.to_string(), hint);
            }
            Err(_) => {
                let why = format!("no answer within {} s", within.as_secs());
                let hint = "it may have been done: send the same again under the same idempotency key";
                return failed(Class::Unavailable, "timeout", why, hint);
            }
        };
        match decode::object(&message.payload) {
            Ok(fields) if fields.get("schema_version") == Some(&SCHEMA_VERSION.into()) => {
                Ok(Value::Object(fields))
            }
            _ => {
                let why = "what came back is no reply of the agent".to_owned();
                failed(Class::Internal, "foreign-reply", why, "no stream may capture the agent's subjects")
            }
        }
    }

    /// Hands on what happens to an environment until its operation ends. The
    /// events are subscribed to before the answer is told, so that none is
    /// missed after it.
    async fn follow(&self, task: &Task, answer: Value, environment: &str, operation: &str) {
        let events = self.client.subscribe(format!("infra.events.{environment}.>")).await;
        self.tell(task, Update::Answered(answer)).await;
        let Ok(events) = events else { return };
        let followed = tokio::time::timeout(FOLLOW, self.hand_on(task, events, operation)).await;
        if followed.is_err() {
            tracing::warn!(environment, "no longer followed");
        }
    }

    async fn hand_on(&self, task: &Task, mut events: async_nats::Subscriber, operation: &str) {
        while let Some(message) = events.next().await {
            let Ok(event) = serde_json::from_slice::<EventMessage>(&message.payload) else { continue };
            if event.operation.as_ref().is_none_or(|id| id.as_str() != operation) {
                continue;
            }
            let kind = event.event.get("type").and_then(Value::as_str).unwrap_or_default();
            match LAST.contains(&kind) {
                true => return self.tell(task, Update::Ended(event)).await,
                false => self.tell(task, Update::Progress(event)).await,
            }
        }
    }

    async fn tell(&self, task: &Task, update: Update) {
        let update = TaskUpdate { schema_version: SCHEMA_VERSION, task: task.kind.clone(), update };
        let Ok(body) = serde_json::to_vec(&update) else { return };
        // Who gave the task asks for the status when nothing comes.
        let (to, headers) = (task.reply.clone(), headers(&task.trace));
        if let Err(error) = self.client.publish_with_headers(to, headers, body.into()).await {
            tracing::warn!(%error, "an update was not sent");
        }
    }
}

impl Asker<'_> {
    /// Asks the agent, in the trace of the task.
    async fn ask(&self, subject: &str, payload: bytes::Bytes, within: Duration) -> Result<Value, Failure> {
        let span = span::asking(subject, payload.len());
        let headers = headers(&self.trace.within(&span));
        let asked = self.orchestrator.ask(subject, headers, payload, within);
        let outcome = asked.instrument(span.clone()).await;
        span::asked(&span, &outcome);
        outcome
    }
}

/// A task of a message; none when there is no inbox to answer to.
fn task_of(message: Message) -> Option<Task> {
    let kind = message.subject.as_str().strip_prefix(TASK_PREFIX)?.to_owned();
    let Some(reply) = message.reply.clone().filter(is_inbox) else {
        tracing::warn!(task = kind, "not routed: there is no inbox to answer to");
        return None;
    };
    let span = span::task(&message, GROUP);
    let header = message.headers.as_ref().and_then(|headers| headers.get("traceparent"));
    let trace = Trace::continued(header.map(|value| value.as_str()), &span);
    Some(Task { kind, reply, payload: message.payload, trace, span })
}

/// Environment and operation that an answer says were begun or wait to begin.
fn began(answer: &Value) -> Option<(String, String)> {
    let result = answer.get("result")?;
    let text = |name: &str| result.get(name).and_then(Value::as_str).map(str::to_owned);
    let open = !matches!(text("phase")?.as_str(), "succeeded" | "rolled-back" | "rejected" | "needs-human");
    let operation = text("operation")?;
    open.then_some((text("environment")?, operation))
}

fn crowded(task: &str) -> Failure {
    let why = format!("{TASKS_MAX} tasks are under way");
    let hint = "send the same again after the time in retry_after_ms";
    let failure = Failure::new(Class::Busy, "busy", "routing", task, &why, hint);
    Failure { retry_after_ms: Some(5_000), ..failure }
}
