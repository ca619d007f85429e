//! The span of one call. It has no path, query, header or body: a path may
//! hold a signature, and a body a secret.

use tracing::Span;
use tracing::field::Empty;

use crate::transport::{HttpRequest, HttpResponse, TransportError};

/// Opens the span of a call.
pub(crate) fn open(operation: &str, request: &HttpRequest) -> Span {
    tracing::trace_span!(
        "call",
        otel.name = format_args!("{} {operation}", request.method()),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = %request.method(),
        http.response.status_code = Empty,
        server.address = request.uri().host(),
        exoscale.operation = operation,
        "error.type" = Empty,
    )
}

/// The outcome of a call, for a span: `done` (2xx), `throttled` (429), `refused` (another
/// status below 500), `failed` (5xx), or `silent` without a reply that could be
/// read to its end.
pub(crate) fn outcome_name(outcome: &Result<HttpResponse, TransportError>) -> &'static str {
    match outcome.as_ref().map(|reply| reply.status().as_u16()) {
        Ok(200..=299) => "done",
        Ok(429) => "throttled",
        Ok(500..) => "failed",
        Ok(_) => "refused",
        Err(_) => "silent",
    }
}

/// Says in the span of a call what became of it.
pub(crate) fn close(span: &Span, outcome: &Result<HttpResponse, TransportError>) {
    if span.is_disabled() {
        return;
    }
    // Numbers without a sign would be exported as text.
    let status = outcome.as_ref().ok().map(|reply| i64::from(reply.status().as_u16()));
    if let Some(status) = status {
        span.record("http.response.status_code", status);
    }
    match (outcome_name(outcome), status) {
        ("done", _) => return,
        (_, Some(status)) => span.record("error.type", tracing::field::display(status)),
        (name, None) => span.record("error.type", name),
    };
    span.record("otel.status_code", "error");
}
