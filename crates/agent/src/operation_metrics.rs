//! Votes and ends of operations, counted as they are recorded.
//!
//! Their labels are in the ledger, and a recorder must not wait for it: recorded
//! events go through a bounded queue.

use std::sync::{Mutex, PoisonError};

use exokit_ledger::{Ledger, OperationSummary, Operations};
use exokit_model::event::{Event, Record};
use exokit_model::ids::OperationId;
use exokit_model::plan::Action;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use tokio::sync::mpsc;

use crate::metric_family::family;

/// Upper ends of the buckets of durations, in seconds: environments take minutes.
const BUCKETS: [f64; 10] = [5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 3600.0];

/// Most events that wait to be counted. More are counted as uncounted.
const QUEUE_MAX: usize = 100_000;

pub(crate) struct OperationMetrics {
    provisions: IntCounterVec,
    provision_seconds: HistogramVec,
    teardowns: IntCounterVec,
    teardown_seconds: Histogram,
    approvals: IntCounterVec,
    uncounted: IntCounter,
    sender: mpsc::Sender<OperationEvent>,
    receiver: Mutex<Option<mpsc::Receiver<OperationEvent>>>,
}

/// An event that is counted with labels that the ledger knows.
type OperationEvent = (OperationId, EventKind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventKind {
    /// A vote, with its outcome.
    Vote(&'static str),
    /// The end, with its outcome.
    End(&'static str),
}

impl OperationMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let counters =
            |name, help, labels: &[&str]| family(registry, IntCounterVec::new(Opts::new(name, help), labels));
        let duration = |name, help| HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
        let made = ["template", "outcome"];
        let provision =
            duration("infra_provision_duration_seconds", "Time from the start of a provision to its end");
        let teardown =
            duration("infra_teardown_duration_seconds", "Time from the start of a teardown to its end");
        let uncounted = IntCounter::new("infra_uncounted_total", "Votes and ends that were not counted");
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        Self {
            provisions: counters("infra_provision_requests_total", "Provisions by how they ended", &made),
            provision_seconds: family(registry, HistogramVec::new(provision, &made)),
            teardowns: counters("infra_teardown_requests_total", "Teardowns by how they ended", &["outcome"]),
            teardown_seconds: family(registry, Histogram::with_opts(teardown)),
            approvals: counters("infra_approvals_total", "Votes that were verified", &["level", "decision"]),
            uncounted: family(registry, uncounted),
            sender,
            receiver: Mutex::new(Some(receiver)),
        }
    }

    /// Queues a vote or an end for [`OperationMetrics::run`]; ignores other events.
    pub(crate) fn recorded(&self, record: &Record) {
        let kind = match &record.entry.event {
            Event::ApprovalRecorded { .. } => EventKind::Vote("approve"),
            Event::DenialRecorded { .. } => EventKind::Vote("deny"),
            Event::ApprovalRefused { .. } => EventKind::Vote("refused"),
            Event::OperationSucceeded { .. } => EventKind::End("succeeded"),
            Event::OperationRolledBack => EventKind::End("rolled-back"),
            Event::PlanRejected { .. } => EventKind::End("rejected"),
            _ => return,
        };
        let Some(operation) = record.entry.operation.clone() else { return };
        if self.sender.try_send((operation, kind)).is_err() {
            self.uncounted.inc();
        }
    }

    /// Counts queued events until the process ends. A second caller counts nothing.
    pub(crate) async fn run(&self, ledger: &dyn Ledger) {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return };
        while let Some((operation, kind)) = receiver.recv().await {
            match ledger.operations(Operations::Named(operation)).await {
                Ok(found) => found.iter().for_each(|operation| self.count(operation, kind)),
                Err(_) => self.uncounted.inc(),
            }
        }
    }

    fn count(&self, operation: &OperationSummary, kind: EventKind) {
        match kind {
            EventKind::Vote(decision) => {
                let level = u8::from(operation.level).to_string();
                self.approvals.with_label_values(&[level.as_str(), decision]).inc();
            }
            EventKind::End(outcome) => self.ended(operation, outcome),
        }
    }

    fn ended(&self, operation: &OperationSummary, outcome: &'static str) {
        let seconds = match (operation.started_at, operation.ended_at) {
            (Some(from), Some(to)) => Some(to.duration_since(from).as_secs_f64()),
            _ => None,
        };
        match operation.action {
            Action::Provision => {
                let labels = [&operation.template.to_string(), outcome];
                self.provisions.with_label_values(&labels).inc();
                if let Some(seconds) = seconds {
                    self.provision_seconds.with_label_values(&labels).observe(seconds);
                }
            }
            Action::Teardown => {
                self.teardowns.with_label_values(&[outcome]).inc();
                if let Some(seconds) = seconds {
                    self.teardown_seconds.observe(seconds);
                }
            }
            Action::Extend | Action::Access => {}
        }
    }
}
