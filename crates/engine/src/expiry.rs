//! Time to live: signs of life, warnings, and the teardown of what has outlived
//! its time. The teardown is a plan like any other and needs its approval.

use exokit_approval::token::inspect;
use exokit_ledger::{
    Condition, EnvironmentView, Environments, Filter, LedgerError, OperationSummary, Operations,
    environment_view,
};
use exokit_model::approval::Decision;
use exokit_model::event::Event;
use exokit_model::ids::{EnvironmentName, PersonId};
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use jiff::{SignedDuration, Timestamp};

use crate::contention_backoff::ContentionBackoff;
use crate::engine::Engine;
use crate::environment::EnvironmentState;
use crate::error::EngineError;

/// A warning comes at most so long before the end.
const WARN_MAX: SignedDuration = SignedDuration::from_hours(1);
/// A warning comes before the last of so many parts of the time.
const WARN_PARTS: i32 = 10;

impl Engine {
    /// Environments that have expired.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn expired(&self) -> Result<Vec<EnvironmentView>, EngineError> {
        Ok(self.parts().ledger.environments(Environments::Expired(self.now())).await?)
    }

    /// Proposes the teardown of an environment that has expired, unless one is
    /// proposed or runs; not again after somebody denied it. The request is made
    /// in the name of the environment's owner. Returns the plan.
    ///
    /// # Errors
    /// When ledger or cloud cannot be read.
    pub async fn expire_one(&self, view: &EnvironmentView) -> Result<Option<Plan>, EngineError> {
        let name = &view.environment;
        let open = self.parts().ledger.operations(Operations::Open(name.clone())).await?;
        if open.iter().any(|operation| self.occupies(operation)) {
            return Ok(None);
        }
        // The row has only found it: its records decide.
        let records = self.parts().ledger.read(Filter::Environment(name.clone()), 0).await?;
        let environment = self.fold_environment(&records)?;
        let found = environment_view(self.parts().ledger.plans(), name, &records)?;
        let end = found.and_then(|found| found.expires_at).filter(|end| *end <= self.now());
        let (Some(expired_at), Some(provision)) = (end, environment.provision()) else { return Ok(None) };
        if was_denied(&environment, expired_at) {
            return Ok(None);
        }
        let plan = self.plan_teardown(name, &provision.plan.requester, None).await?;
        let reason = Event::ExpiryNoticed { expired_at, digest: plan.digest()? };
        self.propose_because(&plan, None, Some(reason)).await?;
        Ok(Some(plan))
    }

    /// Proposes the teardown of every environment that has expired, as
    /// [`Engine::expire_one`] does. Returns the plans.
    ///
    /// # Errors
    /// The first, once all were tried.
    pub async fn expire(&self) -> Result<Vec<Plan>, EngineError> {
        let mut proposed = Vec::new();
        let mut failed = Ok(());
        for view in self.expired().await? {
            match self.expire_one(&view).await {
                Ok(plan) => proposed.extend(plan),
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed.map(|()| proposed)
    }

    /// Warns of the end of every environment that is near it, once for each end.
    /// Returns their names.
    ///
    /// # Errors
    /// When the ledger cannot be read or written: the first, once all were tried.
    pub async fn warn(&self) -> Result<Vec<EnvironmentName>, EngineError> {
        let now = self.now();
        let soon = now.checked_add(WARN_MAX).unwrap_or(Timestamp::MAX);
        let mut warned = Vec::new();
        let mut failed = Ok(());
        for view in self.parts().ledger.environments(Environments::Expired(soon)).await? {
            let Some(end) = view.expires_at.filter(|end| is_near(&view, *end, now)) else { continue };
            match self.warn_one(&view.environment, end).await {
                Ok(true) => warned.push(view.environment),
                Ok(false) => {}
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed.map(|()| warned)
    }

    /// Warns of one end; false when somebody else wrote meanwhile: if that was
    /// no warning, the next look warns.
    async fn warn_one(&self, name: &EnvironmentName, expires_at: Timestamp) -> Result<bool, EngineError> {
        let environment = self.environment(name).await?;
        let entry = self.entry(Some(name), None, Event::ExpiryWarned { expires_at });
        match self.append(&Condition::environment(name, environment.last_seq), vec![entry]).await {
            Ok(_) => Ok(true),
            Err(EngineError::Ledger(LedgerError::Stale { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes a sign of life, and says until when the environment is kept. It
    /// must come from the owner, or from one who stands for the same human.
    ///
    /// # Errors
    /// When there is no such environment or it expects none, when somebody else
    /// asks, and when the ledger cannot be read or written.
    pub async fn keep_alive(&self, name: &EnvironmentName, by: &PersonId) -> Result<Timestamp, EngineError> {
        let mut backoff = ContentionBackoff::default();
        loop {
            let environment = self.environment(name).await?;
            let until = self.kept_until(&environment, name, by).await?;
            let entry = self.entry(Some(name), None, Event::KeptAlive { by: by.clone(), until });
            // A removal that begins meanwhile is not stopped by it, so nobody
            // may be told that it was in time.
            match self.append(&Condition::environment(name, environment.last_seq), vec![entry]).await {
                Ok(_) => return Ok(until),
                Err(error @ EngineError::Ledger(LedgerError::Stale { .. })) => backoff.wait(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Until when a sign of life given now keeps an environment.
    async fn kept_until(
        &self,
        environment: &EnvironmentState,
        name: &EnvironmentName,
        by: &PersonId,
    ) -> Result<Timestamp, EngineError> {
        let provision = environment.provision().ok_or_else(|| EngineError::NoEnvironment(name.clone()))?;
        if let Some(active) = environment.active().filter(|active| active.plan.action == Action::Teardown) {
            return Err(EngineError::Busy { environment: name.clone(), operation: active.operation.clone() });
        }
        let owner = &provision.plan.requester;
        let roster = self.roster().await?;
        if roster.principal(owner) != roster.principal(by) {
            let (environment, owner, person) = (name.clone(), owner.clone(), by.clone());
            return Err(EngineError::NotOwner { environment, owner, person });
        }
        let wait = provision.plan.spec.as_ref().and_then(|spec| spec.keep_alive_seconds);
        let wait = wait.ok_or_else(|| EngineError::NoKeepAlive(name.clone()))?;
        let wait = SignedDuration::from_secs(i64::try_from(wait).unwrap_or(i64::MAX));
        Ok(self.now().checked_add(wait).unwrap_or(Timestamp::MAX))
    }

    /// Whether a teardown cannot be asked for, or need not, because of an
    /// unfinished operation: it runs, or is a teardown that may still start.
    fn occupies(&self, operation: &OperationSummary) -> bool {
        match (&operation.phase, operation.action) {
            (Phase::AwaitingApproval, Action::Teardown) => operation.not_after > self.now(),
            (Phase::AwaitingApproval, Action::Provision | Action::Extend | Action::Access) => false,
            _ => true,
        }
    }
}

/// Whether somebody denied the removal that the expiry at this time led to.
fn was_denied(environment: &EnvironmentState, expired_at: Timestamp) -> bool {
    let denies = |token: &String| inspect(token).is_ok_and(|vote| vote.claims.decision == Decision::Deny);
    environment.operations.iter().any(|operation| {
        operation.plan.action == Action::Teardown
            && operation.plan.created_at >= expired_at
            && matches!(operation.phase, Phase::Rejected { .. })
            && operation.tokens.iter().any(denies)
    })
}

/// Whether the end is near, was not warned of, and has not come.
fn is_near(view: &EnvironmentView, end: Timestamp, now: Timestamp) -> bool {
    let time = match (view.keep_alive_seconds, view.kept_until) {
        (Some(wait), Some(until)) if until == end => {
            SignedDuration::from_secs(i64::try_from(wait).unwrap_or(i64::MAX))
        }
        _ => end.duration_since(view.created_at),
    };
    let lead = (time / WARN_PARTS).min(WARN_MAX);
    view.warned_of != Some(end) && now < end && end.duration_since(now) <= lead
}
