//! Time to live: an environment that outlived it asks for its teardown. The
//! teardown is a plan like any other and needs its approval.

use exokit_ledger::Condition;
use exokit_model::event::Event;
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};

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
        let registry = self.registry().await?;
        let mut proposed = Vec::new();
        for (name, view) in registry.environments() {
            let Some(expired_at) = view.expires_at.filter(|at| *at <= self.now()) else { continue };
            let environment = self.environment(name).await?;
            let asked = environment.operations.iter().any(|operation| {
                operation.plan.action == Action::Teardown
                    && !operation.phase.is_terminal()
                    && (operation.phase != Phase::AwaitingApproval || operation.plan.not_after > self.now())
            });
            if asked || environment.provision().is_none() || environment.active().is_some() {
                continue;
            }
            let plan = self.plan_teardown(name, &view.owner).await?;
            let state = self.propose(&plan).await?;
            let event = Event::ExpiryNoticed { expired_at, digest: state.digest };
            self.append(&Condition::default(), vec![self.entry(Some(name), None, event)]).await?;
            proposed.push(plan);
        }
        Ok(proposed)
    }
}
