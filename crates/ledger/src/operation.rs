//! One operation, folded from its records: its plan, phase, votes and nodes.

use std::collections::BTreeMap;

use exokit_core::node_state::Facts;
use exokit_core::phase::next;
use exokit_core::start::{can_start, outdates};
use exokit_model::canonical::Digest;
use exokit_model::certificate::Certificate;
use exokit_model::event::{Event, Record};
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::OperationId;
use exokit_model::phase::Phase;
use jiff::Timestamp;

use crate::error::IllegalRecord;
use crate::plans::Plans;
use crate::rows::step::read_plan;

/// An operation: its plan, and how far it has come. Whatever decides about an
/// operation is read from here, never from its row.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// When it ended, one way or another.
    pub ended_at: Option<Timestamp>,
    /// Proof that nothing was left, after a teardown.
    pub certificate: Option<Certificate>,
    /// Its nodes.
    pub facts: Facts,
    /// Newest epoch under which something was written.
    pub epoch: u64,
    /// Sequence number of the last record taken in.
    pub last_seq: u64,
}

impl OperationState {
    /// Whether the plan waits for approval and can still start, as the other
    /// operations of the environment stand.
    #[must_use]
    pub fn can_start(&self, others: &[Self], now: Timestamp) -> bool {
        let starts = others
            .iter()
            .filter(|other| outdates(other.plan.action, self.plan.action))
            .filter_map(|other| other.started_at);
        can_start(&self.phase, self.proposed_at, self.plan.not_after, starts, now)
    }

    /// Folds the records of one operation, in order; none when there are none.
    /// Records of others are skipped. A plan in `plans` is not parsed again.
    ///
    /// # Errors
    /// The first record that does not fit.
    pub fn fold<'r>(
        plans: &Plans,
        id: &OperationId,
        records: impl IntoIterator<Item = &'r Record>,
    ) -> Result<Option<Self>, IllegalRecord> {
        let own = |record: &&Record| record.entry.operation.as_ref() == Some(id);
        let mut records = records.into_iter().filter(own);
        let Some(first) = records.next() else { return Ok(None) };
        let mut state = Self::begin(plans, id, first)?;
        for record in records {
            state.apply(record)?;
        }
        Ok(Some(state))
    }

    /// Folds every operation among the records of one environment, oldest first.
    ///
    /// # Errors
    /// The first record that does not fit.
    pub fn fold_all(plans: &Plans, records: &[Record]) -> Result<Vec<Self>, IllegalRecord> {
        let mut by_operation: BTreeMap<&OperationId, Vec<&Record>> = BTreeMap::new();
        let mut proposed: Vec<&OperationId> = Vec::new();
        for record in records {
            let Some(operation) = &record.entry.operation else { continue };
            if let Event::PlanProposed { .. } = record.entry.event {
                proposed.push(operation);
            }
            by_operation.entry(operation).or_default().push(record);
        }
        let fold = |id| Self::fold(plans, id, by_operation.get(id).into_iter().flatten().copied());
        proposed.into_iter().filter_map(|id| fold(id).transpose()).collect()
    }

    fn begin(plans: &Plans, id: &OperationId, record: &Record) -> Result<Self, IllegalRecord> {
        let illegal = |why| IllegalRecord { seq: record.seq, why };
        let Event::PlanProposed { digest, plan, request, seal } = &record.entry.event else {
            return Err(illegal(format!("{id} was never proposed")));
        };
        let plan = read_plan(plans, &record.entry, *digest, plan).map_err(illegal)?;
        Ok(Self {
            operation: id.clone(),
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
            epoch: record.entry.epoch,
            last_seq: record.seq,
        })
    }

    /// Takes one more record of this operation in. One that was taken in
    /// before is skipped.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalRecord> {
        if record.seq <= self.last_seq {
            return Ok(());
        }
        let illegal = |why| IllegalRecord { seq: record.seq, why };
        let (event, epoch) = (&record.entry.event, record.entry.epoch);
        self.last_seq = record.seq;
        if epoch > 0 && epoch < self.epoch {
            return Err(illegal(format!(
                "it was written under epoch {epoch}, after one under {}",
                self.epoch
            )));
        }
        match event {
            // About a plan, not a step of its operation.
            Event::ApprovalRefused { .. } | Event::DriftObserved { .. } => return Ok(()),
            Event::ApprovalRecorded { token, .. } | Event::DenialRecorded { token, .. } => {
                self.tokens.push(token.clone());
            }
            Event::OperationStarted { .. } => self.started_at = Some(record.entry.at),
            Event::OperationSucceeded { certificate } => self.certificate.clone_from(certificate),
            _ => {}
        }
        self.phase = next(&self.phase, event).map_err(|error| illegal(error.to_string()))?;
        self.facts.apply(&self.plan.graph, record).map_err(|error| illegal(error.to_string()))?;
        self.epoch = self.epoch.max(epoch);
        if self.phase.is_terminal() {
            self.ended_at.get_or_insert(record.entry.at);
        }
        Ok(())
    }
}
