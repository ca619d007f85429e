//! The walk over the resource graph: which steps may be taken now, and when
//! the whole is done.
//!
//! There is no forward and no backward mode. Every node has a desired
//! presence. One that should be present may be made when everything it depends
//! on is ready; one that should be absent may go when nothing that depends on
//! it is left. Provision, rollback and teardown are this one function with
//! different wishes; a plan is the function iterated with predicted success,
//! and drift is a comparison with nothing executed.

use exokit_model::graph::{Graph, Node, Presence};
use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::needs_human::NeedsHuman;
use exokit_model::phase::Phase;
use exokit_model::plan::Action;
use exokit_mutant::{Mutant, planted};
use jiff::Timestamp;

use crate::node_state::{Facts, NodeFacts, NodeState, is_repeatable};

/// Most create attempts of one node whose earlier attempts had no effect or
/// failed.
pub const CREATE_ATTEMPTS_MAX: u32 = 3;

/// Most transient refusals (busy, too many requests) of one node's creation.
const CREATE_REFUSALS_MAX: u32 = 12;

/// Most create attempts of one node that were broken off because the engine
/// was stopped. Each costs the time that a signature holds, and one that makes
/// the engine fall over again and again must end.
pub const CREATE_BROKEN_OFF_MAX: u32 = 12;

/// Most refusals of one delete. With the executor's back-off this is more than
/// 30 minutes, the longest that machines were seen to keep their groups busy.
pub const DELETE_REFUSALS_MAX: u32 = 60;

/// One bounded piece of work on one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The node.
    pub node: NodeKey,
    /// The action on it.
    pub action: StepAction,
}

/// The action of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepAction {
    /// Send the create request.
    Create {
        /// Counts from 1.
        attempt: u32,
        /// Transient refusals before this one; the executor backs off by it.
        refusals: u32,
    },
    /// Find out what became of a create request without a known outcome.
    Settle {
        /// The attempt.
        attempt: u32,
        /// When the request can no longer start.
        expires_at: Timestamp,
    },
    /// Follow an accepted create until the resource is ready or has failed.
    Await {
        /// Id, where known.
        id: Option<ResourceId>,
        /// The cloud's operation, where there is one.
        cloud_operation: Option<String>,
        /// When it was accepted.
        since: Timestamp,
    },
    /// Send a delete request.
    Delete {
        /// Id of the resource.
        id: ResourceId,
        /// Which of the node's delete requests.
        step: u32,
        /// Refusals before this one; the executor backs off by it.
        refusals: u32,
    },
    /// Follow an accepted delete until the resource is gone.
    ConfirmGone {
        /// Id of the resource.
        id: ResourceId,
        /// The cloud's operation, where there is one.
        cloud_operation: Option<String>,
    },
}

/// What an operation wants of a node: what the plan says, or, when it rolls
/// back, absence of what this very operation made.
fn wanted(node: &Node, facts: &NodeFacts, rolling_back: bool) -> Option<Presence> {
    match (rolling_back, facts.made_here) {
        (false, _) => Some(node.desired),
        (true, true) => Some(Presence::Absent),
        (true, false) => None,
    }
}

/// The steps that may be taken now, in graph order. Steps of nodes that are
/// being worked on are included; the executor knows which those are.
#[must_use]
pub fn frontier(graph: &Graph, facts: &Facts, rolling_back: bool) -> Vec<Step> {
    let step = |node: &Node| {
        let own = facts.get(&node.key)?;
        let action = match wanted(node, own, rolling_back) {
            Some(Presence::Present) => toward_present(graph, facts, node, own),
            Some(Presence::Absent) if planted(Mutant::RollbackForgets) && is_open(own) => None,
            Some(Presence::Absent) => toward_absent(graph, facts, node, own),
            None => is_leaving(own).then(|| in_flight(own)).flatten(),
        };
        Some(Step { node: node.key.clone(), action: action? })
    };
    graph.nodes().iter().filter_map(step).collect()
}

