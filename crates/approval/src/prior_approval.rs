//! The approval of an environment that is removed when it expires: it covers
//! that removal too.

use exokit_model::fixed_plan::FixedPlan;
use exokit_model::plan::Action;
use exokit_model::spec::AtExpiry;
use jiff::Timestamp;

use crate::refusal::Refusal;
use crate::verify::{Quorum, Verifier};

/// The approved plan of the environment that another plan removes.
#[derive(Debug, Clone)]
pub struct PriorApproval {
    /// The plan that made the environment.
    pub plan: FixedPlan,
    /// All tokens recorded for it, denials too.
    pub tokens: Vec<String>,
    /// When its operation started.
    pub started_at: Timestamp,
    /// When the environment expired.
    pub expired_at: Timestamp,
}

impl Verifier {
    /// As [`Verifier::quorum`], for an operation that began at the first of the
    /// two times and is judged at the second. The votes on the plan that made
    /// the environment may stand for those on its removal; a denial of either
    /// plan outweighs them.
    ///
    /// # Errors
    /// As [`Verifier::quorum`] for the plan itself.
    pub fn quorum_or_prior_approval(
        &self,
        plan: &FixedPlan,
        tokens: &[String],
        times: (Timestamp, Timestamp),
        prior_approval: Option<&PriorApproval>,
    ) -> Result<Quorum, Refusal> {
        match (self.quorum_since(plan, tokens, times), prior_approval) {
            (Err(refusal @ Refusal::Denied { .. }), _) => Err(refusal),
            (Err(refusal), Some(prior_approval)) if !self.covers(prior_approval, plan, times) => Err(refusal),
            // The removal has no start window of its own.
            (Err(_), Some(_)) => Ok(Quorum { votes: Vec::new() }),
            (result, _) => result,
        }
    }

    /// Whether the environment's approval covers a removal that began, or
    /// begins, at the first of the two times and is judged at the second.
    fn covers(
        &self,
        prior_approval: &PriorApproval,
        removal: &FixedPlan,
        times: (Timestamp, Timestamp),
    ) -> bool {
        let (began, now) = times;
        let made = &prior_approval.plan;
        let removes = made.spec.as_ref().is_some_and(|spec| spec.at_expiry == AtExpiry::Remove);
        removes
            && (made.action, removal.action) == (Action::Provision, Action::Teardown)
            && made.environment == removal.environment
            && made.level >= removal.level
            && began >= prior_approval.expired_at
            && self.quorum_since(made, &prior_approval.tokens, (prior_approval.started_at, now)).is_ok()
    }
}
