//! The trace context of a request, as the W3C recommendation carries it in the
//! header `traceparent`.

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator};
use tracing::Span;
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
    pub fn trace_id(&self) -> impl std::fmt::Display + use<> {
        self.0.trace_id()
    }

    /// The value of the header [`TRACEPARENT`].
    #[must_use]
    pub fn traceparent(&self) -> String {
        let mut carrier = Carrier(String::new());
        let context = Context::new().with_remote_span_context(self.0.clone());
        TraceContextPropagator::new().inject_context(&context, &mut carrier);
        carrier.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_header_is_continued_and_an_invalid_one_is_not() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let continued = |header| TraceContext::continued(header, &Span::none());
        let context = continued(Some(header));
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(context.traceparent().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(context.traceparent().ends_with("-01"));
        assert!(!context.traceparent().contains("00f067aa0ba902b7"));
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
