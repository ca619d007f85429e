//! Setups that tests share: environments that are planned, approved or made.

use exokit_engine::error::EngineError;
use exokit_engine::propose::ProvisionRequest;
use exokit_ledger::OperationState;
use exokit_model::phase::Phase;

use crate::rig::{Rig, person, request};

/// Plans, proposes and approves a template with its defaults.
///
/// # Errors
/// What the engine says.
pub async fn approved_provision(rig: &Rig, template: u16) -> Result<OperationState, EngineError> {
    approved(rig, request(template)).await
}

/// Plans, proposes and approves what is asked for.
///
/// # Errors
/// What the engine says.
pub async fn approved(rig: &Rig, request: ProvisionRequest) -> Result<OperationState, EngineError> {
    let engine = rig.engine();
    let plan = engine.plan_provision(request, None).await?;
    let state = engine.propose(&plan, None).await?;
    rig.approve(&state).await;
    Ok(state)
}

/// Plans, proposes and approves the teardown of what `provision` made.
///
/// # Errors
/// What the engine says.
pub async fn approved_teardown(rig: &Rig, provision: &OperationState) -> Result<OperationState, EngineError> {
    let engine = rig.engine();
    let plan = engine.plan_teardown(&provision.plan.environment, &person("dana"), None).await?;
    let state = engine.propose(&plan, None).await?;
    rig.approve(&state).await;
    Ok(state)
}

/// Provisions a template to the end.
///
/// # Errors
/// What the engine says.
pub async fn provisioned(rig: &Rig, template: u16) -> Result<(OperationState, Phase), EngineError> {
    let state = approved_provision(rig, template).await?;
    let phase = rig.engine().run(&state.operation).await?;
    Ok((state, phase))
}
