//! Time to live: an environment that outlived it asks for its teardown. The
//! teardown is a plan like any other and needs its approval.

use exokit_ledger::{Environments, OperationSummary, Operations};
use exokit_model::event::Event;
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use exokit_mutant::{Mutant, planted};

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Proposes a teardown for every environment that has expired and has no
    /// teardown proposed or running. The request is made in the name of the
    /// environment's owner. Returns the plans.
    ///
    /// # Errors
    /// When ledger or cloud cannot be read.
    pub async fn expire(&self) -> Result<Vec<Plan>, EngineError> {
        let ledger = &self.parts().ledger;
        let mut proposed = Vec::new();
        for view in ledger.environments(Environments::Expired(self.now())).await? {
            let (name, Some(expired_at)) = (&view.environment, view.expires_at) else { continue };
            let open = ledger.operations(Operations::Open(name.clone())).await?;
            if open.iter().any(|operation| self.occupies(operation)) && !planted(Mutant::ExpireAgain) {
                continue;
            }
            if self.environment(name).await?.provision().is_none() {
                continue;
            }
            let plan = self.plan_teardown(name, &view.owner, None).await?;
            let reason = Event::ExpiryNoticed { expired_at, digest: plan.digest()? };
            self.propose_because(&plan, None, Some(reason)).await?;
            proposed.push(plan);
        }
        Ok(proposed)
    }

    /// Whether a teardown cannot be asked for, or need not, because of an
    /// unfinished operation: it runs, or is a teardown that may still start.
    fn occupies(&self, operation: &OperationSummary) -> bool {
        match (&operation.phase, operation.action) {
            (Phase::AwaitingApproval, Action::Teardown) => operation.not_after > self.now(),
            (Phase::AwaitingApproval, Action::Provision | Action::Extend) => false,
            _ => true,
        }
    }
}
