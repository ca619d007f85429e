//! The critical path: the longest path through a plan's graph when nothing
//! takes time but the cloud itself.

use std::collections::BTreeMap;
use std::time::Duration;

use exokit_ledger::OperationState;
use exokit_model::graph::Graph;
use exokit_model::ids::NodeKey;
use exokit_sim::{Effect, JournalEntry};

/// How long the cloud took for each resource, from its request to the moment
/// at which it was usable, as drawn. By the resource's id.
#[must_use]
pub fn taken(journal: &[JournalEntry]) -> BTreeMap<String, Duration> {
    let one = |entry: &JournalEntry| match &entry.effect {
        Effect::Created { id, .. } => Some((id.clone(), milliseconds(entry.takes_ms.unwrap_or(0)))),
        Effect::None | Effect::Updated { .. } | Effect::Deleted { .. } => None,
    };
    journal.iter().filter_map(one).collect()
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(ms.try_into().unwrap_or(0))
}

/// The critical path of a provision that has ended well. None when the cloud
/// does not know one of its resources.
#[must_use]
pub fn of(state: &OperationState, taken: &BTreeMap<String, Duration>) -> Option<Duration> {
    let latency = |key: &NodeKey| {
        let id = state.facts.id_of(key.as_str())?;
        taken.get(id.as_str()).copied()
    };
    longest(&state.plan.graph, latency)
}

/// The longest path, where each node takes so long.
fn longest(graph: &Graph, latency: impl Fn(&NodeKey) -> Option<Duration>) -> Option<Duration> {
    let mut done: BTreeMap<&NodeKey, Duration> = BTreeMap::new();
    for node in graph.nodes() {
        let start = node.depends_on.iter().filter_map(|key| done.get(key)).max().copied().unwrap_or_default();
        done.insert(&node.key, start + latency(&node.key)?);
    }
    done.values().max().copied()
}
