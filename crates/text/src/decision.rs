//! The page before a vote: what a person must see to decide.

use exokit_model::approval::{Decision, Roster};
use exokit_model::canonical::Digest;
use exokit_model::graph::Node;
use exokit_model::ids::PersonId;
use exokit_model::plan::{Action, Plan};

use crate::format::{moment, table};
use crate::{objects, plan};

/// Formats the page before a vote.
#[must_use]
pub fn page(
    plan: &Plan,
    digest: &Digest,
    roster: &Roster,
    (person, decision): (&PersonId, Decision),
) -> String {
    let verb = match decision {
        Decision::Approve => "approves",
        Decision::Deny => "denies",
    };
    format!(
        "{}Computed here from the recorded bytes: digest {digest}\nIt can start until {} UTC.\n{person} {verb} exactly these bytes.\n",
        body(plan, roster),
        moment(plan.not_after)
    )
}

/// Formats the page that announces a plan. It is no base for a vote: a voter
/// reads the plan itself.
#[must_use]
pub fn announcement(plan: &Plan, digest: &Digest, roster: &Roster) -> String {
    format!(
        "{}Digest {digest}\nIt can start until {} UTC.\nTo vote: exokit approve {} or exokit deny {}\n",
        body(plan, roster),
        moment(plan.not_after),
        plan.plan_id,
        plan.plan_id
    )
}

fn body(plan: &Plan, roster: &Roster) -> String {
    let mut text = format!("{}\n\n", plan::heading(plan));
    if plan.action == Action::Provision {
        let others: Vec<&Node> =
            plan.graph.nodes().iter().filter(|node| objects::made(node).is_none()).collect();
        text.push_str(&format!("Makes {} resources in the account\n", others.len()));
        let rows = others.into_iter().map(|node| [format!("  {}", node.kind), node.name.clone()]);
        text.push_str(&format!("{}\n", table(["  KIND", "NAME"], rows)));
        text.push_str(&match objects::text(plan) {
            text if text.is_empty() => text,
            text => format!("{text}\n"),
        });
    }
    text.push_str(&format!("{}\n", plan::destroys(plan)));
    text.push_str(&format!("{}{}\n", plan::total(plan), plan::unknown(plan)));
    text.push_str(&plan::expiry(plan));
    text.push_str(&format!("{}\n", plan::level(plan, roster)));
    if !plan.corrections.is_empty() {
        text.push_str(&format!("{}\n", plan::corrections(plan)));
    }
    text
}
