//! An operation: where it stands, who voted, what to do next.

use exokit_approval::token::inspect;
use exokit_ledger::OperationView;
use exokit_model::approval::{Decision, Roster};
use exokit_model::ids::EnvironmentName;
use exokit_model::phase::Phase;
use exokit_model::plan::Action;
use jiff::Timestamp;

use crate::certificate;
use crate::format::{from_now, took};
use crate::plan::may_approve;

fn voters(tokens: &[String], decision: Decision) -> Vec<String> {
    let votes = tokens.iter().filter_map(|token| inspect(token).ok());
    votes.filter(|vote| vote.claims.decision == decision).map(|vote| vote.claims.person.to_string()).collect()
}

/// How it ended, or why it has not, for people.
pub fn text(operation: &OperationView) -> String {
    let name = &operation.plan.environment;
    let took = match (operation.started_at, operation.ended_at) {
        (Some(from), Some(to)) => format!(" after {}", took(from, to)),
        _ => String::new(),
    };
    match (&operation.phase, operation.plan.action) {
        (Phase::Succeeded, Action::Provision) => format!("{name} is ready{took}.\n"),
        (Phase::Succeeded, Action::Extend) => format!("{name} may live longer.\n"),
        (Phase::Succeeded, Action::Teardown) => {
            let proof = operation.certificate.as_ref().map(certificate::text).unwrap_or_default();
            format!("{name} is gone{took}.\n{proof}")
        }
        (Phase::RolledBack { cause }, Action::Teardown) => {
            format!("The teardown of {name} stopped, and what is left takes a new plan: {cause}\n")
        }
        (Phase::RolledBack { cause }, _) => {
            format!("{name} could not be made, and what was made is gone{took}: {cause}\n")
        }
        (Phase::Rejected { why }, action) => format!("The {action} of {name} will not run: {why}\n"),
        (Phase::NeedsHuman { why, owner, .. }, action) => {
            format!("The {action} of {name} stopped and waits for {owner}: {why}\n")
        }
        (phase, action) => format!("The {action} of {name} is {}.\n", phase.name()),
    }
}

/// Whether a plan waits for its approval and can still start: it is not too
/// old, and nothing else has changed the environment since it was made.
pub fn can_start(operation: &OperationView, others: &[OperationView], now: Timestamp) -> bool {
    let since = |other: &OperationView| other.started_at.is_some_and(|at| at >= operation.proposed_at);
    operation.phase == Phase::AwaitingApproval && operation.plan.not_after >= now && !others.iter().any(since)
}

/// One line about an operation that is not finished.
pub fn open_line(operation: &OperationView, others: &[OperationView], now: Timestamp) -> String {
    let plan = &operation.plan;
    let what = format!("{} {} ({})", plan.action, plan.plan_id, operation.phase.name());
    match &operation.phase {
        Phase::AwaitingApproval if !can_start(operation, others, now) => {
            format!("{what}: out of date, make a new plan\n")
        }
        Phase::AwaitingApproval => {
            let voters = voters(&operation.tokens, Decision::Approve);
            let have = if voters.is_empty() { "nobody".to_owned() } else { voters.join(", ") };
            format!(
                "{what}: level {}, approved by {have}, can start {}\n",
                plan.level,
                from_now(plan.not_after, now)
            )
        }
        Phase::NeedsHuman { why, owner, .. } => {
            format!("{what}: waits for {owner}: {why}\n{}", what_to_do(&plan.environment, operation))
        }
        _ => format!("{what}: `exokit watch {}` follows it\n", plan.environment),
    }
}

/// What a human can do about a parked operation.
pub fn what_to_do(name: &EnvironmentName, operation: &OperationView) -> String {
    let forward = matches!(operation.phase, Phase::NeedsHuman { rolling_back: false, .. });
    let rollback = match (forward, operation.plan.action) {
        (true, Action::Provision) => {
            format!(", or take back what was made with `exokit resume {name} --rollback`")
        }
        (true, Action::Teardown) => {
            format!(", or stop it where it is with `exokit resume {name} --rollback` and plan again")
        }
        (true, Action::Extend) | (false, _) => String::new(),
    };
    format!("hint: remove the cause, then `exokit resume {name}`{rollback}\n")
}

/// How to get a plan approved and run.
pub fn how_to_approve(operation: &OperationView, roster: &Roster) -> String {
    let plan = &operation.plan;
    let verb = match plan.action {
        Action::Provision => "up",
        Action::Teardown => "down",
        Action::Extend => "extend",
    };
    format!(
        "It waits for approval (level {}).\n  may approve:                  {}\n  somebody else approves it:    exokit approve {}\n  then run it:                  exokit {verb} --plan {}\n  or let it run when approved:  exokit watch {}",
        plan.level,
        may_approve(plan, roster),
        plan.plan_id,
        plan.plan_id,
        plan.environment
    )
}
