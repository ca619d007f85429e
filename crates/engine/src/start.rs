//! Whether a plan may start now.

use exokit_approval::refusal::Refusal;
use exokit_core::start::{check_policy, outdates};
use exokit_ledger::{Condition, Filter, LedgerError};
use exokit_model::event::{Event, Record};
use exokit_model::phase::Phase;
use exokit_model::plan::Action;

use crate::contention_backoff::ContentionBackoff;
use crate::engine::Engine;
use crate::environment::EnvironmentState;
use crate::error::EngineError;
use exokit_ledger::OperationState;

impl Engine {
    /// Checks everything that must hold at the start, and returns the head of
    /// the environment for which it held.
    pub(crate) async fn check_start(&self, state: &OperationState) -> Result<u64, EngineError> {
        let plan = &state.plan;
        if !self.has_recorded(state) {
            return Err(EngineError::NotOurs);
        }
        let now = self.now();
        if now > plan.not_after {
            return Err(self.reject(state, format!("it could start until {}", plan.not_after)).await?);
        }
        let verifier = self.verifier().await?;
        check_policy(plan, verifier.roster())?;
        let prior_approval = self.prior_approval(plan).await?;
        let quorum =
            verifier.quorum_or_prior_approval(plan, &state.tokens, (now, now), prior_approval.as_ref());
        if let Err(refusal @ Refusal::Denied(_)) = &quorum {
            return Err(self.reject(state, refusal.to_string()).await?);
        }
        if let Some(until) = quorum?.start_by()
            && now > until
        {
            return Err(Refusal::StartWindow(until).into());
        }
        let records = self.parts().ledger.read(Filter::Environment(plan.environment.clone()), 0).await?;
        check_base(state, &self.fold_environment(&records)?, &records)
    }

    async fn reject(&self, state: &OperationState, why: String) -> Result<EngineError, EngineError> {
        self.reject_waiting(state, Vec::new(), &why).await?;
        Ok(EngineError::Rejected(why))
    }

    /// Rejects a plan that still waits, with the events that lead to it. Says
    /// whether it did: of two who reject, and of one who rejects while another
    /// starts, only the first writes.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub(crate) async fn reject_waiting(
        &self,
        state: &OperationState,
        before: Vec<Event>,
        why: &str,
    ) -> Result<bool, EngineError> {
        let name = &state.plan.environment;
        let mut backoff = ContentionBackoff::default();
        loop {
            let environment = self.environment(name).await?;
            let waits = environment.operations.iter().any(|operation| {
                operation.operation == state.operation && operation.phase == Phase::AwaitingApproval
            });
            if !waits {
                return Ok(false);
            }
            let rejected = Event::PlanRejected { why: why.into() };
            let events = before.iter().cloned().chain([rejected]);
            let entries = events.map(|event| self.entry(Some(name), Some(&state.operation), event)).collect();
            match self.append(&Condition::environment(name, environment.last_seq), entries).await {
                Ok(_) => return Ok(true),
                // Somebody wrote meanwhile: let them finish, then look again.
                Err(error @ EngineError::Ledger(LedgerError::Stale { .. })) => backoff.wait(error).await?,
                Err(error) => return Err(error),
            }
        }
    }
}

/// A plan applies only to the state that it was made from: nothing else runs,
/// and nothing else has started since.
fn check_base(
    state: &OperationState,
    environment: &EnvironmentState,
    records: &[Record],
) -> Result<u64, EngineError> {
    let (name, action) = (&state.plan.environment, state.plan.action);
    if let Some(other) = environment.active()
        && action != Action::Access
        && other.operation != state.operation
    {
        return Err(EngineError::Busy { environment: name.clone(), operation: other.operation.clone() });
    }
    let of = |id| environment.operations.iter().find(|operation| Some(&operation.operation) == id);
    let started_since = records.iter().any(|record| {
        record.seq > state.plan.base_seq
            && matches!(record.entry.event, Event::OperationStarted { .. })
            && of(record.entry.operation.as_ref()).is_none_or(|other| outdates(other.plan.action, action))
    });
    if started_since {
        return Err(EngineError::StalePlan(name.clone()));
    }
    match (action, environment.provision()) {
        (Action::Provision, Some(_)) => Err(EngineError::Exists(name.clone())),
        (Action::Teardown | Action::Extend | Action::Access, None) => {
            Err(EngineError::NoEnvironment(name.clone()))
        }
        _ => Ok(environment.last_seq),
    }
}
