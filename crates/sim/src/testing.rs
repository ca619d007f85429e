//! What only tests ask of settings: latencies that are known in advance.

use crate::{Config, LatencyTable, Range};
use std::time::Duration;

impl Config {
    /// The midpoint of the latency of an operation id (or of an extra entry
    /// of [`LatencyTable`]), scaled: what a critical path is computed from.
    pub fn latency_of(&self, operation_id: &str) -> Duration {
        let ms = self.latency.range(operation_id).midpoint_ms();
        Duration::from_millis(ms).mul_f64(self.latency_scale.max(0.0))
    }
}

impl Range {
    /// The middle.
    pub const fn midpoint_ms(self) -> u64 {
        (self.low_ms + self.high_ms) / 2
    }
}

impl LatencyTable {
    /// Every latency at its midpoint: what benchmarks use.
    pub fn fixed() -> Self {
        let middle = |r: Range| Range::new(r.midpoint_ms(), r.midpoint_ms());
        let table = Self::default();
        Self {
            by_operation: table.by_operation.into_iter().map(|(id, range)| (id, middle(range))).collect(),
            other: middle(table.other),
        }
    }
}
