//! Lookup of operations, environments and plans in the ledger.

use exokit_engine::error::EngineError;
use exokit_ledger::{EnvironmentDetails, Filter, LedgerError, OperationState, Operations};
use exokit_model::ids::{EnvironmentName, OperationId, PlanId};
use exokit_wire::failure::{Class, Failure};

use crate::explain::Doing as _;
use crate::service::Service;

/// Fewest digits by which a digest may be given.
const DIGEST_DIGITS_MIN: usize = 8;

impl Service {
    /// One operation in full; none when there is no such plan.
    pub(crate) async fn operation(&self, id: &OperationId) -> Result<OperationState, Failure> {
        let ledger = &self.engine().parts().ledger;
        let records = ledger.read(Filter::Operation(id.clone()), 0).await;
        let records = records.doing("reading", "the ledger")?;
        let view = OperationState::fold(ledger.plans(), id, &records).map_err(LedgerError::from);
        view.doing("reading", "the ledger")?.ok_or_else(|| no_plan(id.plan().as_str()))
    }

    /// One environment with its operations in full.
    pub(crate) async fn story(&self, name: &EnvironmentName) -> Result<EnvironmentDetails, Failure> {
        let ledger = &self.engine().parts().ledger;
        let story = EnvironmentDetails::read(ledger.as_ref(), name).await.doing("reading", "the ledger")?;
        story.ok_or_else(|| EngineError::NoEnvironment(name.clone())).doing("finding", name)
    }

    /// Finds a plan by its id, by its digest, or as the newest plan of an
    /// environment that waits for approval.
    pub(crate) async fn find_plan(&self, target: &str) -> Result<OperationId, Failure> {
        let by_id =
            target.parse::<PlanId>().map(|plan| plan.operation()).or_else(|_| target.parse::<OperationId>());
        if let Ok(id) = by_id {
            return self.summary(Operations::Named(id), target).await;
        }
        let digits = target.len() >= DIGEST_DIGITS_MIN && target.bytes().all(|b| b.is_ascii_hexdigit());
        if digits {
            let found = self.summary(Operations::Digest(target.to_ascii_lowercase()), target).await;
            // An environment can be called like the beginning of a digest.
            if !found.as_ref().is_err_and(|failure| failure.class() == Class::NotFound) {
                return found;
            }
        }
        let name: EnvironmentName = target.parse().doing("finding the plan", target)?;
        let story = self.story(&name).await?;
        let (all, now) = (&story.operations, self.engine().parts().clock.now());
        let waiting = all.iter().rev().find(|operation| operation.can_start(all, now));
        waiting
            .map(|operation| operation.operation.clone())
            .ok_or_else(|| missing(target, "no plan of this environment waits for approval"))
    }

    async fn summary(&self, which: Operations, target: &str) -> Result<OperationId, Failure> {
        let ledger = &self.engine().parts().ledger;
        let mut found = ledger.operations(which).await.doing("reading", "the ledger")?.into_iter();
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.operation),
            (None, _) => Err(no_plan(target)),
            (Some(_), Some(_)) => {
                let why = "more than one plan has a digest that begins so";
                Err(Failure::new(Class::Invalid, "no-plan", "finding", target, why, "give more digits"))
            }
        }
    }
}

fn no_plan(target: &str) -> Failure {
    missing(target, "the ledger has no such plan")
}

fn missing(target: &str, why: &str) -> Failure {
    let hint = "the status of the environment names the plans that wait";
    Failure::new(Class::NotFound, "no-plan", "finding", target, why, hint)
}
