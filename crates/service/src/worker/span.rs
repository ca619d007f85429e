//! The span of one run of an operation, from when it is taken up until it ends,
//! parks, or cannot be run for now. The calls that it makes are its children.

use exokit_engine::error::EngineError;
use exokit_model::phase::Phase;
use tracing::Span;
use tracing::field::Empty;

use super::{Work, is_held};

/// Opens the span of a run. Who asked for the operation may have done so days
/// ago, so it begins a trace of its own.
pub(super) fn open((operation, environment): &Work) -> Span {
    tracing::trace_span!(
        parent: None,
        "run",
        otel.name = "run operation",
        otel.status_code = Empty,
        otel.status_description = Empty,
        infra.operation = %operation,
        infra.environment = %environment,
        infra.phase = Empty,
        "error.type" = Empty,
    )
}

/// Says in the span of a run how it ended; without a result it panicked.
pub(super) fn close(span: &Span, result: Option<&Result<Phase, EngineError>>) {
    let code = match result {
        Some(Ok(phase)) => {
            span.record("infra.phase", phase.name());
            return;
        }
        Some(Err(error)) => error.code(),
        None => "panic",
    };
    span.record("error.type", code);
    // That another process runs it is no failure.
    if !matches!(result, Some(Err(error)) if is_held(error)) {
        span.record("otel.status_code", "error");
        span.record("otel.status_description", code);
    }
}
