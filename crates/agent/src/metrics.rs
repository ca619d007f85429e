//! What is counted. Every label has a bounded set of values: no name that a
//! requester chooses becomes one, but those of the dearest environments.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use exokit_engine::engine::Watcher;
use exokit_ledger::ResourceState;
use exokit_ledger::{EnvironmentView, Environments, Ledger, LedgerError, OperationSummary, Operations};
use exokit_model::event::{Event, Record};
use exokit_model::ids::OperationId;
use exokit_model::plan::Action;
use exokit_spans::queue::Dropped;
use exokit_wire::failure::Failure;
use exokit_wire::verb::Verb;
use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::mpsc;

use crate::costs::{Costs, number};
use crate::exposition::Form;

/// Upper ends of the buckets of durations, in seconds: environments take
/// minutes.
const BUCKETS: [f64; 10] = [5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 3600.0];

/// Upper ends of the buckets of commits, in seconds: a disk takes milliseconds.
const COMMIT_BUCKETS: [f64; 9] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0];

/// Most happenings that wait to be counted. What finds no room is counted as
/// lost.
const WAITING_MAX: usize = 100_000;

/// Kind of the errors that are operations which stopped and wait for a human.
const PARKED: &str = "parked";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MadeLabels {
    template: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VoteLabels {
    level: u8,
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabels {
    level: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    template: String,
    phase: String,
    cost_band: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    way: &'static str,
    status: u16,
}

/// The operation ids are those that this program knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    operation: String,
    result: &'static str,
}

/// Every family.
pub struct Metrics {
    registry: Mutex<Registry>,
    provisions: Family<MadeLabels, Counter>,
    provision_seconds: Family<MadeLabels, Histogram>,
    teardowns: Family<OutcomeLabels, Counter>,
    teardown_seconds: Histogram,
    approvals: Family<VoteLabels, Counter>,
    queue: Family<LevelLabels, Gauge>,
    clusters: Family<ClusterLabels, Gauge>,
    errors: Family<ErrorLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    hourly: Gauge<f64, AtomicU64>,
    records: Gauge<i64, AtomicI64>,
    in_doubt: Counter,
    in_doubt_now: Gauge,
    calls: Family<CallLabels, Counter>,
    commit_seconds: Histogram,
    costs: Costs,
    blind: Counter,
    lost: Counter,
    spans: Counter,
    dropped: Dropped,
    tell: mpsc::Sender<Happening>,
    told: Mutex<Option<mpsc::Receiver<Happening>>>,
}

/// Something about an operation that is counted by what the ledger knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Happening {
    operation: OperationId,
    what: What,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A vote, with what became of it.
    Vote(&'static str),
    /// The end, with how it ended.
    End(&'static str),
}

impl Metrics {
    /// All families, empty, with what is told of lost spans.
    #[must_use]
    pub fn new(dropped: Dropped) -> Self {
        let histogram = || Histogram::new(BUCKETS);
        let (tell, told) = mpsc::channel(WAITING_MAX);
        let metrics = Self {
            registry: Mutex::new(Registry::default()),
            provisions: Family::default(),
            provision_seconds: Family::new_with_constructor(histogram),
            teardowns: Family::default(),
            teardown_seconds: histogram(),
            approvals: Family::default(),
            queue: Family::default(),
            clusters: Family::default(),
            errors: Family::default(),
            requests: Family::default(),
            hourly: Gauge::default(),
            records: Gauge::default(),
            in_doubt: Counter::default(),
            in_doubt_now: Gauge::default(),
            calls: Family::default(),
            commit_seconds: Histogram::new(COMMIT_BUCKETS),
            costs: Costs::default(),
            blind: Counter::default(),
            lost: Counter::default(),
            spans: Counter::default(),
            dropped,
            tell,
            told: Mutex::new(Some(told)),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let r = &mut *registry;
        r.register("infra_provision_requests", "Provisions by how they ended", self.provisions.clone());
        r.register_with_unit(
            "infra_provision_duration",
            "Time from the start of a provision to its end",
            Unit::Seconds,
            self.provision_seconds.clone(),
        );
        r.register("infra_teardown_requests", "Teardowns by how they ended", self.teardowns.clone());
        r.register_with_unit(
            "infra_teardown_duration",
            "Time from the start of a teardown to its end",
            Unit::Seconds,
            self.teardown_seconds.clone(),
        );
        r.register("infra_approvals", "Votes that were verified", self.approvals.clone());
        r.register("infra_approval_queue_depth", "Plans that wait for approval", self.queue.clone());
        r.register("infra_registry_clusters", "Environments that are not gone", self.clusters.clone());
        let help = "Requests that were refused or failed, by code, and operations that wait for a human";
        r.register("infra_errors", help, self.errors.clone());
        r.register("infra_requests", "Requests that were answered", self.requests.clone());
        r.register(
            "infra_estimated_hourly_cost",
            "Estimated price per hour of all environments that are not gone, in the currency of the prices",
            self.hourly.clone(),
        );
        r.register("infra_ledger_records", "Records in the ledger", self.records.clone());
        r.register(
            "infra_in_doubt",
            "Create requests of which nobody knew whether they took effect",
            self.in_doubt.clone(),
        );
        r.register(
            "infra_in_doubt_steps",
            "Resources of which nobody knows now whether they exist",
            self.in_doubt_now.clone(),
        );
        r.register(
            "infra_cloud_calls",
            "Calls to the cloud by operation id and by what became of them",
            self.calls.clone(),
        );
        r.register_with_unit(
            "infra_ledger_commit",
            "Time of a commit of the ledger, with the wait for the disk",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        self.costs.register(r);
        let help = "What could not be looked at: an expired environment, a waiting plan, or all of them";
        r.register("infra_blind_rounds", help, self.blind.clone());
        r.register("infra_uncounted", "Votes and ends that were not counted", self.lost.clone());
        let help = "Spans that no collector took: there was no room, or it failed";
        r.register("infra_spans_dropped", help, self.spans.clone());
    }

    /// Counts a request that was answered.
    pub fn answered<T>(&self, verb: Verb, way: &'static str, outcome: &Result<T, Failure>) {
        let status = outcome.as_ref().err().map_or(200, |failure| failure.status);
        self.requests.get_or_create(&RequestLabels { operation: verb.name(), way, status }).inc();
        if let Err(failure) = outcome {
            // Codes are a fixed set of words of ours.
            self.error(&failure.code);
        }
    }

    fn error(&self, kind: &str) {
        self.errors.get_or_create(&ErrorLabels { kind: kind.to_owned() }).inc();
    }

    /// Counts something that the rounds could not look at.
    pub fn blind_round(&self) {
        self.blind.inc();
    }

    /// Sees how long the commits of a ledger take from now on.
    pub fn watch_commits(&self, ledger: &dyn Ledger) {
        let seconds = self.commit_seconds.clone();
        ledger.watch_commits(Box::new(move |took| seconds.observe(took.as_secs_f64())));
    }

    /// Everything as text, with what ledger and client say now.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn text(
        &self,
        form: Form,
        ledger: &dyn Ledger,
        calls: Vec<(String, &'static str, u64)>,
        now: Timestamp,
    ) -> Result<String, LedgerError> {
        let environments = ledger.environments(Environments::Present).await?;
        let waiting = ledger.operations(Operations::Waiting(now)).await?;
        let records = ledger.head().await?.seq;
        // Two who ask at once must not count into each other's sums.
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.records.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.set_environments(&environments, now);
        self.set_calls(calls);
        self.spans.inner().store(self.dropped.count(), Ordering::Relaxed);
        for level in 1..=3 {
            let depth = waiting.iter().filter(|operation| u8::from(operation.level) == level).count();
            let depth = i64::try_from(depth).unwrap_or(i64::MAX);
            self.queue.get_or_create(&LevelLabels { level }).set(depth);
        }
        let mut text = String::new();
        if text::encode(&mut text, &registry).is_err() {
            // Writing to memory does not fail; a half text would be worse than none.
            text.clear();
            let _ = text.write_str("# EOF\n");
        }
        Ok(form.of(text))
    }

    fn set_environments(&self, environments: &[EnvironmentView], now: Timestamp) {
        self.clusters.clear();
        let mut hourly = 0.0;
        for view in environments {
            let labels = ClusterLabels {
                template: view.template.to_string(),
                phase: view.phase.clone(),
                cost_band: view.band.to_string(),
            };
            self.clusters.get_or_create(&labels).inc();
            hourly += number(view.hourly);
        }
        self.hourly.set(hourly);
        let in_doubt = environments.iter().flat_map(|view| &view.resources);
        let in_doubt = in_doubt.filter(|resource| resource.state == ResourceState::InDoubt).count();
        self.in_doubt_now.set(i64::try_from(in_doubt).unwrap_or(i64::MAX));
        self.costs.set(environments, now);
    }

    fn set_calls(&self, calls: Vec<(String, &'static str, u64)>) {
        self.calls.clear();
        for (operation, result, count) in calls {
            self.calls.get_or_create(&CallLabels { operation, result }).inc_by(count);
        }
    }

    /// Counts votes and ends by what the ledger knows of their operations, for
    /// ever. A second caller counts nothing.
    pub async fn follow(&self, ledger: &dyn Ledger) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut told) = told else { return };
        while let Some(Happening { operation, what }) = told.recv().await {
            match ledger.operations(Operations::Named(operation)).await {
                Ok(found) => found.iter().for_each(|operation| self.count(operation, what)),
                Err(_) => drop(self.lost.inc()),
            }
        }
    }

    fn count(&self, operation: &OperationSummary, what: What) {
        match what {
            What::Vote(decision) => {
                let labels = VoteLabels { level: operation.level.into(), decision };
                self.approvals.get_or_create(&labels).inc();
            }
            What::End(outcome) => self.ended(operation, outcome),
        }
    }

    fn ended(&self, operation: &OperationSummary, outcome: &'static str) {
        let seconds = match (operation.started_at, operation.ended_at) {
            (Some(from), Some(to)) => Some(to.duration_since(from).as_secs_f64()),
            _ => None,
        };
        match operation.action {
            Action::Provision => {
                let labels = MadeLabels { template: operation.template.to_string(), outcome };
                self.provisions.get_or_create(&labels).inc();
                if let Some(seconds) = seconds {
                    self.provision_seconds.get_or_create(&labels).observe(seconds);
                }
            }
            Action::Teardown => {
                self.teardowns.get_or_create(&OutcomeLabels { outcome }).inc();
                if let Some(seconds) = seconds {
                    self.teardown_seconds.observe(seconds);
                }
            }
            Action::Extend => {}
        }
    }
}

impl Watcher for Metrics {
    /// Sees what this process records; what others record they count.
    fn recorded(&self, record: &Record) {
        let what = match &record.entry.event {
            Event::ApprovalRecorded { .. } => What::Vote("approve"),
            Event::DenialRecorded { .. } => What::Vote("deny"),
            Event::ApprovalRefused { .. } => What::Vote("refused"),
            Event::OperationSucceeded { .. } => What::End("succeeded"),
            Event::OperationRolledBack => What::End("rolled-back"),
            Event::PlanRejected { .. } => What::End("rejected"),
            Event::CreateInDoubt { .. } => {
                self.in_doubt.inc();
                return;
            }
            // It has not ended: it has no outcome yet.
            Event::OperationParked { .. } => return self.error(PARKED),
            _ => return,
        };
        let Some(operation) = record.entry.operation.clone() else { return };
        if self.tell.try_send(Happening { operation, what }).is_err() {
            self.lost.inc();
        }
    }
}
