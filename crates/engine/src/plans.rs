//! The plans that engines have read, so that each is parsed once.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use exokit_model::canonical::Digest;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::plan::Plan;

use crate::state::StateError;

/// Most plans that are kept. Each is some 25 KB of JSON, which takes longer to
/// parse and to check than most steps take altogether.
const PLANS_MAX: usize = 64;

/// Plans by digest, oldest first.
#[derive(Default)]
pub(crate) struct Plans(Mutex<VecDeque<FixedPlan>>);

impl Plans {
    /// The plan that record `seq` holds as `text` under the digest `recorded`.
    ///
    /// Whether the text has the digest is looked at each time: a damaged
    /// record is noticed even while its plan is still kept.
    pub(crate) fn read(&self, seq: u64, recorded: Digest, text: &str) -> Result<FixedPlan, StateError> {
        if Plan::digest_of(text.as_bytes()) != recorded {
            return Err(StateError::Digest { seq });
        }
        // Held while parsing, so that nobody parses the same plan meanwhile.
        let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = plans.iter().find(|plan| plan.digest() == recorded) {
            return Ok(known.clone());
        }
        let plan =
            FixedPlan::from_bytes(text.as_bytes()).map_err(|source| StateError::Plan { seq, source })?;
        if plans.len() >= PLANS_MAX {
            plans.pop_front();
        }
        plans.push_back(plan.clone());
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use exokit_core::plan_build::{Judgement, Occasion, extend};
    use exokit_model::cost::{ApprovalLevel, CostBand, CostEstimate};
    use exokit_model::ids::PlanId;
    use jiff::Timestamp;
    use rust_decimal::Decimal;

    use super::*;

    /// The canonical text of a plan with a number.
    fn text(number: u8) -> String {
        let occasion = Occasion {
            plan_id: PlanId::from_random([number; 10]),
            requester: "dana".parse().unwrap(),
            team: None,
            now: Timestamp::UNIX_EPOCH,
            template: ("T1".parse().unwrap(), Digest([0; 32])),
            template_level: ApprovalLevel::Two,
            price_digest: Digest([0; 32]),
            roster_version: 1,
            base_seq: 0,
            break_glass: None,
        };
        let cost = CostEstimate {
            currency: "CHF".to_owned(),
            price_date: "2026-11-23".to_owned(),
            hourly: Decimal::ONE,
            monthly: Decimal::ONE_HUNDRED,
            ttl: None,
            lines: Vec::new(),
            unknown: Vec::new(),
        };
        let judgement =
            Judgement { cost, band: CostBand::Low, level: ApprovalLevel::Two, reasons: Vec::new() };
        let place = ("demo".parse().unwrap(), "ch-dk-2".parse().unwrap());
        String::from_utf8(extend(occasion, place, 3600, judgement).to_bytes().unwrap()).unwrap()
    }

    fn read(plans: &Plans, text: &str) -> Result<FixedPlan, StateError> {
        plans.read(7, Plan::digest_of(text.as_bytes()), text)
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
        let damaged = text.replacen("dana", "dara", 1);
        assert_ne!(damaged, text);
        let found = plans.read(7, digest, &damaged);
        assert!(matches!(found, Err(StateError::Digest { seq: 7 })), "{found:?}");
        let other = Digest([1; 32]);
        let found = plans.read(7, other, &text);
        assert!(matches!(found, Err(StateError::Digest { seq: 7 })), "{found:?}");
    }

    #[test]
    fn what_is_no_plan_is_not_kept() {
        let plans = Plans::default();
        for _ in 0..2 {
            let found = read(&plans, "{}");
            assert!(matches!(found, Err(StateError::Plan { seq: 7, .. })), "{found:?}");
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
