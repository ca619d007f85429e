//! Removes the environment of a test, however far it has come.

use exokit_model::certificate::Certificate;
use exokit_model::ids::{EnvironmentName, PersonId, PlanId};
use exokit_model::plan::Action;
use exokit_wire::failure::Class;
use exokit_wire::reply::{OperationReply, StatusReply};
use exokit_wire::request::{PlanRequest, Removal, ResumeRequest, SealedPlan, StatusRequest};

use super::Test;
use crate::change::record;
use crate::error::CliError;

/// Most changes of one environment until nothing is left of it: to settle what
/// was begun, to deny what waits, to remove what is there, each with one retry.
const CHANGES_MAX: usize = 8;

impl Test<'_> {
    /// Removes an environment. Returns the certificate, where a teardown was
    /// needed; none where nothing had been made.
    pub(super) async fn remove(&self, name: &EnvironmentName) -> Result<Option<Certificate>, CliError> {
        let mut certificate = None;
        for _ in 0..CHANGES_MAX {
            let Some(status) = self.status(name).await? else { return Ok(certificate) };
            if let Some(open) = status.open.iter().find(|open| is_settleable(open, &status)) {
                certificate = self.settle(open).await?.certificate.or(certificate);
                continue;
            }
            match status.view.phase.raw() {
                "gone" | "rolled-back" | "rejected" => return Ok(certificate),
                _ => certificate = self.tear_down(name).await?.certificate,
            }
        }
        let why = format!("it is still there after {CHANGES_MAX} changes");
        let hint = format!("see `exokit show {name}`, then `exokit down {name}`");
        Err(CliError::new("not-removed", "removing", name, why, hint))
    }

    /// Where an environment stands; none when it was never recorded.
    async fn status(&self, name: &EnvironmentName) -> Result<Option<StatusReply>, CliError> {
        let request = StatusRequest { environment: name.clone() };
        match self.connection.client.call(&request).await {
            Ok(status) => Ok(Some(status)),
            Err(failure) if failure.class() == Class::NotFound => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Brings an operation to its end: denies a plan that waits, unless it is a
    /// teardown, and rolls back what is parked.
    async fn settle(&self, open: &OperationReply) -> Result<OperationReply, CliError> {
        let found = self.connection.recorded(open.plan_id.as_str()).await?;
        match open.phase.raw() {
            "awaiting-approval" if open.action == Action::Teardown => {
                self.approvers.approve(&self.connection, &found).await?;
            }
            "awaiting-approval" if found.reply.still.is_some() => {
                self.approvers.deny(&self.connection, &found).await?;
                return Ok(self.connection.recorded(open.plan_id.as_str()).await?.reply.operation);
            }
            "needs-human" => {
                let request = ResumeRequest { environment: open.environment.clone(), rollback: true };
                self.connection.call(&request).await?;
            }
            _ => {}
        }
        self.finish(&found.plan).await
    }

    async fn tear_down(&self, name: &EnvironmentName) -> Result<OperationReply, CliError> {
        let request = PlanRequest::Teardown(Removal { environment: name.clone() });
        let (reply, plan) = self.connection.planned(&request).await?;
        let sealed = SealedPlan { plan: reply.plan, seal: reply.seal };
        record(&self.connection, Action::Teardown, None, Some(sealed)).await?;
        self.approve(&plan.plan_id).await?;
        self.finish(&plan).await
    }

    /// Approves a recorded plan.
    pub(super) async fn approve(&self, plan: &PlanId) -> Result<Vec<PersonId>, CliError> {
        let found = self.connection.recorded(plan.as_str()).await?;
        self.approvers.approve(&self.connection, &found).await
    }
}

/// Whether an operation has begun, or waits and can still begin.
fn is_settleable(open: &OperationReply, status: &StatusReply) -> bool {
    open.phase.raw() != "awaiting-approval" || status.startable.contains_key(&open.plan_id)
}
