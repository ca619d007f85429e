//! Requests with an idempotency key: the same key of the same requester leads
//! to the same operation, however often and in however many places at once it
//! is sent.
//!
//! The id of the plan is derived from requester and key, so there is no index
//! that could be behind: what a key led to is one read of the ledger, and that
//! only one plan is recorded under an id is a condition of its append.

use exokit_ledger::Filter;
use exokit_model::canonical::{CanonicalError, Digest, to_canonical_bytes};
use exokit_model::ids::{PersonId, PlanId};
use exokit_model::plan::Plan;
use exokit_mutant::{Mutant, planted};
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use exokit_ledger::OperationState;

/// A request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Id of its plan, derived from requester and key.
    pub plan_id: PlanId,
    /// Digest of its body.
    pub body: Digest,
}

/// The digest of a request's body: equal for bodies that say the same.
///
/// # Errors
/// When the body has no canonical form.
pub fn body_digest<T: Serialize>(body: &T) -> Result<Digest, CanonicalError> {
    Ok(Digest::of("exokit-request-body/v1", &to_canonical_bytes("a request", body)?))
}

impl Engine {
    /// The request with this key and body. Its plan has the same id here and
    /// in every other engine with the same root secret.
    #[must_use]
    pub fn keyed(&self, requester: &PersonId, key: &str, body: Digest) -> KeyedRequest {
        KeyedRequest { plan_id: self.parts().keyring.plan_id(requester, key), body }
    }

    /// The operation that a request led to; none when it was not heard of.
    ///
    /// # Errors
    /// [`EngineError::OtherBody`] when its key came with another body, and when
    /// the ledger cannot be read.
    pub async fn answered(&self, request: &KeyedRequest) -> Result<Option<OperationState>, EngineError> {
        let operation = request.plan_id.operation();
        let records = self.parts().ledger.read(Filter::Operation(operation.clone()), 0).await?;
        if records.is_empty() {
            return Ok(None);
        }
        let state = self.fold_operation(&operation, &records)?;
        match state.request == Some(request.body) {
            true => Ok(Some(state)),
            false => Err(EngineError::OtherBody(operation)),
        }
    }

    /// Answers a request by the operation that it led to, or else by recording
    /// what `plan` gives, which must be planned for this request. `plan` is not
    /// polled when there is an answer already.
    ///
    /// # Errors
    /// [`EngineError::OtherBody`], what `plan` says, and as
    /// [`Engine::propose`].
    pub async fn propose_once<E: From<EngineError>>(
        &self,
        request: &KeyedRequest,
        plan: impl Future<Output = Result<Plan, E>>,
    ) -> Result<OperationState, E> {
        if let Some(known) = self.answered(request).await? {
            return Ok(known);
        }
        let proposed = async { Ok(self.propose(&plan.await?, Some(request)).await?) };
        match proposed.await {
            Ok(state) => Ok(state),
            Err(error) if planted(Mutant::LookOnce) => Err(error),
            // The same request may have been quicker elsewhere, and what it led
            // to is what was in the way: the name is taken, or busy.
            Err(error) => self.answered(request).await?.ok_or(error),
        }
    }
}

/// A plan that was made for another request must not be recorded for this one:
/// the key would not lead to it.
pub(crate) fn check_key(plan: &Plan, request: Option<&KeyedRequest>) -> Result<(), EngineError> {
    match request {
        Some(request) if request.plan_id != plan.plan_id => Err(EngineError::OtherKey(plan.plan_id.clone())),
        _ => Ok(()),
    }
}
