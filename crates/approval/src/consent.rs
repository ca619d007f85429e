//! Consent that was given earlier: whoever approved an environment which is
//! removed when it expires has approved that removal.

use exokit_model::fixed_plan::FixedPlan;
use exokit_model::plan::Action;
use exokit_model::spec::AtExpiry;
use jiff::Timestamp;

use crate::refusal::Refusal;
use crate::verify::{Quorum, Verifier};

/// The approved plan of the environment that another plan removes.
#[derive(Debug, Clone, Copy)]
pub struct Consent<'a> {
    /// The plan that made the environment.
    pub plan: &'a FixedPlan,
    /// All tokens recorded for it, denials too.
    pub tokens: &'a [String],
    /// When its operation started.
    pub started_at: Timestamp,
    /// When the environment expired.
    pub expired_at: Timestamp,
}

impl Verifier {
    /// As [`Verifier::quorum_since`], where the votes on another plan may stand
    /// for those on this one. A denial of either plan outweighs them.
    ///
    /// # Errors
    /// As [`Verifier::quorum_since`] for the plan itself.
    pub fn quorum_or_consent(
        &self,
        plan: &FixedPlan,
        tokens: &[String],
        times: (Timestamp, Timestamp),
        consent: Option<Consent<'_>>,
    ) -> Result<Quorum, Refusal> {
        match (self.quorum_since(plan, tokens, times), consent) {
            (Err(refusal @ Refusal::Denied { .. }), _) => Err(refusal),
            (Err(refusal), Some(consent)) if !self.consents(consent, plan, times) => Err(refusal),
            // Their time to start is that of the removal: it has no other.
            (Err(_), Some(_)) => Ok(Quorum { voters: Vec::new() }),
            (result, _) => result,
        }
    }

    /// Whether the environment's approval covers a removal that began, or
    /// begins, at the first of the two times and is judged at the second.
    fn consents(&self, consent: Consent<'_>, removal: &FixedPlan, times: (Timestamp, Timestamp)) -> bool {
        let (began, now) = times;
        let made = consent.plan;
        let removes = made.spec.as_ref().is_some_and(|spec| spec.at_expiry == AtExpiry::Remove);
        removes
            && (made.action, removal.action) == (Action::Provision, Action::Teardown)
            && made.environment == removal.environment
            && made.level >= removal.level
            && began >= consent.expired_at
            && self.quorum_since(made, consent.tokens, (consent.started_at, now)).is_ok()
    }
}
