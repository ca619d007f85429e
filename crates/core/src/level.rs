//! The approval level of a plan: the maximum over the rules, with the rule's
//! reason for each.
//!
//! Nothing can lower a level. A requester may ask for a higher one.

use exokit_model::cost::{ApprovalLevel, CostBand, CostPolicy, LevelReason};
use exokit_model::ids::TemplateId;
use exokit_model::plan::Action;
use exokit_model::spec::EnvironmentClass;
use rust_decimal::Decimal;

/// What the rules look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelInput {
    /// What the plan does.
    pub action: Action,
    /// The template of the environment.
    pub template: TemplateId,
    /// The template's default level.
    pub template_level: ApprovalLevel,
    /// How much the environment matters.
    pub class: EnvironmentClass,
    /// Cost band of what the plan pays for.
    pub band: CostBand,
    /// Names of what holds data and is destroyed when the plan succeeds.
    pub data_destroyed: Vec<String>,
    /// Hourly rate that the plan asks for: of the environment for a provision
    /// and, because it is paid again, for an extension; zero for a teardown.
    pub hourly: Decimal,
    /// Sum of hourly rates that the requester has asked for today, without
    /// this plan.
    pub requester_today: Decimal,
    /// The same for the requester's team.
    pub team_today: Decimal,
    /// The level that the requester asked for, if any.
    pub wanted: Option<ApprovalLevel>,
}

/// A level and the rules that set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The maximum over the reasons.
    pub level: ApprovalLevel,
    /// Every rule that applies, the strictest first; rules of one level stand
    /// in a fixed order. Never empty.
    pub reasons: Vec<LevelReason>,
}

/// Applies every rule.
#[must_use]
pub fn level(input: &LevelInput, policy: &CostPolicy) -> Level {
    let mut reasons =
        vec![reason(input.template_level, format!("template {} has it as its default", input.template))];
    reasons.extend(band_rule(input.band));
    reasons.extend(class_rule(input.class));
    reasons.extend(teardown_rule(input));
    if input.action != Action::Teardown {
        reasons.extend(cap_rules(input, policy));
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
    LevelReason { level, why }
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

/// The daily caps look at sums, so that one large request cannot be split
/// into small ones.
fn cap_rules(input: &LevelInput, policy: &CostPolicy) -> Vec<LevelReason> {
    let caps = [
        ("one request", policy.request_hourly_max, Decimal::ZERO),
        ("one requester in a day", policy.requester_daily_max, input.requester_today),
        ("one team in a day", policy.team_daily_max, input.team_today),
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
