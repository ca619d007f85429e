//! An operation: where it stands, who voted, what to do next.

use exokit_model::approval::{Decision, Roster};
use exokit_model::plan::{Action, Plan};
use exokit_wire::reply::{OperationReply, Parked};
use jiff::Timestamp;

use crate::certificate;
use crate::format::{from_now, took};
use crate::plan::may_approve;

/// Formats how an operation ended, or why it has not ended.
pub fn text(operation: &OperationReply) -> String {
    let name = &operation.environment;
    let took = match (operation.started_at, operation.ended_at) {
        (Some(from), Some(to)) => format!(" after {}", took(from, to)),
        _ => String::new(),
    };
    let cause = operation.cause.clone().unwrap_or_default();
    match (operation.phase.raw(), operation.action) {
        ("succeeded", Action::Provision) => format!("{name} is ready{took}.\n"),
        ("succeeded", Action::Extend) => format!("{name} may live longer.\n"),
        ("succeeded", Action::Access) => format!("The access to {name} was handed out.\n"),
        ("succeeded", Action::Teardown) => {
            let proof = operation.certificate.as_ref().map(certificate::text).unwrap_or_default();
            format!("{name} is gone{took}.\n{proof}")
        }
        ("rolled-back", Action::Teardown) => {
            format!("The teardown of {name} stopped, and what is left takes a new plan: {cause}\n")
        }
        ("rolled-back", _) => {
            format!("{name} could not be made, and what was made is gone{took}: {cause}\n")
        }
        ("rejected", action) => format!("The {action} of {name} will not run: {cause}\n"),
        (_, action) => match &operation.needs_human {
            Some(Parked { owner, why, .. }) => {
                format!("The {action} of {name} stopped and waits for {owner}: {why}\n")
            }
            None => format!("The {action} of {name} is {}.\n", operation.phase),
        },
    }
}

/// One line about an operation that is not finished; `until` says how long it
/// can still start, where it waits and can.
pub fn open_line(operation: &OperationReply, until: Option<Timestamp>, now: Timestamp) -> String {
    let what = format!("{} {} ({})", operation.action, operation.plan_id, operation.phase);
    match (operation.phase.raw(), until, &operation.needs_human) {
        ("awaiting-approval", None, _) => format!("{what}: out of date, make a new plan\n"),
        ("awaiting-approval", Some(until), _) => {
            let votes = operation.approvals.iter().filter(|vote| vote.decision == Decision::Approve);
            let voters: Vec<String> = votes.map(|vote| vote.person.to_string()).collect();
            let have = if voters.is_empty() { "nobody".to_owned() } else { voters.join(", ") };
            let level = operation.level;
            format!("{what}: level {level}, approved by {have}, can start {}\n", from_now(until, now))
        }
        (_, _, Some(Parked { owner, why, .. })) => {
            format!("{what}: waits for {owner}: {why}\n{}", what_to_do(operation))
        }
        _ => format!("{what}: `exokit watch {}` follows it\n", operation.environment),
    }
}

/// Formats a hint about a parked operation.
pub fn what_to_do(operation: &OperationReply) -> String {
    let name = &operation.environment;
    let forward = operation.phase == "needs-human"
        && operation.needs_human.as_ref().is_some_and(|parked| !parked.rolling_back);
    let rollback = match (forward, operation.action) {
        (true, Action::Provision) => {
            format!(", or take back what was made with `exokit resume {name} --rollback`")
        }
        (true, Action::Teardown) => {
            format!(", or stop it where it is with `exokit resume {name} --rollback` and plan again")
        }
        (true, Action::Extend | Action::Access) | (false, _) => String::new(),
    };
    format!("hint: remove the cause, then `exokit resume {name}`{rollback}\n")
}

fn how_to_approve_access(plan: &Plan, roster: &Roster) -> String {
    format!(
        "It waits for approval (level {}).\n  may approve:                {}\n  somebody else approves it:  exokit approve {}",
        plan.level,
        may_approve(plan, roster),
        plan.plan_id
    )
}

/// Formats how to get a plan approved and run.
pub fn how_to_approve(plan: &Plan, roster: &Roster) -> String {
    let verb = match plan.action {
        Action::Provision => "up",
        Action::Teardown => "down",
        Action::Extend => "extend",
        Action::Access => return how_to_approve_access(plan, roster),
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
