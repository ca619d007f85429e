//! Where each node of an operation stands, folded from events.
//!
//! The fold is total: an event that cannot follow a state is an error, so a
//! ledger that was altered is noticed instead of obeyed.

use std::collections::BTreeMap;

use exokit_model::event::{Event, Record, Sealed};
use exokit_model::graph::{Graph, Node};
use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::text::ForeignText;
use jiff::Timestamp;

/// Where one node stands. Each state holds only what is valid in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NodeState {
    /// Nothing of it is in the cloud.
    #[default]
    Missing,
    /// A create request may be on its way; its outcome is not recorded.
    Intended {
        /// When its signature expires.
        expires_at: Timestamp,
    },
    /// The cloud accepted the create request.
    Accepted {
        /// Id, once known.
        id: Option<ResourceId>,
        /// The cloud's operation, where there is one.
        cloud_operation: Option<String>,
        /// When it was accepted.
        since: Timestamp,
    },
    /// It exists and is usable.
    Ready {
        /// Its id.
        id: ResourceId,
    },
    /// It could not be made properly and must be removed.
    Failed {
        /// Its id.
        id: ResourceId,
    },
    /// It is being removed.
    Deleting {
        /// Its id.
        id: ResourceId,
        /// Which delete request is next or under way.
        step: u32,
        /// Whether the cloud accepted that request.
        accepted: bool,
        /// The cloud's operation for it, where there is one.
        cloud_operation: Option<String>,
    },
}

/// A refusal that no further attempt can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The cloud's words.
    pub message: ForeignText,
}

/// Everything known of one node in one operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFacts {
    /// Where it stands.
    pub state: NodeState,
    /// Create attempts so far.
    pub attempts: u32,
    /// Of those, how many a human has forgiven.
    attempts_before: u32,
    /// Transient refusals of create requests so far.
    pub create_refusals: u32,
    /// Create attempts that were broken off before anything was heard of them
    /// and that came to nothing: the engine was stopped, and the cloud is not
    /// to blame.
    pub broken_off: u32,
    /// Whether the engine that made the present attempt lived to say that its
    /// outcome is not known.
    doubted: bool,
    /// Refusals of the current delete so far.
    pub delete_refusals: u32,
    /// Whether this operation made it (or may have).
    pub made_here: bool,
    /// Refusals of the current delete in a row for lack of rights.
    pub delete_forbidden: u32,
    /// HTTP status of the last refused delete.
    pub delete_status: u16,
    /// A definite refusal.
    pub refused: Option<Refusal>,
    /// The last thing that went wrong, in words.
    pub last_problem: Option<ForeignText>,
    /// Ids that belonged to it once and are gone.
    pub retired: Vec<ResourceId>,
    /// The one-time secret, sealed.
    pub sealed: Option<Sealed>,
    /// When the first intent was recorded.
    pub started_at: Option<Timestamp>,
    /// When it became ready or gone.
    pub settled_at: Option<Timestamp>,
}

impl NodeFacts {
    fn new(node: &Node) -> Self {
        let state = match &node.existing {
            Some(id) => NodeState::Ready { id: id.clone() },
            None => NodeState::Missing,
        };
        Self { state, ..Self::default() }
    }

    /// Forgets refusals: a human has looked and lets the operation go on.
    fn forgive(&mut self) {
        self.refused = None;
        self.create_refusals = 0;
        self.broken_off = 0;
        self.delete_refusals = 0;
        self.delete_forbidden = 0;
        self.attempts_before = self.attempts;
    }

    /// Counts an attempt that failed without anybody having heard of it.
    fn note_broken_off(&mut self, why: &str) {
        if matches!(self.state, NodeState::Intended { .. }) && !self.doubted {
            self.broken_off += 1;
            self.last_problem = Some(why.into());
        }
    }

    /// Create attempts since a human last looked.
    pub(crate) fn recent_attempts(&self) -> u32 {
        self.attempts - self.attempts_before
    }

