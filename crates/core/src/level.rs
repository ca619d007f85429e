//! The approval level of a plan: the maximum over the rules, with the rule's
//! reason for each.
//!
//! Nothing can lower a level. A requester may ask for a higher one.

use exokit_model::break_glass::BreakGlass;
use exokit_model::cost::{ApprovalLevel, CostBand, CostPolicy, LevelReason};
use exokit_model::ids::TemplateId;
use exokit_model::plan::{Action, Plan};
use exokit_model::spec::{AtExpiry, EnvironmentClass, EnvironmentSpec};
use rust_decimal::Decimal;

use crate::cost::band;

/// Requests of one day, as sums of hourly rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DailySums {
    /// By the requester and everyone with the same human behind them.
    pub by_requester: Decimal,
    /// By the requester's team; zero without a team.
    pub by_team: Decimal,
}

/// What the rules look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LevelInput {
    /// What the plan does.
    pub(crate) action: Action,
    /// The template of the environment.
    pub(crate) template: TemplateId,
    /// The template's default level.
    pub(crate) template_level: ApprovalLevel,
    /// How much the environment matters.
    pub(crate) class: EnvironmentClass,
    /// Cost band of what the plan pays for.
    pub(crate) band: CostBand,
    /// Names of what holds data and is destroyed when the plan succeeds.
    pub(crate) data_destroyed: Vec<String>,
    /// Names of what holds data and goes with an environment that is removed
    /// when it expires; none when its removal is asked for then.
    pub(crate) removal: Option<Vec<String>>,
    /// Hourly rate that the plan asks for: of the environment for a provision
    /// and, because it is paid again, for an extension; zero for a teardown.
    pub(crate) hourly: Decimal,
    /// Sums of the requests of today, without this plan.
    pub(crate) today: DailySums,
    /// Why it may go past a limit of the policy.
    pub(crate) break_glass: Option<BreakGlass>,
    /// The level that the requester asked for, if any.
    pub(crate) wanted: Option<ApprovalLevel>,
}

impl LevelInput {
    /// A plan that destroys nothing, before any other request of the day.
    pub(crate) fn new(
        action: Action,
        (template, template_level): (TemplateId, ApprovalLevel),
        class: EnvironmentClass,
        hourly: Decimal,
        policy: &CostPolicy,
    ) -> Self {
        Self {
            action,
            template,
            template_level,
            class,
            band: band(hourly, policy),
            data_destroyed: Vec::new(),
            removal: None,
            hourly,
            today: DailySums::default(),
            break_glass: None,
            wanted: None,
        }
    }

    /// The input as far as a plan holds it. Only a provision has the class.
    pub(crate) fn of(plan: &Plan, policy: &CostPolicy) -> Self {
        let class = plan.spec.as_ref().map_or(EnvironmentClass::Test, |spec| spec.class);
        let template = (plan.template, plan.template_level);
        let data = plan.destroys.iter().filter(|destroy| destroy.data || destroy.kind.holds_data());
        Self {
            data_destroyed: data.map(|destroy| destroy.name.to_string()).collect(),
            removal: plan.spec.as_ref().and_then(removal),
            break_glass: plan.break_glass.clone(),
            ..Self::new(plan.action, template, class, plan.cost.hourly, policy)
        }
    }
}

/// A level and the rules that set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Level {
    /// The maximum over the reasons.
    pub(crate) level: ApprovalLevel,
    /// Every rule that applies, the strictest first; rules of one level stand
    /// in a fixed order. Never empty.
    pub(crate) reasons: Vec<LevelReason>,
}

/// Applies every rule.
pub(crate) fn level(input: &LevelInput, policy: &CostPolicy) -> Level {
    let mut reasons =
        vec![reason(input.template_level, format!("template {} has it as its default", input.template))];
    reasons.extend(template_rule(input));
    reasons.extend(band_rule(input.band));
    reasons.extend(class_rule(input.class));
    reasons.extend(teardown_rule(input));
    reasons.extend(access_rule(input.action));
    reasons.extend(input.removal.as_deref().map(removal_rule));
    if matches!(input.action, Action::Provision | Action::Extend) {
        reasons.extend(cap_rules(input, policy));
    }
    if let Some(why) = &input.break_glass {
        reasons.push(reason(ApprovalLevel::Three, format!("it breaks the glass: {why}")));
    }
    if let Some(wanted) = input.wanted {
        reasons.push(reason(wanted, "the requester asked for it".to_owned()));
    }
    // Stable, so that rules of one level keep their order.
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
    let level = reasons.first().map_or(ApprovalLevel::Three, |reason| reason.level);
    Level { level, reasons }
}

fn reason(level: ApprovalLevel, why: String) -> LevelReason {
    LevelReason { level, why: why.into() }
}