fn toward_present(graph: &Graph, facts: &Facts, node: &Node, own: &NodeFacts) -> Option<StepAction> {
    match &own.state {
        NodeState::Missing => may_create(graph, facts, node, own)
            .then(|| StepAction::Create { attempt: own.attempts + 1, refusals: own.create_refusals }),
        NodeState::Ready { .. } => None,
        NodeState::Failed { id } => Some(delete(own, id, 0)),
        NodeState::Intended { .. } if is_repeatable(node) && exhausted(own).is_none() => {
            let refusals = own.recent_attempts();
            Some(StepAction::Create { attempt: own.attempts + 1, refusals })
        }
        _ => in_flight(own),
    }
}

/// Whether a create request may be on its way.
fn is_open(own: &NodeFacts) -> bool {
    matches!(own.state, NodeState::Intended { .. })
}

/// Whether the cloud has accepted to remove it, so that it goes away whatever
/// is wanted.
fn is_leaving(own: &NodeFacts) -> bool {
    matches!(own.state, NodeState::Deleting { accepted: true, .. })
}

fn may_create(graph: &Graph, facts: &Facts, node: &Node, own: &NodeFacts) -> bool {
    let ready =
        |key: &NodeKey| facts.get(key).is_some_and(|facts| matches!(facts.state, NodeState::Ready { .. }));
    exhausted(own).is_none() && node.depends_on.iter().all(|key| graph.node(key).is_some() && ready(key))
}

fn toward_absent(graph: &Graph, facts: &Facts, node: &Node, own: &NodeFacts) -> Option<StepAction> {
    let is_no_obstacle = |node: &Node| {
        facts.get(&node.key).is_some_and(|own| own.state == NodeState::Missing || is_left_behind(node, own))
    };
    match &own.state {
        NodeState::Missing => None,
        _ if is_left_behind(node, own) => None,
        NodeState::Ready { id } | NodeState::Failed { id } => {
            graph.dependents(&node.key).all(is_no_obstacle).then(|| delete(own, id, 0))
        }
        _ => in_flight(own),
    }
}

/// Refusals of a delete, none of which came from the API server, after which an
/// object is left to go with its cluster. What it has outside is removed there.
const UNREACHABLE_MAX: u32 = 6;

/// Whether an object inside a cluster is removed by removing the cluster.
fn is_left_behind(node: &Node, own: &NodeFacts) -> bool {
    let is_unreachable = node.kind.is_kubernetes()
        && matches!(own.state, NodeState::Deleting { .. })
        && own.delete_status == 0
        && own.delete_refusals >= UNREACHABLE_MAX;
    node.kind.goes_with_cluster() || is_unreachable
}

/// What is under way is brought to an end whatever is wanted: an unsettled
/// request must settle before one may conclude that nothing is there.
fn in_flight(own: &NodeFacts) -> Option<StepAction> {
    match own.state.clone() {
        NodeState::Intended { expires_at } => Some(StepAction::Settle { attempt: own.attempts, expires_at }),
        NodeState::Accepted { id, cloud_operation, since } => {
            Some(StepAction::Await { id, cloud_operation, since })
        }
        NodeState::Deleting { id, accepted: true, cloud_operation, .. } => {
            Some(StepAction::ConfirmGone { id, cloud_operation })
        }
        NodeState::Deleting { id, step, accepted: false, .. } => {
            (own.delete_refusals < DELETE_REFUSALS_MAX).then(|| delete(own, &id, step))
        }
        NodeState::Missing | NodeState::Ready { .. } | NodeState::Failed { .. } => None,
    }
}

fn delete(own: &NodeFacts, id: &ResourceId, step: u32) -> StepAction {
    StepAction::Delete { id: id.clone(), step, refusals: own.delete_refusals }
}

/// Why no further create attempt may be made, if so.
fn exhausted(own: &NodeFacts) -> Option<String> {
    let last = || own.last_problem.as_ref().map_or_else(|| "no reason given".to_owned(), ToString::to_string);
    if let Some(refusal) = &own.refused {
        return Some(format!("refused with {}: {}", refusal.status, refusal.message));
    }
    // Attempts that were only refused, or broken off with the engine, tell
    // nothing about the others and have limits of their own.
    let apart = own.create_refusals + own.broken_off;
    let exhausted = own.create_refusals >= CREATE_REFUSALS_MAX
        || own.broken_off >= CREATE_BROKEN_OFF_MAX
        || own.recent_attempts().saturating_sub(apart) >= CREATE_ATTEMPTS_MAX;
    exhausted.then(last)
}

