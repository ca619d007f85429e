//! The spans of requests and of tasks, by the names of OpenTelemetry's semantic
//! conventions. Where nobody exports them they are none, and cost nothing.
//!
//! Nothing of a message is in them but its subject and its length.

use async_nats::Message;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::task::TASK_PREFIX;
use exokit_wire::verb::{HttpMethod, Verb};
use serde::Deserialize as _;
use serde_json::Value;
use tracing::Span;
use tracing::field::Empty;

/// A request over HTTP.
pub(crate) fn http(verb: Verb) -> Span {
    let method = || match verb.method() {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
    };
    tracing::trace_span!(
        "http",
        otel.name = format_args!("{} {}", method(), verb.path()),
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        http.request.method = method(),
        http.route = verb.path(),
        http.response.status_code = Empty,
        infra.request = verb.name(),
        "error.type" = Empty,
    )
}

/// A request over NATS. The subscriptions are to the subjects of the table
/// alone, so that there are few names.
pub(crate) fn nats(message: &Message, group: &str) -> Span {
    tracing::trace_span!(
        "nats",
        otel.name = format_args!("process {}", message.subject),
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        messaging.system = "nats",
        messaging.operation.name = "process",
        "messaging.operation.type" = "process",
        messaging.destination.name = %message.subject,
        messaging.consumer.group.name = group,
        messaging.message.body.size = size(message.payload.len()),
        "error.type" = Empty,
    )
}

/// A task, until its answer came. Whoever may publish tasks chooses what their
/// subjects end with, so that is in no name.
pub(crate) fn task(message: &Message, group: &str) -> Span {
    tracing::trace_span!(
        "task",
        otel.name = format_args!("process {TASK_PREFIX}>"),
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        messaging.system = "nats",
        messaging.operation.name = "process",
        "messaging.operation.type" = "process",
        messaging.destination.name = %message.subject,
        messaging.destination.template = format_args!("{TASK_PREFIX}>"),
        messaging.consumer.group.name = group,
        messaging.message.body.size = size(message.payload.len()),
        "error.type" = Empty,
    )
}

/// A request to the agent, until its reply came.
pub(crate) fn asking(subject: &str, bytes: usize) -> Span {
    tracing::trace_span!(
        "asking",
        otel.name = format_args!("send {subject}"),
        otel.kind = "client",
        otel.status_code = Empty,
        otel.status_description = Empty,
        messaging.system = "nats",
        messaging.operation.name = "send",
        "messaging.operation.type" = "send",
        messaging.destination.name = subject,
        messaging.message.body.size = size(bytes),
        "error.type" = Empty,
    )
}

/// Numbers without a sign would be exported as text.
fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Says in a span how it ended. What was refused for the requester's own
/// reasons is no fault of who answers.
pub(crate) fn ended<T>(span: &Span, outcome: &Result<T, Failure>) {
    if span.is_disabled() {
        return;
    }
    let status = outcome.as_ref().err().map_or(200, |failure| failure.status);
    // Only spans of HTTP have this field; elsewhere nothing is recorded.
    span.record("http.response.status_code", i64::from(status));
    if let Err(failure) = outcome {
        span.record("error.type", failure.code.as_str());
        if failure.status >= Class::Internal.status() {
            span.record("otel.status_code", "error");
            span.record("otel.status_description", failure.code.as_str());
        }
    }
}

/// Says in a span what the agent answered, which may be a refusal.
pub(crate) fn asked(span: &Span, outcome: &Result<Value, Failure>) {
    if span.is_disabled() {
        return;
    }
    let refusal = |answer: &Value| Failure::deserialize(answer.get("error")?).ok();
    match outcome.as_ref().map(refusal) {
        Ok(None) => ended(span, &Ok(())),
        Ok(Some(refusal)) => ended(span, &Err::<(), _>(refusal)),
        Err(_) => ended(span, outcome),
    }
}
