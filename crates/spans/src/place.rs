//! Where a span stands in a trace, and how it is joined to one that began
//! elsewhere.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Where a span stands in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Id of the trace.
    pub trace: [u8; 16],
    /// Id of the span.
    pub span: [u8; 8],
    /// Whether it is recorded.
    pub sampled: bool,
}

/// Where a span stands; none when nobody exports it.
#[must_use]
pub fn of(span: &Span) -> Option<Place> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let found = context.span().span_context().clone();
    found.is_valid().then(|| Place {
        trace: found.trace_id().to_bytes(),
        span: found.span_id().to_bytes(),
        sampled: found.is_sampled(),
    })
}

/// Makes a span that was just opened the child of one of another process.
pub fn join(span: &Span, parent: Place) {
    if span.is_disabled() {
        return;
    }
    let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let (trace, own) = (TraceId::from_bytes(parent.trace), SpanId::from_bytes(parent.span));
    let remote = SpanContext::new(trace, own, flags, true, TraceState::default());
    // It fails where nobody exports spans, and then there is nothing to join.
    let _ = span.set_parent(Context::new().with_remote_span_context(remote));
}
