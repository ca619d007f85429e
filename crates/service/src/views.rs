//! Conversions from types of ledger and engine to those of replies.

use exokit_approval::token::inspect;
use exokit_core::predict::critical_path;
use exokit_engine::sweep;
use exokit_ledger::{EnvironmentView, OperationState, OperationSummary};
use exokit_model::canonical::Digest;
use exokit_model::graph::Node;
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use exokit_wire::reply::{
    ActiveOperation, Approval, Environment, OperationReply, Orphan, Parked, PlanView, PlannedResource,
    Resource,
};
use serde::Serialize;
use serde_json::Value;

pub(crate) fn plan(plan: &Plan, digest: Digest) -> PlanView {
    PlanView {
        plan_id: plan.plan_id.clone(),
        digest,
        action: plan.action,
        environment: plan.environment.clone(),
        template: plan.template,
        zone: plan.zone.clone(),
        requester: plan.requester.clone(),
        level: plan.level,
        level_reasons: plan.level_reasons.clone(),
        band: plan.band,
        cost: plan.cost.clone(),
        resources: plan.graph.nodes().iter().map(resource).collect(),
        critical_path: critical_path(&plan.graph),
        critical_path_seconds: plan.critical_path_seconds,
        corrections: plan.corrections.clone(),
        destroys: plan.destroys.clone(),
        rollback_destroys: plan.rollback_destroys.clone(),
        not_after: plan.not_after,
        break_glass: plan.break_glass.clone(),
    }
}

fn resource(node: &Node) -> PlannedResource {
    PlannedResource {
        key: node.key.clone(),
        kind: node.kind,
        name: node.name.as_str().into(),
        depends_on: node.depends_on.clone(),
        desired: node.desired,
        zone: node.zone.clone(),
        predicted_seconds: node.predicted_seconds,
    }
}

pub(crate) fn operation(view: &OperationState) -> OperationReply {
    let (needs_human, cause) = match &view.phase {
        Phase::NeedsHuman { why, owner, rolling_back } => {
            let parked = Parked {
                code: why.code().into(),
                why: why.to_string().into(),
                owner: owner.clone(),
                rolling_back: *rolling_back,
            };
            (Some(parked), None)
        }
        Phase::RollingBack { cause } | Phase::RolledBack { cause } => (None, Some(cause.clone())),
        Phase::Rejected { why } => (None, Some(why.clone())),
        Phase::AwaitingApproval | Phase::Running | Phase::Succeeded => (None, None),
    };
    let removes = view.plan.action == Action::Teardown;
    OperationReply {
        environment: view.plan.environment.clone(),
        operation: view.operation.clone(),
        plan_id: view.plan.plan_id.clone(),
        action: view.plan.action,
        phase: view.phase.name().into(),
        digest: view.digest,
        level: view.plan.level,
        approvals: approvals(&view.tokens),
        started_at: view.started_at,
        ended_at: view.ended_at,
        needs_human,
        cause,
        destroys: removes.then(|| view.plan.destroys.clone()),
        certificate: view.certificate.clone(),
    }
}

pub(crate) fn active_operation(summary: &OperationSummary) -> ActiveOperation {
    ActiveOperation {
        operation: summary.operation.clone(),
        environment: summary.environment.clone(),
        action: summary.action,
        phase: summary.phase.name().to_owned(),
    }
}

fn approvals(tokens: &[String]) -> Vec<Approval> {
    let votes = tokens.iter().filter_map(|token| inspect(token).ok());
    votes
        .map(|vote| Approval {
            person: vote.claims.person,
            decision: vote.claims.decision,
            key: vote.key,
            issued_at: vote.claims.issued_at,
            expires_at: vote.claims.expires_at,
        })
        .collect()
}

pub(crate) fn environment(view: &EnvironmentView) -> Environment {
    let resources = view.resources.iter().map(|resource| Resource {
        key: resource.key.clone(),
        kind: resource.kind,
        id: resource.id.clone(),
        name: resource.name.as_str().into(),
        state: word(&resource.state).into(),
    });
    Environment {
        environment: view.environment.clone(),
        template: view.template,
        zone: view.zone.clone(),
        phase: view.phase.as_str().into(),
        hourly: view.hourly,
        currency: view.currency.as_str().into(),
        created_at: view.created_at,
        expires_at: view.expires_at,
        ends_at: view.ends_at,
        keep_alive_seconds: view.keep_alive_seconds,
        kept_until: view.kept_until,
        warned_of: view.warned_of,
        owner: view.owner.clone(),
        team: view.team.clone(),
        level: view.level,
        band: view.band,
        made_by: view.made_by.clone(),
        operations: view.operations.clone(),
        resources: resources.collect(),
    }
}

pub(crate) fn orphan(found: &sweep::Orphan) -> Orphan {
    Orphan {
        kind: found.kind,
        id: found.id.as_str().into(),
        name: found.name.as_str().into(),
        zone: found.zone.clone(),
        age_seconds: found.age_seconds,
        verdict: word(&found.verdict).into(),
    }
}

/// The word that a value without content is written as.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        // Only values without content come here.
        _ => String::new(),
    }
}