    /// Id of the resource, where one is recorded.
    #[must_use]
    pub fn id(&self) -> Option<&ResourceId> {
        match &self.state {
            NodeState::Ready { id } | NodeState::Failed { id } | NodeState::Deleting { id, .. } => Some(id),
            NodeState::Accepted { id, .. } => id.as_ref(),
            NodeState::Missing | NodeState::Intended { .. } => None,
        }
    }
}

/// All nodes of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    nodes: BTreeMap<NodeKey, NodeFacts>,
}

/// An event that cannot follow the state of its node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event} of node {node} does not fit the state {state}")]
pub struct IllegalNodeEvent {
    /// The event.
    pub event: &'static str,
    /// The node.
    pub node: NodeKey,
    /// The state, as text.
    pub state: String,
}

impl Facts {
    /// The state before the first event.
    #[must_use]
    pub fn new(graph: &Graph) -> Self {
        Self { nodes: graph.nodes().iter().map(|node| (node.key.clone(), NodeFacts::new(node))).collect() }
    }

    /// One node; every key of the graph has one.
    #[must_use]
    pub fn get(&self, key: &NodeKey) -> Option<&NodeFacts> {
        self.nodes.get(key)
    }

    /// All nodes.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeKey, &NodeFacts)> {
        self.nodes.iter()
    }

    /// Id of a node, for slots.
    #[must_use]
    pub fn id_of(&self, key: &str) -> Option<ResourceId> {
        let facts = self.nodes.iter().find(|(node, _)| node.as_str() == key)?.1;
        facts.id().cloned()
    }

    /// Takes one record in. Events of the operation as a whole are ignored.
    ///
    /// # Errors
    /// When the event does not fit.
    pub fn apply(&mut self, graph: &Graph, record: &Record) -> Result<(), IllegalNodeEvent> {
        let event = &record.entry.event;
        if let Event::OperationUnparked { .. } = event {
            self.nodes.values_mut().for_each(NodeFacts::forgive);
        }
        let Some(key) = event.node() else {
            return Ok(());
        };
        let illegal = |state: &str| IllegalNodeEvent {
            event: event.name(),
            node: key.clone(),
            state: state.to_owned(),
        };
        let node = graph.node(key).ok_or_else(|| illegal("no such node"))?;
        let facts = self.nodes.get_mut(key).ok_or_else(|| illegal("no such node"))?;
        let next = next_state(node, &facts.state, event, record.entry.at)
            .ok_or_else(|| illegal(&format!("{:?}", facts.state)))?;
        note(facts, event, record.entry.at);
        facts.state = next;
        if let (Kind::SksCluster, Event::ResourceGone { .. }) = (node.kind, event) {
            self.lose_objects(graph, key, record.entry.at);
        }
        Ok(())
    }

    /// What was inside a cluster is gone with it.
    fn lose_objects(&mut self, graph: &Graph, cluster: &NodeKey, at: Timestamp) {
        for node in graph.dependents(cluster).filter(|node| node.kind.is_kubernetes()) {
            if let Some(facts) = self.nodes.get_mut(&node.key) {
                facts.state = NodeState::Missing;
                facts.settled_at = Some(at);
            }
        }
    }
}

/// Whether a create request in doubt is simply sent again: a server-side apply
/// of the same bytes has one effect however often it arrives.
pub(crate) fn is_repeatable(node: &Node) -> bool {
    node.kind.is_kubernetes()
}

