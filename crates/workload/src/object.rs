//! One Kubernetes object of an environment.

use std::collections::BTreeMap;

use exokit_model::ids::NodeKey;
use exokit_model::kind::Kind;
use exokit_model::secret_slot::SecretSlot;
use serde_json::Value;

/// One Kubernetes object: its body, its dependencies and its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadObject {
    /// Unique among the objects and among the cloud nodes.
    pub key: NodeKey,
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; none for a namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The body of a server-side apply.
    pub body: Value,
    /// Keys of the objects that must be ready first.
    pub depends_on: Vec<NodeKey>,
    /// Secret slots by the JSON pointer to their null inside the body. The value
    /// goes there in base64.
    pub secrets: BTreeMap<String, SecretSlot>,
    /// Keys of the cloud nodes that it needs beside the cluster.
    pub cloud_nodes: Vec<&'static str>,
}
