//! Predicted durations: the longest path through a graph.

use std::collections::BTreeMap;

use exokit_model::graph::{Graph, Node, Presence};
use exokit_model::ids::NodeKey;

/// When each node is expected to be done, in seconds from the start, in graph
/// order.
#[must_use]
pub fn finish_seconds(graph: &Graph) -> BTreeMap<NodeKey, u32> {
    let mut done: BTreeMap<NodeKey, u32> = BTreeMap::new();
    let latest = |keys: &mut dyn Iterator<Item = &NodeKey>, done: &BTreeMap<NodeKey, u32>| {
        keys.filter_map(|key| done.get(key)).max().copied().unwrap_or(0)
    };
    for node in graph.nodes().iter().filter(|node| node.desired == Presence::Present) {
        let start = latest(&mut node.depends_on.iter(), &done);
        done.insert(node.key.clone(), start + node.predicted_seconds);
    }
    for node in graph.nodes().iter().rev().filter(|node| node.desired == Presence::Absent) {
        let start = latest(&mut graph.dependents(&node.key).map(|other| &other.key), &done);
        done.insert(node.key.clone(), start + node.predicted_seconds);
    }
    done
}

/// Expected duration of the whole graph in seconds.
#[must_use]
pub fn critical_path_seconds(graph: &Graph) -> u32 {
    finish_seconds(graph).values().max().copied().unwrap_or(0)
}

/// How much later a wanted node could be ready, by the predictions, without
/// the whole graph being later, in seconds.
#[must_use]
pub fn slack_seconds(graph: &Graph, key: &NodeKey) -> u32 {
    let done = finish_seconds(graph);
    // The longest way from each node to the end, without the node itself.
    let mut after: BTreeMap<&NodeKey, u32> = BTreeMap::new();
    for node in graph.nodes().iter().rev() {
        let way = after.get(&node.key).copied().unwrap_or(0) + node.predicted_seconds;
        for earlier in &node.depends_on {
            let longest = after.entry(earlier).or_insert(0);
            *longest = way.max(*longest);
        }
    }
    let through = done.get(key).copied().unwrap_or(0) + after.get(key).copied().unwrap_or(0);
    done.values().max().map_or(0, |end| end.saturating_sub(through))
}

/// The nodes on the longest path, first to last.
#[must_use]
pub fn critical_path(graph: &Graph) -> Vec<NodeKey> {
    let done = finish_seconds(graph);
    let finish = |node: &Node| done.get(&node.key).copied().unwrap_or(0);
    let mut path = Vec::new();
    let mut at = graph.nodes().iter().max_by_key(|node| finish(node));
    while let Some(node) = at {
        path.push(node.key.clone());
        let earlier: Vec<&Node> = match node.desired {
            Presence::Present => node.depends_on.iter().filter_map(|key| graph.node(key)).collect(),
            Presence::Absent => graph.dependents(&node.key).collect(),
        };
        at = earlier.into_iter().max_by_key(|node| finish(node));
    }
    path.reverse();
    path
}