/// The state after an event; none when the event does not fit.
fn next_state(node: &Node, state: &NodeState, event: &Event, at: Timestamp) -> Option<NodeState> {
    use NodeState as S;
    let deleting =
        |id: &ResourceId, step| S::Deleting { id: id.clone(), step, accepted: false, cloud_operation: None };
    let next = match (state, event) {
        (S::Missing, Event::CreateIntended { expires_at, .. }) => S::Intended { expires_at: *expires_at },
        (S::Intended { .. }, Event::CreateIntended { expires_at, .. }) if is_repeatable(node) => {
            S::Intended { expires_at: *expires_at }
        }
        (S::Intended { .. }, Event::CreateAccepted { id, cloud_operation, .. }) => {
            S::Accepted { id: id.clone(), cloud_operation: cloud_operation.clone(), since: at }
        }
        (S::Intended { .. }, Event::CreateRefused { .. } | Event::CreateAbsent { .. }) => S::Missing,
        (S::Intended { .. }, Event::CreateInDoubt { .. }) => state.clone(),
        (S::Intended { .. }, Event::CreateAdopted { id, .. }) => {
            S::Accepted { id: Some(id.clone()), cloud_operation: None, since: at }
        }
        (S::Accepted { .. }, Event::ResourceReady { id, .. }) => S::Ready { id: id.clone() },
        (S::Accepted { .. } | S::Intended { .. }, Event::ResourceFailed { id, .. }) => {
            id.clone().map_or(S::Missing, |id| S::Failed { id })
        }
        (S::Ready { id: own } | S::Failed { id: own }, Event::DeleteIntended { id, step: 0, .. })
            if own == id =>
        {
            deleting(id, 0)
        }
        (S::Deleting { id: own, .. }, Event::DeleteIntended { id, step, .. }) if own == id => {
            deleting(id, *step)
        }
        (S::Deleting { id: own, .. }, Event::DeleteAccepted { id, step, cloud_operation, .. })
            if own == id =>
        {
            let (id, step, cloud_operation) = (id.clone(), *step, cloud_operation.clone());
            match usize::try_from(step).ok()? + 1 >= node.delete.len() {
                true => S::Deleting { id, step, accepted: true, cloud_operation },
                false => deleting(&id, step + 1),
            }
        }
        (S::Deleting { id: own, step, .. }, Event::DeleteRefused { id, .. }) if own == id => {
            deleting(id, *step)
        }
        (
            S::Ready { id: own } | S::Failed { id: own } | S::Deleting { id: own, .. },
            Event::ResourceGone { id, .. },
        ) if own == id => S::Missing,
        _ => return None,
    };
    Some(next)
}

/// Keeps the counters and words beside the state, which is still the one
/// before the event.
fn note(facts: &mut NodeFacts, event: &Event, at: Timestamp) {
    match event {
        Event::CreateIntended { attempt, .. } => {
            facts.note_broken_off("it was broken off and is sent again");
            facts.attempts = *attempt;
            facts.doubted = false;
            facts.made_here = true;
            facts.started_at.get_or_insert(at);
        }
        Event::CreateAccepted { sealed, .. } => facts.sealed = sealed.clone(),
        Event::CreateRefused { status, message, transient, .. } => {
            facts.last_problem = Some(message.clone());
            match transient {
                true => facts.create_refusals += 1,
                false => facts.refused = Some(Refusal { status: *status, message: message.clone() }),
            }
        }
        Event::CreateInDoubt { why, .. } => {
            facts.doubted = true;
            facts.last_problem = Some(why.clone());
        }
        Event::CreateAbsent { .. } => facts.note_broken_off("it was broken off before it was sent"),
        Event::ResourceFailed { reason, .. } => {
            facts.last_problem = Some(reason.clone());
            facts.note_broken_off(reason.raw());
        }
        Event::ResourceReady { .. } => facts.settled_at = Some(at),
        Event::ResourceGone { id, .. } => {
            facts.settled_at = Some(at);
            facts.retired.push(id.clone());
            facts.delete_refusals = 0;
            facts.delete_forbidden = 0;
            facts.sealed = None;
        }
        Event::DeleteIntended { .. } => {
            facts.started_at.get_or_insert(at);
        }
        Event::DeleteAccepted { .. } => {
            facts.delete_refusals = 0;
            facts.delete_forbidden = 0;
        }
        Event::DeleteRefused { status, message, .. } => {
            facts.delete_refusals += 1;
            facts.delete_forbidden = match status {
                401 | 403 => facts.delete_forbidden + 1,
                _ => 0,
            };
            facts.delete_status = *status;
            facts.last_problem = Some(message.clone());
        }
        _ => {}
    }
}
