//! A seal shows that this engine made a plan, byte for byte: one that left it
//! before it was recorded and comes back to be, and one that stands in the ledger.

use exokit_model::canonical::Digest;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::plan::Plan;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::idempotency::KeyedRequest;
use exokit_ledger::OperationState;

/// A plan that came back to the engine that made it. Only
/// [`Engine::open_sealed`] makes one.
#[derive(Debug)]
pub struct OpenedPlan {
    pub(crate) plan: FixedPlan,
    pub(crate) text: String,
}

impl OpenedPlan {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &FixedPlan {
        &self.plan
    }
}

impl Engine {
    /// The seal with which a plan may leave: a MAC over its digest.
    #[must_use]
    pub fn seal(&self, digest: &Digest) -> Digest {
        self.parts().keyring.seal_plan(digest)
    }

    /// Whether this engine recorded the plan of an operation. Who can write to
    /// the ledger's file can put a plan there, but cannot seal it.
    pub(crate) fn has_recorded(&self, state: &OperationState) -> bool {
        state.seal.is_some_and(|seal| self.parts().keyring.opens_plan(&state.digest, &seal))
    }

    /// Takes back the text of a plan that was outside. Who brings it is not who
    /// asked for it until the caller has compared them.
    ///
    /// # Errors
    /// [`EngineError::NotOurs`] when it is not what was sealed, byte for byte,
    /// and [`EngineError::Unreadable`] when an earlier version sealed what this
    /// one does not read.
    pub fn open_sealed(&self, text: String, seal: &Digest) -> Result<OpenedPlan, EngineError> {
        let digest = Plan::digest_of(text.as_bytes());
        // Nothing is read that was not written here.
        if !self.parts().keyring.opens_plan(&digest, seal) {
            return Err(EngineError::NotOurs);
        }
        let plan = self.parts().ledger.plans().parse(&text).map_err(EngineError::Unreadable)?;
        Ok(OpenedPlan { plan, text })
    }

    /// As [`Engine::propose`], for a plan that was outside.
    ///
    /// # Errors
    /// As [`Engine::propose`].
    pub async fn propose_opened(
        &self,
        opened: OpenedPlan,
        request: Option<&KeyedRequest>,
    ) -> Result<OperationState, EngineError> {
        self.record(&opened.plan, (opened.plan.digest(), opened.text), request, None).await
    }
}
