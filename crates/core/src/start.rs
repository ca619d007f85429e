//! Which plans may start: those that still apply to their environment, and keep
//! the policy that is in force at the start.

use exokit_model::approval::Roster;
use exokit_model::cost::{ApprovalLevel, CostPolicy};
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use jiff::Timestamp;

use crate::level::{LevelInput, level};

/// Whether a plan waits for approval and can still start: the window between
/// its proposal and its latest start is open, and no operation of the
/// environment has started since it was made.
#[must_use]
pub fn can_start(
    phase: &Phase,
    proposed_at: Timestamp,
    not_after: Timestamp,
    starts: impl IntoIterator<Item = Timestamp>,
    now: Timestamp,
) -> bool {
    *phase == Phase::AwaitingApproval
        && now <= not_after
        && starts.into_iter().all(|started_at| started_at < proposed_at)
}

/// Whether the start of an operation outdates plans that were made before it. An
/// access changes nothing, and holds for the environment as it was made.
#[must_use]
pub fn outdates(started: Action, planned: Action) -> bool {
    match planned {
        Action::Access => started == Action::Provision,
        _ => started != Action::Access,
    }
}

/// Why a plan breaks the policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyViolation {
    /// Its approval level is too low.
    #[error("it claims approval level {claimed}, but the policy demands level {demanded}")]
    Level {
        /// Level in the plan.
        claimed: ApprovalLevel,
        /// Lowest level that the policy allows.
        demanded: ApprovalLevel,
    },
    /// Its environment would live too long.
    #[error("its environment would live {wanted}, the policy allows {seconds_max} s")]
    Life {
        /// Lifetime in the plan, with its unit.
        wanted: String,
        /// Longest lifetime that the policy allows.
        seconds_max: u64,
    },
}

/// Checks a plan against the policy. The level must be what the policy demands,
/// whoever made the plan; a new environment must not live longer than the policy
/// allows, unless the plan breaks the glass. The template's default level is the
/// one in the plan, since templates may be overridden; it can only raise the
/// level. The lifetime of an extension is checked when it is planned.
///
/// # Errors
/// The first rule that the plan breaks.
pub fn check_policy(plan: &Plan, roster: &Roster) -> Result<(), PolicyViolation> {
    let input = LevelInput::of(plan, &roster.policy);
    let (claimed, demanded) = (plan.level, level(&input, &roster.policy).level);
    if claimed < demanded {
        return Err(PolicyViolation::Level { claimed, demanded });
    }
    match &plan.spec {
        Some(spec) if plan.break_glass.is_none() => check_life(spec.ttl_seconds, &roster.policy),
        _ => Ok(()),
    }
}

/// Checks the whole lifetime of an environment; none is a life without an end.
///
/// # Errors
/// [`PolicyViolation::Life`] when it is longer than the policy allows.
pub fn check_life(seconds: Option<u64>, policy: &CostPolicy) -> Result<(), PolicyViolation> {
    match policy.life_seconds_max {
        Some(seconds_max) if seconds.is_none_or(|seconds| seconds > seconds_max) => {
            let wanted =
                seconds.map_or_else(|| "without an end".to_owned(), |seconds| format!("{seconds} s"));
            Err(PolicyViolation::Life { wanted, seconds_max })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_starts_in_its_window_and_only_on_the_environment_it_was_made_for() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let check = |starts: &[i64], now| {
            let starts = starts.iter().map(|second| at(*second));
            can_start(&Phase::AwaitingApproval, at(10), at(20), starts, at(now))
        };
        assert!(check(&[], 20) && check(&[9], 11));
        assert!(!check(&[], 21), "the window is closed");
        assert!(!check(&[9, 10], 11), "another operation has started since");
        assert!(!can_start(&Phase::Succeeded, at(10), at(20), [], at(11)));
    }
}
