//! What the approval of an environment says about its removal.

use exokit_approval::consent::Consent;
use exokit_ledger::{Filter, environment_view};
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::plan::Action;
use exokit_model::spec::AtExpiry;
use jiff::Timestamp;

use crate::engine::Engine;
use crate::error::EngineError;

/// A [`Consent`] as it was read from the ledger.
pub(crate) struct GivenConsent {
    plan: FixedPlan,
    tokens: Vec<String>,
    started_at: Timestamp,
    expired_at: Timestamp,
}

impl GivenConsent {
    pub(crate) fn get(&self) -> Consent<'_> {
        Consent {
            plan: &self.plan,
            tokens: &self.tokens,
            started_at: self.started_at,
            expired_at: self.expired_at,
        }
    }
}

impl Engine {
    /// What the approval of the environment that a plan removes says about
    /// that: none for every other plan, and where its removal is to be asked
    /// for.
    pub(crate) async fn consent(&self, removal: &FixedPlan) -> Result<Option<GivenConsent>, EngineError> {
        if removal.action != Action::Teardown {
            return Ok(None);
        }
        let name = &removal.environment;
        let records = self.parts().ledger.read(Filter::Environment(name.clone()), 0).await?;
        let environment = self.fold_environment(&records)?;
        let removed =
            |plan: &FixedPlan| plan.spec.as_ref().map(|spec| spec.at_expiry) == Some(AtExpiry::Remove);
        let Some(made) = environment.provision().filter(|made| removed(&made.plan)) else { return Ok(None) };
        // A plan that somebody else put into the ledger consents to nothing.
        let (Some(started_at), true) = (made.started_at, self.has_recorded(made)) else { return Ok(None) };
        let view = environment_view(self.parts().ledger.plans(), name, &records)?;
        let expired_at = view.and_then(|view| view.expires_at);
        Ok(expired_at.map(|expired_at| GivenConsent {
            plan: made.plan.clone(),
            tokens: made.tokens.clone(),
            started_at,
            expired_at,
        }))
    }
}
