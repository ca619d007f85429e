//! The metrics of the agent. Every label has a bounded set of values: names that
//! requesters choose are label values for the most expensive environments only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use exokit_engine::engine::Watcher;
use exokit_ledger::{EnvironmentView, Environments, Ledger, LedgerError, Operations, ResourceState};
use exokit_model::event::{Event, Record};
use exokit_wire::failure::Failure;
use exokit_wire::verb::Verb;
use jiff::Timestamp;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use crate::cost_metrics::{CostMetrics, number};
use crate::metric_family::family;
use crate::operation_metrics::OperationMetrics;

/// Upper ends of the buckets of commits, in seconds: a disk takes milliseconds.
const COMMIT_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0];

/// Kind of error for operations that stopped and wait for a human.
const PARKED: &str = "parked";

/// Every family. The registry is locked while its values are set and read, so that
/// two scrapes do not mix their sums.
pub struct Metrics {
    registry: Mutex<Registry>,
    queue: IntGaugeVec,
    clusters: IntGaugeVec,
    errors: IntCounterVec,
    requests: IntCounterVec,
    hourly: Gauge,
    records: IntGauge,
    in_doubt: IntCounter,
    in_doubt_now: IntGauge,
    calls: IntCounterVec,
    commit_seconds: Histogram,
    costs: CostMetrics,
    pub(crate) operations: OperationMetrics,
    /// Polls of the worker that failed.
    pub(crate) failed_polls: IntCounter,
    spans: IntCounter,
    dropped: Arc<AtomicU64>,
}

impl Metrics {
    /// All families, empty. `dropped` counts dropped spans.
    #[must_use]
    pub fn new(dropped: Arc<AtomicU64>) -> Self {
        let registry = Registry::new();
        let r = &registry;
        let counters =
            |name, help, labels: &[&str]| family(r, IntCounterVec::new(Opts::new(name, help), labels));
        let gauges = |name, help, labels: &[&str]| family(r, IntGaugeVec::new(Opts::new(name, help), labels));
        let errors = "Requests that were refused or failed, by code, and operations that wait for a human";
        let hourly =
            "Estimated price per hour of all environments that are not gone, in the currency of the prices";
        let commit = "Time of a commit of the ledger, with the wait for the disk";
        let commit =
            HistogramOpts::new("infra_ledger_commit_seconds", commit).buckets(COMMIT_BUCKETS.to_vec());
        let polls = "Failed polls of expired environments and of plans that wait";
        let clusters = ["template", "phase", "cost_band"];
        let requests = ["operation", "way", "status"];
        let (calls, result) = ("Calls to the cloud by operation id and outcome", ["operation", "result"]);
        Self {
            queue: gauges("infra_approval_queue_depth", "Plans that wait for approval", &["level"]),
            clusters: gauges("infra_registry_clusters", "Environments that are not gone", &clusters),
            errors: counters("infra_errors_total", errors, &["kind"]),
            requests: counters("infra_requests_total", "Requests that were answered", &requests),
            hourly: family(r, Gauge::new("infra_estimated_hourly_cost", hourly)),
            records: family(r, IntGauge::new("infra_ledger_records", "Records in the ledger")),
            in_doubt: family(
                r,
                IntCounter::new("infra_in_doubt_total", "Creations whose outcome was unknown"),
            ),
            in_doubt_now: family(
                r,
                IntGauge::new("infra_in_doubt_steps", "Resources that may or may not exist"),
            ),
            calls: counters("infra_cloud_calls_total", calls, &result),
            commit_seconds: family(r, Histogram::with_opts(commit)),
            costs: CostMetrics::register(r),
            operations: OperationMetrics::register(r),
            failed_polls: family(r, IntCounter::new("infra_blind_rounds_total", polls)),
            spans: family(r, IntCounter::new("infra_spans_dropped_total", "Spans that were not exported")),
            registry: Mutex::new(registry),
            dropped,
        }
    }

    /// Counts a request that was answered.
    pub(crate) fn answered<T>(&self, verb: Verb, transport: &str, outcome: &Result<T, Failure>) {
        let status = outcome.as_ref().err().map_or(200, |failure| failure.status);
        self.requests.with_label_values(&[verb.name(), transport, &status.to_string()]).inc();
        if let Err(failure) = outcome {
            // Codes are a fixed set of words.
            self.error(&failure.code);
        }
    }

    fn error(&self, kind: &str) {
        self.errors.with_label_values(&[kind]).inc();
    }

    /// Observes the time of each commit of a ledger from now on.
    pub fn watch_commits(&self, ledger: &dyn Ledger) {
        let seconds = self.commit_seconds.clone();
        ledger.watch_commits(Box::new(move |took| seconds.observe(took.as_secs_f64())));
    }

    /// All metrics in the text format 0.0.4, with the current values of the ledger
    /// and the calls to the cloud.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn text(
        &self,
        ledger: &dyn Ledger,
        calls: Vec<(String, &'static str, u64)>,
        now: Timestamp,
    ) -> Result<String, LedgerError> {
        let environments = ledger.environments(Environments::Present).await?;
        let waiting = ledger.operations(Operations::Waiting(now)).await?;
        let records = ledger.head().await?.seq;
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.records.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.set_environments(&environments, now);
        self.set_calls(calls);
        self.spans.reset();
        self.spans.inc_by(self.dropped.load(Ordering::Relaxed));
        for level in 1..=3 {
            let depth = waiting.iter().filter(|operation| u8::from(operation.level) == level).count();
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            self.queue.with_label_values(&[level.to_string()]).set(depth);
        }
        Ok(TextEncoder::new().encode_to_string(&registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be encoded");
            String::new()
        }))
    }

    fn set_environments(&self, environments: &[EnvironmentView], now: Timestamp) {
        self.clusters.reset();
        let mut hourly = 0.0;
        for view in environments {
            let (template, band) = (view.template.to_string(), view.band.to_string());
            self.clusters.with_label_values(&[&template, &view.phase, &band]).inc();
            hourly += number(view.hourly);
        }
        self.hourly.set(hourly);
        let in_doubt = environments.iter().flat_map(|view| &view.resources);
        let in_doubt = in_doubt.filter(|resource| resource.state == ResourceState::InDoubt).count();
        self.in_doubt_now.set(i64::try_from(in_doubt).unwrap_or(i64::MAX));
        self.costs.set(environments, now);
    }

    fn set_calls(&self, calls: Vec<(String, &'static str, u64)>) {
        self.calls.reset();
        for (operation, result, count) in calls {
            self.calls.with_label_values(&[&operation, result]).inc_by(count);
        }
    }
}

impl Watcher for Metrics {
    /// Counts what this process records. Other processes count their own records.
    fn recorded(&self, record: &Record) {
        match &record.entry.event {
            Event::CreateInDoubt { .. } => self.in_doubt.inc(),
            // It has not ended: it has no outcome yet.
            Event::OperationParked { .. } => self.error(PARKED),
            _ => self.operations.recorded(record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_are_valid_and_unique() {
        // It panics otherwise.
        drop(Metrics::new(Arc::default()));
    }
}
