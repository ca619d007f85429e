//! The outcome of a request, in metrics, log and span.

use exokit_spans::request::record_outcome;
use exokit_wire::failure::Failure;
use exokit_wire::verb::{Scope, Verb};
use tracing::Span;

use crate::metrics::Metrics;

/// Records how a request was answered. Successful reads are frequent and change
/// nothing, so the log has them at the level DEBUG.
pub(crate) fn record<T>(
    metrics: &Metrics,
    span: &Span,
    (verb, transport): (Verb, &'static str),
    outcome: &Result<T, Failure>,
) {
    metrics.answered(verb, transport, outcome);
    let failure = outcome.as_ref().err();
    record_outcome(span, failure.map(|failure| (failure.status, failure.code.as_str())));
    match failure {
        None if verb.scope() == Scope::Read => tracing::debug!("answered"),
        None => tracing::info!("answered"),
        Some(failure) => tracing::info!(code = failure.code, why = failure.why, "refused"),
    }
}
