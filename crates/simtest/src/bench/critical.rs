//! The critical path: the longest path through a plan's graph when nothing
//! takes time but the cloud itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use exokit_ledger::OperationState;
use exokit_model::graph::{Graph, Node};
use exokit_sim::{Effect, JournalEntry, World};
use serde_json::Value;

use crate::rig::Rig;

/// When each resource was usable in the cloud, in milliseconds since 1970, by
/// its id. Nothing in it depends on when anybody looked.
#[derive(Debug, Default)]
pub struct Usable {
    at: BTreeMap<String, i64>,
}

impl Usable {
    /// Takes in what is usable inside the clusters now. Called often enough, the
    /// times are those at which it became so.
    fn note(&mut self, world: &World) {
        let now = world.now_ms();
        for object in world.objects_in_clusters() {
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            if !self.at.contains_key(uid) && is_usable(object) {
                self.at.insert(uid.to_owned(), now);
            }
        }
    }

    /// Does some work, and notes meanwhile when the objects in the clusters become
    /// usable, as closely as `resolution`.
    pub async fn watch<T>(&mut self, rig: &Rig, resolution: Duration, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    rig.cloud_mut(|world| self.note(world));
                    return done;
                }
                () = tokio::time::sleep(resolution) => rig.cloud_mut(|world| self.note(world)),
            }
        }
    }

    /// Takes in the resources of the cloud: their requests, and how long the
    /// cloud took for them, as drawn.
    pub fn note_journal(&mut self, journal: &[Arc<JournalEntry>]) {
        for entry in journal.iter().filter(|entry| !entry.in_cluster) {
            if let Effect::Created { id, .. } = &entry.effect {
                self.at.insert(id.clone(), entry.at_ms + entry.takes_ms.unwrap_or(0));
            }
        }
    }

    fn at(&self, state: &OperationState, node: &Node) -> Option<i64> {
        self.at.get(state.facts.get(&node.key)?.id()?.as_str()).copied()
    }
}

/// Whether an object does what it is for, by a look of its own at its status.
fn is_usable(object: &Value) -> bool {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
    match object["kind"].as_str() {
        Some("Deployment") => {
            let annotations = &object["metadata"]["annotations"];
            let least =
                annotations["stargate.io/replicas-at-least"].as_str().and_then(|text| text.parse().ok());
            number("/status/availableReplicas") >= number("/spec/replicas").max(least)
        }
        Some("Service") if object["spec"]["type"] == "LoadBalancer" => {
            object.pointer("/status/loadBalancer/ingress/0/ip").is_some()
        }
        _ => true,
    }
}

/// The critical path of a provision that has ended well, from when it began.
/// None when the cloud does not know one of its resources.
///
/// A resource of the cloud takes as long as was drawn for it. An object in a
/// cluster takes as long as it was not usable after everything it depends on
/// was: the nodes of a pool come whether anybody waits for them or not.
#[must_use]
pub fn of(state: &OperationState, usable: &Usable, journal: &[Arc<JournalEntry>]) -> Option<Duration> {
    let drawn: BTreeMap<&str, i64> = journal
        .iter()
        .filter_map(|entry| match &entry.effect {
            Effect::Created { id, .. } => Some((id.as_str(), entry.takes_ms.unwrap_or(0))),
            Effect::None | Effect::Updated { .. } | Effect::Deleted { .. } => None,
        })
        .collect();
    let graph = &state.plan.graph;
    longest(graph, |node| {
        let id = state.facts.get(&node.key)?.id()?;
        let taken = match node.kind.is_kubernetes() {
            false => *drawn.get(id.as_str())?,
            true => {
                let before = node.depends_on.iter().filter_map(|key| usable.at(state, graph.node(key)?));
                (usable.at(state, node)? - before.max()?).max(0)
            }
        };
        Some(Duration::from_millis(taken.try_into().unwrap_or(0)))
    })
}

/// The longest path, where each node takes so long.
fn longest(graph: &Graph, taken: impl Fn(&Node) -> Option<Duration>) -> Option<Duration> {
    let mut done = BTreeMap::new();
    for node in graph.nodes() {
        let start = node.depends_on.iter().filter_map(|key| done.get(key)).max().copied().unwrap_or_default();
        done.insert(&node.key, start + taken(node)?);
    }
    done.values().max().copied()
}