/// The least level of a built-in template. Its file can be replaced by whoever
/// can write to the state directory; the policy is signed.
fn template_rule(input: &LevelInput) -> Option<LevelReason> {
    let least = match input.template {
        TemplateId(3 | 5 | 6) => ApprovalLevel::Two,
        TemplateId(4 | 7) => ApprovalLevel::Three,
        TemplateId(_) => return None,
    };
    let why = || format!("no file can lower the level of {}", input.template);
    (input.template_level < least).then(|| reason(least, why()))
}

fn band_rule(band: CostBand) -> Option<LevelReason> {
    let level = match band {
        CostBand::Low | CostBand::Medium => return None,
        CostBand::High => ApprovalLevel::Two,
        CostBand::Extreme => ApprovalLevel::Three,
    };
    Some(reason(level, format!("the cost band is {band}")))
}

fn class_rule(class: EnvironmentClass) -> Option<LevelReason> {
    (class == EnvironmentClass::Production)
        .then(|| reason(ApprovalLevel::Two, "it is in production".to_owned()))
}

fn teardown_rule(input: &LevelInput) -> Option<LevelReason> {
    if !input.data_destroyed.is_empty() {
        let names = input.data_destroyed.join(", ");
        let why = format!("it destroys data: {names}");
        return Some(reason(ApprovalLevel::Three, why));
    }
    (input.action == Action::Teardown).then(|| reason(ApprovalLevel::Two, "it is a teardown".to_owned()))
}

/// An access is planned only where it must not be handed out without approval.
fn access_rule(action: Action) -> Option<LevelReason> {
    (action == Action::Access)
        .then(|| reason(ApprovalLevel::Two, "it hands out credentials or secrets".to_owned()))
}

/// What holds data in an environment that is removed when it expires, by what
/// is asked for; none when its removal is asked for then.
#[must_use]
pub fn removal(spec: &EnvironmentSpec) -> Option<Vec<String>> {
    let data = [
        ("database", spec.database.is_some()),
        ("bucket", spec.bucket.is_some()),
        ("volumes", spec.block_storage.is_some()),
    ];
    let data = data.into_iter().filter(|(_, is_there)| *is_there);
    (spec.at_expiry == AtExpiry::Remove).then(|| data.map(|(name, _)| name.to_owned()).collect())
}

/// Who approves the environment approves its removal, so that takes the level
/// of a removal.
fn removal_rule(data: &[String]) -> LevelReason {
    match data {
        [] => reason(ApprovalLevel::Two, "it is removed when it expires".to_owned()),
        data => {
            let why = format!("it is removed when it expires, with its data: {}", data.join(", "));
            reason(ApprovalLevel::Three, why)
        }
    }
}

