//! Reads from the ledger whether the approval of an environment covers its
//! removal.

use exokit_approval::prior_approval::PriorApproval;
use exokit_ledger::{Filter, environment_view};
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::plan::Action;
use exokit_model::spec::AtExpiry;

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// The approval of the environment that a plan removes, if it may cover the
    /// removal. None for other plans and for environments whose removal is
    /// approved separately.
    pub(crate) async fn prior_approval(
        &self,
        removal: &FixedPlan,
    ) -> Result<Option<PriorApproval>, EngineError> {
        if removal.action != Action::Teardown {
            return Ok(None);
        }
        let name = &removal.environment;
        let records = self.parts().ledger.read(Filter::Environment(name.clone()), 0).await?;
        let environment = self.fold_environment(&records)?;
        let removed =
            |plan: &FixedPlan| plan.spec.as_ref().map(|spec| spec.at_expiry) == Some(AtExpiry::Remove);
        let Some(made) = environment.provision().filter(|made| removed(&made.plan)) else { return Ok(None) };
        // A plan that another program wrote into the ledger approves nothing.
        let (Some(started_at), true) = (made.started_at, self.has_recorded(made)) else { return Ok(None) };
        let view = environment_view(self.parts().ledger.plans(), name, &records)?;
        let expired_at = view.and_then(|view| view.expires_at);
        Ok(expired_at.map(|expired_at| PriorApproval {
            plan: made.plan.clone(),
            tokens: made.tokens.clone(),
            started_at,
            expired_at,
        }))
    }
}
