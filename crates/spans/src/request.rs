//! The trace context of a request, as the W3C recommendation carries it in the
//! header `traceparent`, the span of a request that came over NATS, and the
//! outcome of requests over any transport, by the semantic conventions of OpenTelemetry.
//!
//! A span holds the subject and the length of a message, and nothing else of it.
//! Without an exporter spans are disabled and cost one comparison.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Header that carries a trace context, over HTTP and NATS.
pub const TRACEPARENT: &str = "traceparent";

/// The trace of a request, and the span in it that handles the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext(SpanContext);

impl TraceContext {
    /// Continues the trace of a [`TRACEPARENT`] header, or begins a trace when
    /// there is no valid header. If `span` is exported, it becomes a child of the
    /// header's span; without an exporter the ids are random.
    #[must_use]
    pub fn continued(traceparent: Option<&str>, span: &Span) -> Self {
        let remote = traceparent.and_then(extract);
        if let Some(remote) = &remote
            && !span.is_disabled()
        {
            // Fails without an exporter, which needs no parent.
            let _ = span.set_parent(Context::new().with_remote_span_context(remote.clone()));
        }
        Self(exported(span).unwrap_or_else(|| random(remote.as_ref())))
    }

    /// The context of a child span; the same context when it is not exported.
    #[must_use]
    pub fn of_child(&self, span: &Span) -> Self {
        exported(span).map_or_else(|| self.clone(), Self)
    }

    /// Id of the trace, in hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> impl fmt::Display + use<> {
        self.0.trace_id()
    }
}

/// The value of the header [`TRACEPARENT`].
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut carrier = Carrier(String::new());
        let context = Context::new().with_remote_span_context(self.0.clone());
        TraceContextPropagator::new().inject_context(&context, &mut carrier);
        f.write_str(&carrier.0)
    }
}

/// The context of a span; none when it is not exported.
fn exported(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
}

fn random(remote: Option<&SpanContext>) -> SpanContext {
    let ids = RandomIdGenerator::default();
    let (trace, flags) = match remote {
        Some(remote) => (remote.trace_id(), remote.trace_flags()),
        None => (ids.new_trace_id(), TraceFlags::SAMPLED),
    };
    SpanContext::new(trace, ids.new_span_id(), flags, false, TraceState::default())
}

fn extract(traceparent: &str) -> Option<SpanContext> {
    let context =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Carrier(traceparent.to_owned()));
    Some(context.span().span_context().clone()).filter(SpanContext::is_valid)
}

/// Carries the header [`TRACEPARENT`] and no other.
struct Carrier(String);

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(&self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = value;
        }
    }
}

/// The first status that is a fault of the server.
const SERVER_ERROR: u16 = 500;

/// A received message, until it is answered. `name` must come from a small set;
/// `subject` may be chosen by the publisher.
#[must_use]
pub fn process_span(name: &str, subject: &str, queue_group: &str, bytes: usize) -> Span {
    // The exporter writes unsigned numbers as text.
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
        messaging.message.body.size = i64::try_from(bytes).unwrap_or(i64::MAX),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_header_is_continued_and_an_invalid_one_is_not() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let continued = |header| TraceContext::continued(header, &Span::none());
        let context = continued(Some(header));
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(context.to_string().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(context.to_string().ends_with("-01"));
        assert!(!context.to_string().contains("00f067aa0ba902b7"));
        for invalid in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_ne!(continued(Some(invalid)).0.trace_id(), context.0.trace_id(), "{invalid}");
        }
        assert_ne!(continued(None).0.trace_id(), continued(None).0.trace_id());
    }
}
