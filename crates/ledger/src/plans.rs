//! Plans that were read before, so that each is parsed once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use exokit_model::canonical::Digest;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::plan::{Plan, PlanError};

/// Most plans that are kept. Each is some 12 KB of JSON, which takes longer to
/// parse and to check than most steps take altogether.
const PLANS_MAX: usize = 64;

/// Plans by digest, oldest first. Clones share them.
///
/// A plan follows from its bytes alone, never from what a ledger or a cloud
/// said at some time, so nothing in here can grow old, and it does not matter
/// who put it in.
#[derive(Debug, Clone, Default)]
pub struct Plans(Arc<Mutex<VecDeque<FixedPlan>>>);

/// Why a text is not the plan of a digest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlansError {
    /// The text has another digest.
    #[error("the plan does not have the recorded digest")]
    Digest,
    /// The text is no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Plans {
    /// The plan that `text` is, if its digest is `expected`.
    ///
    /// Whether the text has the digest is looked at each time: a damaged
    /// record is noticed even while its plan is still kept.
    ///
    /// # Errors
    /// When it is another text, or no plan.
    pub(crate) fn read(&self, expected: Digest, text: &str) -> Result<FixedPlan, PlansError> {
        match Plan::digest_of(text.as_bytes()) == expected {
            true => Ok(self.known(expected, text)?),
            false => Err(PlansError::Digest),
        }
    }

    /// The plan that `text` is.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(&self, text: &str) -> Result<FixedPlan, PlanError> {
        self.known(Plan::digest_of(text.as_bytes()), text)
    }

    fn known(&self, digest: Digest, text: &str) -> Result<FixedPlan, PlanError> {
        // Held while parsing, so that nobody parses the same plan meanwhile.
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = plans.iter().find(|plan| plan.digest() == digest) {
            return Ok(known.clone());
        }
        let plan = FixedPlan::from_bytes(text.as_bytes())?;
        if plans.len() >= PLANS_MAX {
            plans.pop_front();
        }
        plans.push_back(plan.clone());
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use exokit_model::plan::Action;

    use super::*;
    use crate::testing::fixtures::plan;

    /// The canonical text of a plan with a number.
    fn text(number: u8) -> String {
        String::from_utf8(plan(number, Action::Provision).to_bytes().unwrap()).unwrap()
    }

    fn read(plans: &Plans, text: &str) -> Result<FixedPlan, PlansError> {
        plans.read(Plan::digest_of(text.as_bytes()), text)
    }

    #[test]
    fn a_plan_is_parsed_once() {
        let (plans, text) = (Plans::default(), text(1));
        let first = read(&plans, &text).unwrap();
        let again = read(&plans, &text).unwrap();
        assert!(std::ptr::eq(&raw const *first, &raw const *again));
        assert_eq!(first.digest(), Plan::digest_of(text.as_bytes()));
    }

    #[test]
    fn a_damaged_record_is_noticed_although_its_plan_is_kept() {
        let (plans, text) = (Plans::default(), text(1));
        let digest = read(&plans, &text).unwrap().digest();
        let damaged = text.replacen("demo", "demi", 1);
        assert_ne!(damaged, text);
        let found = plans.read(digest, &damaged);
        assert!(matches!(found, Err(PlansError::Digest)), "{found:?}");
        let other = Digest([1; 32]);
        let found = plans.read(other, &text);
        assert!(matches!(found, Err(PlansError::Digest)), "{found:?}");
    }

    #[test]
    fn what_is_no_plan_is_not_kept() {
        let plans = Plans::default();
        for _ in 0..2 {
            let found = read(&plans, "{}");
            assert!(matches!(found, Err(PlansError::Plan(_))), "{found:?}");
        }
        assert!(plans.0.lock().unwrap().is_empty());
    }

    #[test]
    fn the_oldest_plan_is_dropped_when_there_are_too_many() {
        let plans = Plans::default();
        let texts: Vec<String> = (0..=64).map(text).collect();
        let first = read(&plans, &texts[0]).unwrap();
        let second = read(&plans, &texts[1]).unwrap();
        for text in &texts {
            read(&plans, text).unwrap();
        }
        assert_eq!(plans.0.lock().unwrap().len(), PLANS_MAX);
        let same = |one: &FixedPlan, other: &FixedPlan| std::ptr::eq(&raw const **one, &raw const **other);
        assert!(same(&read(&plans, &texts[1]).unwrap(), &second), "still kept");
        assert!(!same(&read(&plans, &texts[0]).unwrap(), &first), "read again");
    }
}
