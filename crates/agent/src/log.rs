//! What the log says of requests.

use exokit_wire::failure::Failure;
use exokit_wire::verb::{Scope, Verb};

/// How a request was answered. Looking changes nothing and may be done
/// thousands of times a second, so it is told in detail only.
pub(crate) fn answered<T>(verb: Verb, outcome: &Result<T, Failure>) {
    match outcome {
        Ok(_) if verb.scope() == Scope::Read => tracing::debug!("answered"),
        Ok(_) => tracing::info!("answered"),
        Err(failure) => tracing::info!(code = failure.code, why = failure.why, "refused"),
    }
}
