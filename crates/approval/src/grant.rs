//! Permits: turns an approved plan into the one request that it allows now.

use exokit_model::canonical::Digest;
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::graph::{Node, Presence};
use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::request::{ConcreteRequest, RequestTemplate};
use jiff::{SignedDuration, Timestamp};

use crate::permit::Permit;
use crate::prior_approval::PriorApproval;
use crate::refusal::Refusal;
use crate::verify::{Verifier, later};

/// Longest life of a permit, in seconds. It bounds how long a request in doubt
/// can still take effect, because its signature expires with the permit.
const PERMIT_SECONDS_MAX: i64 = 30;

/// The kind of request that a permit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// The create request of a node.
    Create,
    /// One of the delete requests of a node.
    Delete {
        /// Index of the request, from 0.
        step: usize,
    },
}

/// The input of [`Verifier::permit`]: everything that decides whether a request
/// may be sent.
pub struct PermitRequest<'a> {
    /// The plan.
    pub plan: &'a FixedPlan,
    /// The digest under which the plan was recorded; the plan must have it.
    pub digest: Digest,
    /// All tokens recorded for the plan, denials too.
    pub tokens: &'a [String],
    /// The time.
    pub now: Timestamp,
    /// The approval of the environment, if it may cover this removal.
    pub prior_approval: Option<&'a PriorApproval>,
    /// When the plan's operation started, if it has.
    pub started_at: Option<Timestamp>,
    /// Whether the operation rolls back, so that it makes nothing more.
    pub rollback: bool,
    /// Whether the ledger records that this very operation made the id.
    pub made_here: &'a dyn Fn(&ResourceId) -> bool,
    /// When the signature must expire: within 30 s, and within the lease.
    pub deadline: Timestamp,
    /// The node.
    pub node: &'a NodeKey,
    /// What is to be done with it.
    pub intent: Intent,
    /// Id of the node's resource, where it is known.
    pub own_id: Option<&'a ResourceId>,
    /// Ids of the other nodes by key, where they are known.
    pub id_of: &'a dyn Fn(&str) -> Option<ResourceId>,
}

impl Verifier {
    /// Makes the plan's request for a node concrete and permits it, or says
    /// why it may not be sent. The request comes from the plan and nowhere
    /// else.
    ///
    /// Votes, roster and denials are looked at each time. Before the start,
    /// votes must be valid now and the last needed one at most 1 h old; after
    /// it, they must have been so at the start. Removing what the operation
    /// itself made needs no vote.
    ///
    /// # Errors
    /// As [`Verifier::quorum`]; `plan-altered` when the plan does not have the
    /// recorded digest; `start-window` and `plan-expired` when it is too late
    /// to start; `not-in-plan`, `rolling-back`, `foreign-id` and
    /// `data-not-listed` when the plan does not allow it; `deadline` when the
    /// permit would not last or last too long; `unresolved` when an id is
    /// missing.
    pub fn permit(&self, input: PermitRequest<'_>) -> Result<(Permit, ConcreteRequest), Refusal> {
        check_deadline(&input)?;
        if input.plan.digest() != input.digest {
            return Err(Refusal::PlanAltered);
        }
        let not_in_plan = |why| Refusal::NotInPlan { node: input.node.clone(), why };
        let node =
            input.plan.graph.node(input.node).ok_or_else(|| not_in_plan("the plan has no such resource"))?;
        let template = match input.intent {
            Intent::Create if input.rollback => {
                return Err(Refusal::RollingBack(node.key.clone()));
            }
            Intent::Create => create_template(node),
            Intent::Delete { step } => delete_template(node, step, input.rollback),
        }
        .map_err(not_in_plan)?;
        match undoes(&input, node) {
            true => check_made_here(&input, node)?,
            false => self.check_approved(&input, node)?,
        }
        let request = template
            .resolve(input.own_id, input.id_of)
            .map_err(|source| Refusal::Unresolved { node: node.key.clone(), source })?;
        Ok((Permit::new(node.zone.clone(), request.digest(), input.deadline), request))
    }

    /// The plan is approved, in time, and names what is removed.
    fn check_approved(&self, input: &PermitRequest<'_>, node: &Node) -> Result<(), Refusal> {
        if matches!(input.intent, Intent::Delete { .. }) {
            check_listed(input, node)?;
        }
        let start = input.started_at.map_or(input.now, |at| at.min(input.now));
        let times = (start, input.now);
        let quorum = self.quorum_or_prior_approval(input.plan, input.tokens, times, input.prior_approval)?;
        if start > input.plan.not_after {
            return Err(Refusal::PlanExpired(input.plan.not_after));
        }
        match quorum.start_by() {
            Some(until) if start > until => Err(Refusal::StartWindow(until)),
            _ => Ok(()),
        }
    }
}

fn check_deadline(input: &PermitRequest<'_>) -> Result<(), Refusal> {
    let refuse = |why| Err(Refusal::Deadline { deadline: input.deadline, now: input.now, why });
    if input.deadline <= input.now {
        return refuse("it has passed");
    }
    let latest = later(input.now, SignedDuration::from_secs(PERMIT_SECONDS_MAX));
    if input.deadline > latest {
        return refuse("a permit lasts 30 s at most");
    }
    Ok(())
}

fn create_template(node: &Node) -> Result<&RequestTemplate, &'static str> {
    if node.desired != Presence::Present {
        return Err("the plan does not want it to exist");
    }
    if node.existing.is_some() {
        return Err("it exists already according to the plan");
    }
    node.create.as_ref().ok_or("the plan has no request for it")
}

fn delete_template(node: &Node, step: usize, rollback: bool) -> Result<&RequestTemplate, &'static str> {
    if rollback && node.desired == Presence::Absent {
        return Err("a rollback only removes what the plan makes");
    }
    node.delete.get(step).ok_or("the plan has no such delete request for it")
}

/// Whether the request takes back what the plan makes: in a rollback, or to
/// make a failed resource anew. That needs no vote.
fn undoes(input: &PermitRequest<'_>, node: &Node) -> bool {
    matches!(input.intent, Intent::Delete { .. }) && node.desired == Presence::Present
}

/// An operation takes back only what it made itself, and data only where the
/// plan said so.
fn check_made_here(input: &PermitRequest<'_>, node: &Node) -> Result<(), Refusal> {
    if input.started_at.is_none() {
        return Err(Refusal::NotInPlan {
            node: node.key.clone(),
            why: "an operation that has not started has made nothing",
        });
    }
    let made = input.own_id.filter(|id| (input.made_here)(id));
    if made.is_none() || node.existing.is_some() {
        return Err(Refusal::foreign(&node.key, input.own_id, "this operation did not make it"));
    }
    match holds_data(node) && !input.plan.rollback_destroys.contains(&node.key) {
        true => Err(Refusal::DataNotListed(node.key.clone())),
        false => Ok(()),
    }
}

/// A teardown removes only the ids that stand in the approved plan, and data
/// only where the plan lists it among what it destroys.
fn check_listed(input: &PermitRequest<'_>, node: &Node) -> Result<(), Refusal> {
    if input.own_id.is_none() || input.own_id != node.existing.as_ref() {
        return Err(Refusal::foreign(&node.key, input.own_id, "the plan names another id or none"));
    }
    let listed = input
        .plan
        .destroys
        .iter()
        .any(|destroy| destroy.key == node.key && Some(&destroy.id) == input.own_id);
    match holds_data(node) && !listed {
        true => Err(Refusal::DataNotListed(node.key.clone())),
        false => Ok(()),
    }
}

fn holds_data(node: &Node) -> bool {
    node.protects_data || node.kind.holds_data()
}
