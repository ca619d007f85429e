//! Requests to the agent: those of tasks, forwarded as they are, and the
//! orchestrator's own.

use std::time::Duration;

use async_nats::{Client, HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use exokit_spans::request::{TRACEPARENT, TraceContext, record_outcome};
use exokit_wire::SCHEMA_VERSION;
use exokit_wire::decode;
use exokit_wire::envelope::{Answer, Meta};
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::Message;
use serde::Deserialize as _;
use serde_json::Value;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

/// Longest wait for the reply to a request of the orchestrator's own.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
pub(crate) struct AgentClient<'a> {
    pub(crate) client: &'a Client,
    /// Trace of the task that the requests are for.
    pub(crate) trace: Option<&'a TraceContext>,
}

impl AgentClient<'_> {
    /// Sends a request of the orchestrator's own and decodes the reply.
    pub(crate) async fn request<M: Message>(&self, message: &M) -> Result<M::Reply, Failure> {
        let broken = |why: String| {
            let hint = "agent and orchestrator may be of different versions";
            Failure::new(Class::Internal, "foreign-reply", "asking", M::VERB.subject(), &why, hint)
        };
        let request = Meta::bare().around(message).map_err(|error| broken(error.to_string()))?;
        let reply = self.forward(M::VERB.subject(), request.to_string().into(), TIMEOUT).await?;
        let reply: Answer<M::Reply> =
            serde_json::from_value(reply).map_err(|error| broken(error.to_string()))?;
        match (reply.result, reply.error) {
            (Some(result), _) => Ok(result),
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(broken("neither result nor error came back".to_owned())),
        }
    }

    /// Sends a message as it is, in the trace of the task.
    pub(crate) async fn forward(
        &self,
        subject: &str,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        let Some(trace) = self.trace else {
            return self.send(subject, HeaderMap::new(), payload, timeout).await;
        };
        let span = send_span(subject, payload.len());
        let headers = headers(&trace.of_child(&span));
        let outcome = self.send(subject, headers, payload, timeout).instrument(span.clone()).await;
        record_reply(&span, &outcome);
        outcome
    }

    /// Accepts only a reply that carries our schema version.
    async fn send(
        &self,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        let failed = |class, code: &str, why: String, hint: &str| {
            Err(Failure::new(class, code, "asking", subject, &why, hint))
        };
        // The client's own timeout is shorter than those of some routes.
        let request = Request::new().headers(headers).payload(payload).timeout(None);
        let sent = self.client.send_request(subject.to_owned(), request);
        let message = match tokio::time::timeout(timeout, sent).await {
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
                let why = format!("no answer within {} s", timeout.as_secs());
                let hint = "it may have been done: send the same again under the same idempotency key";
                return failed(Class::Unavailable, "timeout", why, hint);
            }
        };
        match decode::reply(&message.payload) {
            Ok(fields) if fields.get("schema_version") == Some(&SCHEMA_VERSION.into()) => {
                Ok(Value::Object(fields))
            }
            _ => {
                let why = "what came back is no reply of the agent".to_owned();
                failed(Class::Internal, "foreign-reply", why, "no stream may capture the agent's subjects")
            }
        }
    }
}

/// A request that this process sends, until the reply comes.
fn send_span(subject: &str, bytes: usize) -> Span {
    // The exporter writes unsigned numbers as text.
    tracing::trace_span!(
        "send",
        otel.name = format_args!("send {subject}"),
        otel.kind = "client",
        otel.status_code = Empty,
        otel.status_description = Empty,
        messaging.system = "nats",
        messaging.operation.name = "send",
        "messaging.operation.type" = "send",
        messaging.destination.name = subject,
        messaging.message.body.size = i64::try_from(bytes).unwrap_or(i64::MAX),
        "error.type" = Empty,
    )
}

pub(crate) fn headers(trace: &TraceContext) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, trace.to_string());
    headers
}

/// Records in a span how the agent replied, which may be a refusal.
pub(crate) fn record_reply(span: &Span, outcome: &Result<Value, Failure>) {
    if span.is_disabled() {
        return;
    }
    let failure = match outcome {
        Ok(reply) => reply.get("error").and_then(|error| Failure::deserialize(error).ok()),
        Err(failure) => Some(failure.clone()),
    };
    record_outcome(span, failure.as_ref().map(|failure| (failure.status, failure.code.as_str())));
}
