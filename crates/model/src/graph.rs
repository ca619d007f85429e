//! The resource graph: nodes with a desired presence, and what they depend on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{NodeKey, OwnerToken, ResourceId, Zone};
use crate::kind::Kind;
use crate::request::RequestTemplate;

/// Whether a resource should exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It should exist and be ready.
    Present,
    /// It should be gone.
    Absent,
}

/// One resource in a graph.
///
/// A node is exactly one create request, so "has this node been made" always
/// has one answer. Edges are those of creation time and are saved with the
/// plan; they are never derived again from a newer template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Unique within the graph.
    pub key: NodeKey,
    /// What it is.
    pub kind: Kind,
    /// Its name in the cloud.
    pub name: String,
    /// Zone whose endpoint is used for it.
    pub zone: Zone,
    /// Mark of ownership inside the create request; absent for things that
    /// the cloud made for us, such as load balancers of the cloud controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<OwnerToken>,
    /// Nodes that must be ready before this one is made, and that may go only
    /// after this one has gone.
    pub depends_on: Vec<NodeKey>,
    /// What the plan wants.
    pub desired: Presence,
    /// Id that the ledger holds already, for a teardown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<ResourceId>,
    /// The request that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<RequestTemplate>,
    /// The requests that remove it, in order.
    pub delete: Vec<RequestTemplate>,
    /// Whether removing it destroys data of a user.
    #[serde(default)]
    pub protects_data: bool,
    /// How long its step is expected to take, in seconds.
    pub predicted_seconds: u32,
}

/// A directed acyclic graph of nodes, in an order in which every node follows
/// what it depends on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Graph {
    nodes: Vec<Node>,
}

/// Why a list of nodes is not a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two nodes have one key.
    #[error("two resources are called {0}")]
    Duplicate(NodeKey),
    /// A dependency is not an earlier node: it is missing, or there is a cycle.
    #[error("{node} depends on {missing}, which does not come before it")]
    Order {
        /// The node.
        node: NodeKey,
        /// What it depends on.
        missing: NodeKey,
    },
    /// The name of an object cannot be part of a path.
    #[error("{node} has a name that cannot be used: {name:?}")]
    Name {
        /// The node.
        node: NodeKey,
        /// Its name.
        name: String,
    },
    /// A resource that should exist depends on one that should not.
    #[error("{node} should exist but depends on {dependency}, which should not")]
    PresentOnAbsent {
        /// The node.
        node: NodeKey,
        /// What it depends on.
        dependency: NodeKey,
    },
}

impl Graph {
    /// Checks the nodes and makes a graph of them.
    ///
    /// # Errors
    /// When keys repeat, a dependency does not come first, or a present node
    /// depends on an absent one.
    pub fn new(nodes: Vec<Node>) -> Result<Self, GraphError> {
        let graph = Self { nodes };
        graph.check()?;
        Ok(graph)
    }

    /// Checks a graph that came from outside.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn check(&self) -> Result<(), GraphError> {
        for (at, node) in self.nodes.iter().enumerate() {
            let earlier = &self.nodes[..at];
            if earlier.iter().any(|other| other.key == node.key) {
                return Err(GraphError::Duplicate(node.key.clone()));
            }
            for dependency in &node.depends_on {
                match earlier.iter().find(|other| other.key == *dependency) {
                    None => {
                        return Err(GraphError::Order {
                            node: node.key.clone(),
                            missing: dependency.clone(),
                        });
                    }
                    Some(other) if node.desired == Presence::Present && other.desired == Presence::Absent => {
                        return Err(GraphError::PresentOnAbsent {
                            node: node.key.clone(),
                            dependency: dependency.clone(),
                        });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// The nodes; every node follows what it depends on.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Finds a node.
    #[must_use]
    pub fn node(&self, key: &NodeKey) -> Option<&Node> {
        self.nodes.iter().find(|node| node.key == *key)
    }

    /// Nodes that depend directly on `key`.
    pub fn dependents<'a>(&'a self, key: &'a NodeKey) -> impl Iterator<Item = &'a Node> {
        self.nodes.iter().filter(move |node| node.depends_on.contains(key))
    }
}
