//! One operation as the ledger tells it.

use exokit_model::canonical::Digest;
use exokit_model::certificate::Certificate;
use exokit_model::event::{Entry, Event};
use exokit_model::ids::OperationId;
use exokit_model::phase::Phase;
use exokit_model::plan::Plan;
use jiff::Timestamp;

/// An operation: a plan, and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationView {
    /// Its id.
    pub operation: OperationId,
    /// What it does.
    pub plan: Plan,
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
    /// Newest epoch under which something was written.
    pub epoch: u64,
    /// Proof that nothing was left, after a teardown.
    pub certificate: Option<Certificate>,
}

impl OperationView {
    pub(super) fn new(plan: Plan, digest: Digest, entry: &Entry) -> Self {
        Self {
            operation: plan.plan_id.operation(),
            plan,
            digest,
            phase: Phase::AwaitingApproval,
            tokens: Vec::new(),
            proposed_at: entry.at,
            started_at: None,
            ended_at: None,
            epoch: entry.epoch,
            certificate: None,
        }
    }

    /// Whether the plan was denied, withdrawn or expired before it began.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self.phase, Phase::Rejected { .. })
    }

    pub(super) fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        let event = &entry.event;
        if let Some(key) = event.node()
            && self.plan.graph.node(key).is_none()
        {
            return Err(format!("the plan has no resource {key}"));
        }
        if entry.epoch > 0 && entry.epoch < self.epoch {
            return Err(format!(
                "it was written under epoch {}, after one under epoch {}",
                entry.epoch, self.epoch
            ));
        }
        self.phase = self.phase.next(event).map_err(|error| error.to_string())?;
        self.epoch = self.epoch.max(entry.epoch);
        match event {
            Event::ApprovalRecorded { token, .. } | Event::DenialRecorded { token, .. } => {
                self.tokens.push(token.clone());
            }
            Event::OperationStarted { .. } => self.started_at = Some(entry.at),
            Event::OperationSucceeded { certificate } => self.certificate = certificate.clone(),
            _ => {}
        }
        if self.phase.is_terminal() {
            self.ended_at.get_or_insert(entry.at);
        }
        Ok(())
    }
}
