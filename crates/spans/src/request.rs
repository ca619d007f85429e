//! Spans of requests over NATS, and the outcome of requests over any transport,
//! by the semantic conventions of OpenTelemetry.
//!
//! A span holds the subject and the length of a message, and nothing else of it.
//! Without an exporter spans are disabled and cost one comparison.

use tracing::Span;
use tracing::field::Empty;

/// The first status that is a fault of the server.
const SERVER_ERROR: u16 = 500;

/// A received message, until it is answered. `name` must come from a small set;
/// `subject` may be chosen by the publisher.
#[must_use]
pub fn process_span(name: &str, subject: &str, queue_group: &str, bytes: usize) -> Span {
    tracing::trace_span!(
        "process",
        otel.name = format_args!("process {name}"),
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        messaging.system = "nats",
        messaging.operation.name = "process",
        "messaging.operation.type" = "process",
        messaging.destination.name = subject,
        messaging.destination.template = name,
        messaging.consumer.group.name = queue_group,
        messaging.message.body.size = size(bytes),
        "error.type" = Empty,
    )
}

/// A request that this process sends, until the reply comes.
#[must_use]
pub fn send_span(subject: &str, bytes: usize) -> Span {
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
        messaging.message.body.size = size(bytes),
        "error.type" = Empty,
    )
}

/// Records the outcome of a request: none for success, or the status and code of
/// the failure. Only a status from 500 is an error of the span; the others are
/// faults of the requester.
pub fn record_outcome(span: &Span, failure: Option<(u16, &str)>) {
    // Only spans of HTTP have this field; others ignore it.
    span.record("http.response.status_code", i64::from(failure.map_or(200, |(status, _)| status)));
    let Some((status, code)) = failure else { return };
    span.record("error.type", code);
    if status >= SERVER_ERROR {
        span.record("otel.status_code", "error");
        span.record("otel.status_description", code);
    }
}

/// The exporter writes unsigned numbers as text.
fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
