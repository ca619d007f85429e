//! The row of an operation: where it stands, without its plan.

use exokit_core::phase::next;
use exokit_model::canonical::Digest;
use exokit_model::cost::{ApprovalLevel, CostBand};
use exokit_model::event::{Entry, Event};
use exokit_model::ids::{EnvironmentName, OperationId, PersonId, RoleName, TemplateId, Zone};
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::resource::ResourceView;

/// An operation without its plan, which is thirty times as large and is read
/// from the records of the operation when it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationSummary {
    /// Its id.
    pub operation: OperationId,
    /// The environment that it changes.
    pub environment: EnvironmentName,
    /// What it does.
    pub action: Action,
    /// Digest of its plan.
    pub digest: Digest,
    /// Where it stands.
    pub phase: Phase,
    /// The template of the environment.
    pub template: TemplateId,
    /// Its zone.
    pub zone: Zone,
    /// Approval level of the plan.
    pub level: ApprovalLevel,
    /// Cost band of the plan.
    pub band: CostBand,
    /// Estimated price per hour.
    pub hourly: Decimal,
    /// ISO 4217 code of the price.
    pub currency: String,
    /// Who asked for it.
    pub requester: PersonId,
    /// Whose budget it counts against.
    pub team: Option<RoleName>,
    /// How long the environment may live, for a provision.
    pub ttl_seconds: Option<u64>,
    /// How long the environment lives without a sign of its owner, for a
    /// provision.
    pub keep_alive_seconds: Option<u64>,
    /// How much longer it may live, for an extension.
    pub extend_seconds: Option<u64>,
    /// When it was proposed.
    pub proposed_at: Timestamp,
    /// After this time it can no longer start.
    pub not_after: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended, one way or another.
    pub ended_at: Option<Timestamp>,
    /// Newest epoch under which something was written.
    pub epoch: u64,
    /// What its plan is about, until it has ended: no event names a resource
    /// after that.
    pub resources: Vec<ResourceView>,
}

impl OperationSummary {
    pub(crate) fn new(plan: &Plan, digest: Digest, entry: &Entry) -> Self {
        Self {
            operation: plan.plan_id.operation(),
            environment: plan.environment.clone(),
            action: plan.action,
            digest,
            phase: Phase::AwaitingApproval,
            template: plan.template,
            zone: plan.zone.clone(),
            level: plan.level,
            band: plan.band,
            hourly: plan.cost.hourly,
            currency: plan.cost.currency.clone(),
            requester: plan.requester.clone(),
            team: plan.team.clone(),
            ttl_seconds: plan.spec.as_ref().and_then(|spec| spec.ttl_seconds),
            keep_alive_seconds: plan.spec.as_ref().and_then(|spec| spec.keep_alive_seconds),
            extend_seconds: plan.extend_seconds,
            proposed_at: entry.at,
            not_after: plan.not_after,
            started_at: None,
            ended_at: None,
            epoch: entry.epoch,
            resources: plan.graph.nodes().iter().map(ResourceView::of).collect(),
        }
    }

    /// Takes in an event of this operation.
    pub(super) fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        let event = &entry.event;
        if entry.epoch > 0 && entry.epoch < self.epoch {
            return Err(format!(
                "it was written under epoch {}, after one under epoch {}",
                entry.epoch, self.epoch
            ));
        }
        let phase = next(&self.phase, event).map_err(|error| error.to_string())?;
        if let Some(key) = event.node()
            && !self.resources.iter().any(|resource| resource.key == *key)
        {
            return Err(format!("the plan has no resource {key}"));
        }
        self.phase = phase;
        self.epoch = self.epoch.max(entry.epoch);
        if matches!(event, Event::OperationStarted { .. }) {
            self.started_at = Some(entry.at);
        }
        if self.phase.is_terminal() {
            self.ended_at.get_or_insert(entry.at);
        }
        Ok(())
    }

    /// Lets go of what no later event can be about.
    pub(super) fn shrink(&mut self) {
        if self.phase.is_terminal() {
            self.resources = Vec::new();
        }
    }
}
