//! What the ledger says of one operation: its plan, phase, votes and nodes.

use exokit_core::node_state::{Facts, IllegalNodeEvent};
use exokit_ledger::OperationView;
use exokit_ledger::plans::{Plans, PlansError};
use exokit_model::canonical::Digest;
use exokit_model::certificate::Certificate;
use exokit_model::event::{Event, Record};
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::OperationId;
use exokit_model::phase::{IllegalEvent, Phase};
use exokit_model::plan::PlanError;
use jiff::Timestamp;

/// One operation, folded from its records.
#[derive(Debug, Clone)]
pub struct OperationState {
    /// Its id.
    pub operation: OperationId,
    /// The approved document.
    pub plan: FixedPlan,
    /// The digest under which it was recorded.
    pub digest: Digest,
    /// Digest of the body of the request, where that had an idempotency key.
    pub request: Option<Digest>,
    /// The seal of the engine that recorded the plan.
    pub seal: Option<Digest>,
    /// Where it stands.
    pub phase: Phase,
    /// Recorded votes, yes and no, in order.
    pub tokens: Vec<String>,
    /// When it was proposed.
    pub proposed_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Proof that nothing was left, after a teardown.
    pub certificate: Option<Certificate>,
    /// Its nodes.
    pub facts: Facts,
    /// Sequence number of the last record taken in.
    pub last_seq: u64,
}

/// Why records do not make an operation.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is no plan for it.
    #[error("the ledger has no plan for {0}")]
    NoPlan(OperationId),
    /// The recorded plan is not usable.
    #[error("record {seq} holds a plan that cannot be used")]
    Plan {
        /// The record.
        seq: u64,
        /// Why.
        #[source]
        source: PlanError,
    },
    /// The plan does not have the digest that stands beside it.
    #[error("record {seq}: the plan does not have the recorded digest")]
    Digest {
        /// The record.
        seq: u64,
    },
    /// An event does not fit the phase.
    #[error("record {seq} does not fit")]
    Phase {
        /// The record.
        seq: u64,
        /// Why.
        #[source]
        source: IllegalEvent,
    },
    /// An event does not fit its node.
    #[error("record {seq} does not fit")]
    Node {
        /// The record.
        seq: u64,
        /// Why.
        #[source]
        source: IllegalNodeEvent,
    },
}

impl OperationState {
    /// Folds the records of one operation, in order.
    ///
    /// # Errors
    /// When the first is no plan, or a later one does not fit.
    pub fn fold(operation: &OperationId, records: &[Record]) -> Result<Self, StateError> {
        Self::fold_with(&Plans::default(), operation, records)
    }

    /// As [`OperationState::fold`], with plans that were read before.
    pub(crate) fn fold_with<'r>(
        plans: &Plans,
        operation: &OperationId,
        records: impl IntoIterator<Item = &'r Record>,
    ) -> Result<Self, StateError> {
        let own = |record: &&Record| record.entry.operation.as_ref() == Some(operation);
        let mut records = records.into_iter().filter(own);
        let first = records.next().ok_or_else(|| StateError::NoPlan(operation.clone()))?;
        let mut state = Self::begin(plans, operation, first)?;
        for record in records {
            state.apply(record)?;
        }
        Ok(state)
    }

    fn begin(plans: &Plans, operation: &OperationId, record: &Record) -> Result<Self, StateError> {
        let Event::PlanProposed { digest, plan: text, request, seal } = &record.entry.event else {
            return Err(StateError::NoPlan(operation.clone()));
        };
        let plan = plans.read(*digest, text).map_err(|error| match error {
            PlansError::Digest => StateError::Digest { seq: record.seq },
            PlansError::Plan(source) => StateError::Plan { seq: record.seq, source },
        })?;
        if plan.plan_id.operation() != *operation {
            return Err(StateError::Digest { seq: record.seq });
        }
        Ok(Self {
            operation: operation.clone(),
            facts: Facts::new(&plan.graph),
            plan,
            digest: *digest,
            request: *request,
            seal: *seal,
            phase: Phase::AwaitingApproval,
            tokens: Vec::new(),
            proposed_at: record.entry.at,
            started_at: None,
            ended_at: None,
            certificate: None,
            last_seq: record.seq,
        })
    }

    /// Takes one more record of this operation in. One that was taken in
    /// before is passed over.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn apply(&mut self, record: &Record) -> Result<(), StateError> {
        if record.seq <= self.last_seq {
            return Ok(());
        }
        let event = &record.entry.event;
        self.phase =
            self.phase.next(event).map_err(|source| StateError::Phase { seq: record.seq, source })?;
        self.facts
            .apply(&self.plan.graph, record)
            .map_err(|source| StateError::Node { seq: record.seq, source })?;
        match event {
            Event::ApprovalRecorded { token, .. } | Event::DenialRecorded { token, .. } => {
                self.tokens.push(token.clone())
            }
            Event::OperationStarted { .. } => self.started_at = Some(record.entry.at),
            Event::OperationSucceeded { certificate } => self.certificate.clone_from(certificate),
            _ => {}
        }
        if self.phase.is_terminal() {
            self.ended_at.get_or_insert(record.entry.at);
        }
        self.last_seq = self.last_seq.max(record.seq);
        Ok(())
    }
}

impl From<OperationState> for OperationView {
    fn from(state: OperationState) -> Self {
        Self {
            operation: state.operation,
            plan: state.plan,
            digest: state.digest,
            phase: state.phase,
            tokens: state.tokens,
            proposed_at: state.proposed_at,
            started_at: state.started_at,
            ended_at: state.ended_at,
            certificate: state.certificate,
        }
    }
}
