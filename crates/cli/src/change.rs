//! Changes of an environment: planned, recorded by the seal of the plan, and
//! followed.

use exokit_model::ids::PlanId;
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use exokit_text::operation;
use exokit_wire::reply::OperationReply;
use exokit_wire::request::{
    AccessRequest, ExtendRequest, PlanRequest, ProvisionRequest, SealedPlan, TeardownRequest, Tokens,
};

use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::follow::follow;
use crate::report::report;

/// Plans a change, says what it is with `announce`, records it, and follows it
/// to its end.
pub(crate) async fn change(
    connection: &Connection<'_>,
    request: &PlanRequest,
    wait: bool,
    announce: impl FnOnce(&Plan),
) -> Result<Exit, CliError> {
    let (reply, plan) = connection.planned(request).await?;
    crate::commands::plan::note(connection.settings, reply.selection.as_ref(), &reply.notes);
    announce(&plan);
    let sealed = SealedPlan { plan: reply.plan, seal: reply.seal };
    let recorded = record(connection, plan.action, None, Some(sealed)).await?;
    carry_out(connection, &plan, &recorded, wait).await
}

/// Starts a recorded plan, whatever it does, and follows it to its end.
pub(crate) async fn start(connection: &Connection<'_>, id: &PlanId, wait: bool) -> Result<Exit, CliError> {
    let plan = connection.recorded(id.as_str()).await?.plan;
    let recorded = record(connection, plan.action, Some(id.clone()), None).await?;
    carry_out(connection, &plan, &recorded, wait).await
}

/// Records a plan.
pub(crate) async fn record(
    connection: &Connection<'_>,
    action: Action,
    plan_id: Option<PlanId>,
    sealed: Option<SealedPlan>,
) -> Result<OperationReply, CliError> {
    let approval_token = Tokens::default();
    match action {
        Action::Provision => {
            connection.call(&ProvisionRequest { ask: None, plan_id, sealed, approval_token }).await
        }
        Action::Teardown => {
            connection.call(&TeardownRequest { remove: None, plan_id, sealed, approval_token }).await
        }
        Action::Extend => {
            connection.call(&ExtendRequest { extend: None, plan_id, sealed, approval_token }).await
        }
        Action::Access => {
            connection.call(&AccessRequest { access: None, plan_id, sealed, approval_token }).await
        }
    }
}

/// Follows a recorded plan. One that lacks votes is followed with `wait` only.
async fn carry_out(
    connection: &Connection<'_>,
    plan: &Plan,
    recorded: &OperationReply,
    wait: bool,
) -> Result<Exit, CliError> {
    let waits = recorded.phase == Phase::AwaitingApproval.name() && plan.level.persons() > 0;
    if waits && connection.recorded(plan.plan_id.as_str()).await?.reply.still.is_some() {
        let how = operation::how_to_approve(plan, &connection.roster().await?);
        connection.settings.output.note(&how);
        if !wait {
            return report(connection.settings, recorded);
        }
    }
    follow(connection, plan, wait || plan.level.persons() == 0).await
}