/// The daily caps look at sums, so that one large request cannot be split
/// into small ones.
fn cap_rules(input: &LevelInput, policy: &CostPolicy) -> Vec<LevelReason> {
    let caps = [
        ("one request", policy.request_hourly_max, Decimal::ZERO),
        ("one requester in a day", policy.requester_daily_max, input.today.by_requester),
        ("one team in a day", policy.team_daily_max, input.today.by_team),
    ];
    caps.into_iter()
        .filter_map(|(whose, cap, before)| {
            let cap = cap?;
            // A negative rate must not make room under a cap.
            let asked = input.hourly.max(Decimal::ZERO);
            let sum = before.max(Decimal::ZERO).saturating_add(asked);
            (sum > cap).then(|| {
                let why = format!("{sum} per hour exceeds the cap of {cap} for {whose}");
                reason(ApprovalLevel::Three, why)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn input() -> LevelInput {
        let template = (TemplateId(1), ApprovalLevel::One);
        let input = LevelInput::new(
            Action::Provision,
            template,
            EnvironmentClass::Test,
            Decimal::ONE,
            &CostPolicy::default(),
        );
        LevelInput { band: CostBand::Low, ..input }
    }

    fn why() -> BreakGlass {
        "the other zone is away".parse().unwrap()
    }

    fn policy() -> CostPolicy {
        CostPolicy { request_hourly_max: Some(Decimal::from(2)), ..CostPolicy::default() }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut LevelInput), expected: u8, why: &str) {
        let mut input = input();
        change(&mut input);
        let found = level(&input, &policy());
        assert_eq!(u8::from(found.level), expected);
        assert!(found.reasons[0].why.raw().contains(why), "{:?}", found.reasons);
    }

    #[test]
    fn each_rule_raises_the_level_and_says_so() {
        use ApprovalLevel::{One, Three, Two};
        check(|_| {}, 1, "template T1");
        check(|i| i.template_level = Three, 3, "template T1");
        check(|i| i.band = CostBand::Medium, 1, "template");
        check(|i| i.band = CostBand::High, 2, "band is HIGH");
        check(|i| i.band = CostBand::Extreme, 3, "band is EXTREME");
        check(|i| i.class = EnvironmentClass::Staging, 1, "template");
        check(|i| i.class = EnvironmentClass::Production, 2, "production");
        check(|i| i.action = Action::Teardown, 2, "teardown");
        check(|i| i.action = Action::Access, 2, "credentials or secrets");
        check(|i| i.data_destroyed = vec!["db".into(), "bucket".into()], 3, "data: db, bucket");
        check(|i| i.removal = Some(vec![]), 2, "removed when it expires");
        check(|i| i.removal = Some(vec!["bucket".into()]), 3, "with its data: bucket");
        check(|i| i.hourly = Decimal::from(2), 1, "template");
        check(|i| i.hourly = Decimal::from(3), 3, "cap of 2 for one request");
        check(|i| i.today.by_requester = Decimal::from(4), 1, "template");
        check(|i| i.today.by_requester = Decimal::from(5), 3, "one requester in a day");
        check(|i| i.today.by_team = Decimal::from(20), 3, "one team in a day");
        check(|i| i.break_glass = Some(why()), 3, "breaks the glass: the other zone is away");
        check(|i| i.wanted = Some(Two), 2, "the requester asked");
        check(
            |i| {
                i.wanted = Some(One);
                i.template_level = Two;
            },
            2,
            "template",
        );
    }

    #[test]
    fn an_extension_counts_like_a_request_and_what_costs_nothing_does_not() {
        let spent = |action| {
            let mut input = input();
            input.action = action;
            input.today.by_requester = Decimal::from(100);
            u8::from(level(&input, &policy()).level)
        };
        assert_eq!(spent(Action::Extend), 3);
        assert_eq!(spent(Action::Provision), 3);
        assert_eq!(spent(Action::Teardown), 2);
        assert_eq!(spent(Action::Access), 2);
    }

    #[test]
    fn a_negative_rate_makes_no_room_under_a_cap() {
        let mut input = input();
        input.hourly = Decimal::from(-100);
        input.today.by_requester = Decimal::from(6);
        assert_eq!(level(&input, &policy()).level, ApprovalLevel::Three);
    }

    fn any_level() -> impl Strategy<Value = ApprovalLevel> {
        (1u8..=3).prop_map(|n| n.try_into().unwrap())
    }

    fn any_input() -> impl Strategy<Value = LevelInput> {
        let band =
            prop::sample::select(vec![CostBand::Low, CostBand::Medium, CostBand::High, CostBand::Extreme]);
        let class = prop::sample::select(vec![
            EnvironmentClass::Test,
            EnvironmentClass::Staging,
            EnvironmentClass::Production,
        ]);
        let action =
            prop::sample::select(vec![Action::Provision, Action::Teardown, Action::Extend, Action::Access]);
        let data = (
            prop::collection::vec("[a-z]{1,4}", 0..2),
            prop::option::of(prop::collection::vec("[a-z]{1,4}", 0..2)),
            prop::option::of(Just(why())),
        );
        let money = (-100i64..3000, -100i64..3000, -100i64..3000);
        (action, any_level(), class, band, data, money, prop::option::of(any_level())).prop_map(
            |(action, template_level, class, band, (data_destroyed, removal, break_glass), money, wanted)| {
                LevelInput {
                    action,
                    template: TemplateId(1),
                    template_level,
                    class,
                    band,
                    data_destroyed,
                    removal,
                    hourly: Decimal::new(money.0, 2),
                    today: DailySums {
                        by_requester: Decimal::new(money.1, 2),
                        by_team: Decimal::new(money.2, 2),
                    },
                    break_glass,
                    wanted,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn the_level_is_the_maximum_of_its_reasons(input in any_input()) {
            let found = level(&input, &policy());
            prop_assert_eq!(Some(found.level), found.reasons.iter().map(|r| r.level).max());
            prop_assert!(found.level >= input.template_level);
            prop_assert!(Some(found.level) >= input.wanted);
        }

        #[test]
        fn more_of_anything_never_lowers_the_level(a in any_input(), b in any_input()) {
            let more = LevelInput {
                action: a.action,
                template: a.template,
                template_level: a.template_level.max(b.template_level),
                class: a.class.max(b.class),
                band: a.band.max(b.band),
                data_destroyed: [a.data_destroyed.clone(), b.data_destroyed].concat(),
                removal: match (a.removal.clone(), b.removal) {
                    (None, None) => None,
                    (one, other) => Some([one.unwrap_or_default(), other.unwrap_or_default()].concat()),
                },
                hourly: a.hourly.max(b.hourly),
                today: DailySums {
                    by_requester: a.today.by_requester.max(b.today.by_requester),
                    by_team: a.today.by_team.max(b.today.by_team),
                },
                break_glass: a.break_glass.clone().or(b.break_glass),
                wanted: a.wanted.max(b.wanted),
            };
            prop_assert!(level(&more, &policy()).level >= level(&a, &policy()).level);
        }

        #[test]
        fn tighter_caps_never_lower_the_level(input in any_input(), cap in 0i64..3000) {
            let tight = CostPolicy {
                requester_daily_max: policy().requester_daily_max.min(Some(Decimal::new(cap, 2))),
                ..policy()
            };
            prop_assert!(level(&input, &tight).level >= level(&input, &policy()).level);
        }
    }
}