/// What the state of the nodes means for the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is something to do or to wait for.
    Continue,
    /// Everything is as wanted.
    Settled,
    /// It cannot be completed; what it made must go.
    Rollback(String),
    /// Only a human can help.
    Park(NeedsHuman),
}

/// Judges an operation. A failed node blocks only the nodes that wait for it,
/// but an operation that cannot be completed stops starting new ones.
#[must_use]
pub fn verdict(action: Action, graph: &Graph, facts: &Facts, phase: &Phase) -> Verdict {
    let rolling_back = phase.is_rollback();
    for node in graph.nodes() {
        let Some(own) = facts.get(&node.key) else {
            continue;
        };
        if let Some(why) = stuck_delete(node, own) {
            return Verdict::Park(why);
        }
        if let Some(verdict) = verdict_of_missing(action, node, own, rolling_back) {
            return verdict;
        }
    }
    match frontier(graph, facts, rolling_back).is_empty() && all_as_wanted(graph, facts, rolling_back) {
        true => Verdict::Settled,
        false => Verdict::Continue,
    }
}

/// Refusals of a delete in a row for lack of rights after which it is not tried
/// again. Those of a busy resource do not count: machines hold their groups for
/// minutes, and one more refusal of another kind then means no more than first.
const FORBIDDEN_MAX: u32 = 3;

fn stuck_delete(node: &Node, own: &NodeFacts) -> Option<NeedsHuman> {
    let message = || own.last_problem.clone().unwrap_or_default();
    let deleting = matches!(own.state, NodeState::Deleting { .. }) && !is_left_behind(node, own);
    match (deleting, own.delete_forbidden, own.delete_refusals) {
        (true, FORBIDDEN_MAX.., _) => {
            Some(NeedsHuman::Credentials { status: own.delete_status, message: message() })
        }
        (true, _, DELETE_REFUSALS_MAX..) => {
            Some(NeedsHuman::DeleteStuck { node: node.key.clone(), last: message() })
        }
        _ => None,
    }
}

/// Whether a refusal speaks of the credentials and not of the request. The
/// cloud also answers 403 for a database version or plan that it does not
/// offer, and for a key whose role is not known everywhere yet.
fn is_about_credentials(kind: Kind, status: u16) -> bool {
    // The API server of a cluster answers 403 for what a quota or the security
    // level of a namespace forbids.
    let ambiguous = matches!(kind, Kind::DbaasPg | Kind::DbaasValkey | Kind::ApiKey) || kind.is_kubernetes();
    status == 401 || (status == 403 && !ambiguous)
}

fn verdict_of_missing(action: Action, node: &Node, own: &NodeFacts, rolling_back: bool) -> Option<Verdict> {
    let wants_it = wanted(node, own, rolling_back) == Some(Presence::Present);
    if !wants_it || own.state != NodeState::Missing {
        return None;
    }
    if let Some(refusal) = &own.refused
        && is_about_credentials(node.kind, refusal.status)
    {
        let why = NeedsHuman::Credentials { status: refusal.status, message: refusal.message.clone() };
        return Some(Verdict::Park(why));
    }
    let cause = exhausted(own)?;
    match action {
        Action::Provision => Some(Verdict::Rollback(format!("{}: {cause}", node.key))),
        Action::Teardown | Action::Extend | Action::Access => {
            let why = NeedsHuman::AttemptsExhausted { node: node.key.clone(), last: cause.into() };
            Some(Verdict::Park(why))
        }
    }
}

fn all_as_wanted(graph: &Graph, facts: &Facts, rolling_back: bool) -> bool {
    graph.nodes().iter().all(|node| {
        let Some(own) = facts.get(&node.key) else {
            return false;
        };
        match (wanted(node, own, rolling_back), &own.state) {
            (None, _) => !is_leaving(own),
            (Some(Presence::Present), NodeState::Ready { .. })
            | (Some(Presence::Absent), NodeState::Missing) => true,
            (Some(Presence::Absent), _) => planted(Mutant::RollbackForgets) && is_open(own),
            (Some(_), _) => false,
        }
    })
}
