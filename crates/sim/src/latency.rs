//! How long the cloud takes: one range per operation, measured where known.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A range of milliseconds; a seeded uniform draw is made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The shortest.
    pub low_ms: u64,
    /// The longest.
    pub high_ms: u64,
}

impl Range {
    /// From `low_ms` to `high_ms`.
    pub const fn new(low_ms: u64, high_ms: u64) -> Self {
        Self { low_ms, high_ms }
    }
}

/// Latencies by operation id. Besides operations of the API it has these
/// entries: `instance-boot` (starting → running), `node-ready` (operation
/// success → Kubernetes node Ready), `vm-linger` (a deleted machine still
/// holds its groups), `dbaas-running` and `dbaas-gone`, `k8s-workload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatencyTable {
    /// By operation id.
    pub by_operation: BTreeMap<String, Range>,
    /// For mutations not listed.
    pub other: Range,
}

/// Sources in brackets are those of the fidelity page: measured on the real
/// cloud unless marked as a guess there.
const MEASURED: &[(&str, u64, u64)] = &[
    ("create-sks-cluster", 90_000, 146_000),
    ("update-sks-cluster", 5_000, 15_000),
    ("upgrade-sks-cluster", 60_000, 120_000),
    ("upgrade-sks-cluster-service-level", 60_000, 120_000),
    ("delete-sks-cluster", 25_000, 35_000),
    ("create-sks-nodepool", 28_000, 34_000),
    ("update-sks-nodepool", 3_000, 8_000),
    ("scale-sks-nodepool", 25_000, 40_000),
    ("evict-sks-nodepool-members", 20_000, 40_000),
    ("delete-sks-nodepool", 20_000, 40_000),
    ("create-instance-pool", 10_000, 20_000),
    ("scale-instance-pool", 10_000, 20_000),
    ("create-instance", 10_000, 20_000),
    ("delete-instance", 5_000, 10_000),
    ("delete-instance-pool", 5_000, 15_000),
    ("instance-boot", 30_000, 50_000),
    ("node-ready", 41_000, 65_000),
    ("vm-linger", 300_000, 600_000),
    ("k8s-workload", 5_000, 15_000),
    ("create-load-balancer", 20_000, 40_000),
    ("add-service-to-load-balancer", 5_000, 10_000),
    ("update-load-balancer-service", 5_000, 10_000),
    ("delete-load-balancer-service", 5_000, 10_000),
    ("delete-load-balancer", 5_000, 15_000),
    ("dbaas-running", 120_000, 212_000),
    ("dbaas-gone", 2_000, 8_000),
    ("create-block-storage-volume", 2_000, 5_000),
    ("delete-block-storage-volume", 2_000, 5_000),
    ("attach-block-storage-volume-to-instance", 3_000, 8_000),
    ("detach-block-storage-volume", 3_000, 8_000),
    ("create-block-storage-snapshot", 5_000, 10_000),
];

impl Default for LatencyTable {
    fn default() -> Self {
        Self {
            by_operation: MEASURED
                .iter()
                .map(|(id, low, high)| ((*id).to_owned(), Range::new(*low, *high)))
                .collect(),
            other: Range::new(1_000, 3_000),
        }
    }
}

impl LatencyTable {
    /// The range of an operation id or one of the extra entries.
    pub fn range(&self, operation_id: &str) -> Range {
        self.by_operation.get(operation_id).copied().unwrap_or(self.other)
    }
}
