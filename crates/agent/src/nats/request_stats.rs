//! Statistics of requests over NATS.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use exokit_wire::failure::Failure;
use exokit_wire::verb::Verb;

/// Statistics of one operation since the process began.
#[derive(Debug, Clone, Default)]
pub(super) struct OperationStats {
    pub(super) requests: u64,
    pub(super) errors: u64,
    /// Status and code of the last failure.
    pub(super) last_error: String,
    pub(super) took: Duration,
}

/// Statistics of all operations over NATS since the process began.
#[derive(Debug, Default)]
pub(super) struct RequestStats(Mutex<BTreeMap<Verb, OperationStats>>);

impl RequestStats {
    pub(super) fn record<T>(&self, verb: Verb, outcome: &Result<T, Failure>, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = all.entry(verb).or_default();
        stats.requests += 1;
        stats.took += took;
        if let Err(failure) = outcome {
            stats.errors += 1;
            stats.last_error = format!("{}:{}", failure.status, failure.code);
        }
    }

    pub(super) fn of(&self, verb: Verb) -> OperationStats {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&verb).cloned().unwrap_or_default()
    }
}
