//! The order of a plan as a tree: each resource stands under the one that it
//! waits for last.

use std::collections::BTreeSet;

use exokit_core::predict::{critical_path, finish_seconds};
use exokit_model::graph::{Graph, Node, Presence};
use exokit_model::ids::NodeKey;

use crate::format::duration;

/// Draws the tree. Resources on the critical path carry a star.
pub(crate) fn draw(graph: &Graph) -> String {
    let tree = Tree { graph, critical: critical_path(graph).into_iter().collect() };
    let mut text = String::new();
    for root in graph.nodes().iter().filter(|node| tree.above(node).is_none()) {
        tree.branch(root, "", "", &mut text);
    }
    text
}

struct Tree<'g> {
    graph: &'g Graph,
    critical: BTreeSet<NodeKey>,
}

impl<'g> Tree<'g> {
    /// What a node waits for.
    fn before(&self, node: &'g Node) -> Vec<&'g Node> {
        match node.desired {
            Presence::Present => node.depends_on.iter().filter_map(|key| self.graph.node(key)).collect(),
            Presence::Absent => self.graph.dependents(&node.key).collect(),
        }
    }

    /// Of what a node waits for, that which is done last.
    fn above(&self, node: &'g Node) -> Option<&'g Node> {
        let done = finish_seconds(self.graph);
        self.before(node).into_iter().max_by_key(|other| done.get(&other.key).copied())
    }

    fn branch(&self, node: &'g Node, lead: &str, next_lead: &str, text: &mut String) {
        let end = finish_seconds(self.graph).get(&node.key).copied().unwrap_or(0);
        let star = if self.critical.contains(&node.key) { " *" } else { "" };
        let verb = if node.desired == Presence::Absent { "gone" } else { "ready" };
        text.push_str(&format!(
            "{lead}{}  {}, {verb} at {}{star}\n",
            node.key,
            duration(u64::from(node.predicted_seconds)),
            duration(u64::from(end)),
        ));
        let below: Vec<&Node> = self
            .graph
            .nodes()
            .iter()
            .filter(|other| self.above(other).is_some_and(|above| above.key == node.key))
            .collect();
        for (at, child) in below.iter().enumerate() {
            let (branch, trunk) =
                if at + 1 == below.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.branch(child, &format!("{next_lead}{branch}"), &format!("{next_lead}{trunk}"), text);
        }
    }
}
