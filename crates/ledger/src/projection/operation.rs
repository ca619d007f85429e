//! One operation in full, as its own records tell it.

use exokit_core::start::{StartWindow, can_start};
use exokit_model::canonical::Digest;
use exokit_model::certificate::Certificate;
use exokit_model::event::{Event, Record};
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::OperationId;
use exokit_model::phase::Phase;
use jiff::Timestamp;

use super::Misfit;
use super::rows::read_plan;
use super::summary::OperationSummary;
use crate::plans::Plans;

/// An operation: a plan, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationView {
    /// Its id.
    pub operation: OperationId,
    /// What it does.
    pub plan: FixedPlan,
    /// Digest of the plan.
    pub digest: Digest,
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
}

impl OperationView {
    /// Whether the plan waits for approval and can still start, as the other
    /// operations of the environment stand.
    #[must_use]
    pub fn can_start(&self, others: &[Self], now: Timestamp) -> bool {
        let window = StartWindow { proposed_at: self.proposed_at, not_after: self.plan.not_after };
        can_start(&self.phase, window, others.iter().filter_map(|other| other.started_at), now)
    }

    /// Folds the records of one operation, in order; none when there are none.
    /// Records of others are passed over. A plan that was read before is not
    /// parsed again.
    ///
    /// # Errors
    /// The first record that does not fit.
    pub fn fold(plans: &Plans, id: &OperationId, records: &[Record]) -> Result<Option<Self>, Misfit> {
        let mut own = records.iter().filter(|record| record.entry.operation.as_ref() == Some(id));
        let Some(first) = own.next() else { return Ok(None) };
        let misfit = |seq| move |why: String| Misfit { seq, why };
        let Event::PlanProposed { digest, plan, .. } = &first.entry.event else {
            return Err(misfit(first.seq)(format!("{id} was never proposed")));
        };
        let plan = read_plan(plans, &first.entry, *digest, plan).map_err(misfit(first.seq))?;
        let mut summary = OperationSummary::new(&plan, *digest, &first.entry);
        let (mut tokens, mut certificate) = (Vec::new(), None);
        for record in own {
            match &record.entry.event {
                // About a plan, not a step of its operation.
                Event::ApprovalRefused { .. } | Event::DriftObserved { .. } => continue,
                Event::ApprovalRecorded { token, .. } | Event::DenialRecorded { token, .. } => {
                    tokens.push(token.clone());
                }
                Event::OperationSucceeded { certificate: proof } => certificate = proof.clone(),
                _ => {}
            }
            summary.apply(&record.entry).map_err(misfit(record.seq))?;
        }
        Ok(Some(Self {
            operation: summary.operation,
            plan,
            digest: summary.digest,
            phase: summary.phase,
            tokens,
            proposed_at: summary.proposed_at,
            started_at: summary.started_at,
            ended_at: summary.ended_at,
            certificate,
        }))
    }
}
