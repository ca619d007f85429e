//! Settings and signatures for tests only.

use crate::{Config, LatencyTable, Range, auth};
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

/// The string that the official signer signs; see `auth::exo2`.
pub fn exo2_message(method: &str, path: &str, body: &[u8], query_values: &str, expires: i64) -> Vec<u8> {
    auth::exo2_message(method, path, body, query_values, expires)
}

/// The base64 signature of a message.
pub fn exo2_signature(secret: &str, message: &[u8]) -> String {
    auth::exo2_signature(secret, message)
}
