//! A seal shows that this engine made a plan, byte for byte: one that left it
//! before it was recorded and comes back to be, and one that stands in the ledger.

use exokit_model::canonical::Digest;
use exokit_model::plan::Plan;
use exokit_mutant::{Mutant, planted};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::idempotency::KeyedRequest;
use crate::state::OperationState;

impl Engine {
    /// The seal with which a plan may leave: a MAC over its digest.
    ///
    /// # Errors
    /// When the plan has no canonical form.
    pub fn seal(&self, plan: &Plan) -> Result<Digest, EngineError> {
        Ok(self.parts().keyring.seal_plan(&plan.digest()?))
    }

    /// Whether this engine recorded the plan of an operation. Who can write to
    /// the ledger's file can put a plan there, but cannot seal it.
    pub(crate) fn has_recorded(&self, state: &OperationState) -> bool {
        state.seal.is_some_and(|seal| self.parts().keyring.opens_plan(&state.digest, &seal))
    }

    /// As [`Engine::propose`], for the text of a plan that was outside. Who
    /// brings it is not who asked for it until the caller has compared them.
    ///
    /// # Errors
    /// [`EngineError::Unreadable`] when it is no plan, [`EngineError::NotOurs`]
    /// when it is not what was sealed, and as [`Engine::propose`].
    pub async fn propose_sealed(
        &self,
        plan_text: &str,
        seal: &Digest,
        request: Option<&KeyedRequest>,
    ) -> Result<OperationState, EngineError> {
        let plan = Plan::from_bytes(plan_text.as_bytes()).map_err(EngineError::Unreadable)?;
        let digest = Plan::digest_of(plan_text.as_bytes());
        match self.parts().keyring.opens_plan(&digest, seal) || planted(Mutant::AnySeal) {
            true => self.propose(&plan, request).await,
            false => Err(EngineError::NotOurs),
        }
    }
}
