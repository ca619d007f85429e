//! What the owner of a cluster gives it: settings, users and machines.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a cluster behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Seed of uids, generated names and delays.
    pub seed: u64,
    /// Version of Kubernetes, such as `1.35.1`.
    pub version: String,
    /// Topology label of volumes and nodes.
    pub zone: String,
    /// Shortest and longest time from scheduled to ready, in milliseconds.
    pub pod_start_ms: (u64, u64),
    /// Prefixes of images whose pods never become ready.
    pub broken_images: Vec<String>,
}

/// An authenticated user, as the certificate of a request names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Name, such as `admin`.
    pub name: String,
    /// Groups; members of `system:masters` may do anything.
    pub groups: Vec<String>,
}

/// A machine that joins the cluster as a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// UUID of the instance.
    pub id: String,
    /// Name of the instance and of the node.
    pub name: String,
    /// IP address.
    pub address: String,
    /// Zone, as a topology label.
    pub zone: String,
    /// Instance type, as a label.
    pub instance_type: String,
    /// Further labels of the node.
    pub labels: BTreeMap<String, String>,
    /// Taints of the node: key, value, effect.
    pub taints: Vec<(String, String, String)>,
    /// Number of CPUs.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Size of the disk.
    pub disk_gib: u32,
}
