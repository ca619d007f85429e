//! One environment as `list` and `show` tell it.

use exokit_model::cost::{ApprovalLevel, CostBand};
use exokit_model::event::{Entry, Event};
use exokit_model::ids::{EnvironmentName, OperationId, PersonId, ResourceId, RoleName, TemplateId, Zone};
use exokit_model::phase::Phase;
use exokit_model::plan::Action;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::operation::OperationSummary;
use super::resource::{ResourceState, ResourceView};

/// An environment. The JSON form is an interface that scripts rely on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentView {
    /// Its name.
    pub environment: EnvironmentName,
    /// The template that it is made from.
    pub template: TemplateId,
    /// Its zone.
    pub zone: Zone,
    /// One of `awaiting-approval`, `rejected`, `provisioning`, `ready`,
    /// `needs-human`, `rolling-back`, `rolled-back`, `tearing-down`, `gone`.
    pub phase: String,
    /// Estimated price per hour while it exists.
    pub hourly: Decimal,
    /// ISO 4217 code of the price.
    pub currency: String,
    /// When its making began; before that, when it was planned.
    pub created_at: Timestamp,
    /// When its time is over: the earlier of `ends_at` and `kept_until`. None
    /// before its making began, or when it may stay.
    pub expires_at: Option<Timestamp>,
    /// The end of the time that was asked for, with extensions.
    pub ends_at: Option<Timestamp>,
    /// How long it lives without a sign of its owner.
    pub keep_alive_seconds: Option<u64>,
    /// When it is over unless its owner gives a sign of life.
    pub kept_until: Option<Timestamp>,
    /// The newest end that was warned of.
    pub warned_of: Option<Timestamp>,
    /// Who asked for it.
    pub owner: PersonId,
    /// Whose budget it counts against.
    pub team: Option<RoleName>,
    /// Approval level of the plan that made it.
    pub level: ApprovalLevel,
    /// Cost band of that plan.
    pub band: CostBand,
    /// The operation that made it.
    pub made_by: OperationId,
    /// All operations on an environment of this name, in order.
    pub operations: Vec<OperationId>,
    /// What it consists of.
    pub resources: Vec<ResourceView>,
}

/// Phases in which nothing is left or nothing was ever made.
const OVER: [&str; 3] = ["gone", "rolled-back", "rejected"];

impl EnvironmentView {
    pub(super) fn planned(
        operation: &OperationSummary,
        mut operations: Vec<OperationId>,
        at: Timestamp,
    ) -> Self {
        if !operations.contains(&operation.operation) {
            operations.push(operation.operation.clone());
        }
        Self {
            environment: operation.environment.clone(),
            template: operation.template,
            zone: operation.zone.clone(),
            phase: environment_phase(operation.action, &operation.phase)
                .unwrap_or("awaiting-approval")
                .to_owned(),
            hourly: operation.hourly,
            currency: operation.currency.clone(),
            created_at: at,
            expires_at: None,
            ends_at: None,
            keep_alive_seconds: operation.keep_alive_seconds,
            kept_until: None,
            warned_of: None,
            owner: operation.requester.clone(),
            team: operation.team.clone(),
            level: operation.level,
            band: operation.band,
            made_by: operation.operation.clone(),
            operations,
            resources: operation.resources.clone(),
        }
    }

    /// Whether a new plan of the same name may take its place in the registry:
    /// nothing of it exists, and nothing is being done about it.
    pub(super) fn is_replaceable(&self) -> bool {
        matches!(self.phase.as_str(), "gone" | "rolled-back" | "rejected" | "awaiting-approval")
    }

    /// Whether nothing of it is left, or nothing was ever made.
    #[must_use]
    pub fn is_over(&self) -> bool {
        OVER.contains(&self.phase.as_str())
    }

    /// The ids of its resources that exist.
    pub(crate) fn live_ids(&self) -> impl Iterator<Item = &ResourceId> {
        let there = |resource: &&ResourceView| resource.state != ResourceState::Gone;
        let resources = if self.is_over() { &[] } else { self.resources.as_slice() };
        resources.iter().filter(there).filter_map(|resource| resource.id.as_ref())
    }

    /// Takes in an event of one of its operations, which has taken it in
    /// before.
    pub(super) fn apply(&mut self, operation: &OperationSummary, entry: &Entry) {
        let makes = operation.action == Action::Provision;
        if matches!(entry.event, Event::OperationStarted { .. }) {
            match operation.action {
                Action::Provision => {
                    let before = std::mem::take(&mut self.operations);
                    *self = Self::planned(operation, before, entry.at);
                    self.ends_at = operation.ttl_seconds.map(|ttl| add(entry.at, ttl));
                }
                Action::Teardown => self.show_found(operation),
                Action::Extend | Action::Access => {}
            }
        }
        if makes && self.made_by != operation.operation {
            return;
        }
        if let Some(phase) = environment_phase(operation.action, &operation.phase)
            && !entry.event.is_vote()
        {
            self.phase = phase.to_owned();
        }
        if matches!(entry.event, Event::OperationSucceeded { .. }) {
            match (operation.action, operation.extend_seconds, operation.keep_alive_seconds) {
                (Action::Extend, Some(more), _) => {
                    self.ends_at = Some(add(self.ends_at.unwrap_or(entry.at), more));
                }
                // Signs of life are expected from when there is something to use.
                (Action::Provision, _, Some(wait)) => self.kept_until = Some(add(entry.at, wait)),
                _ => {}
            }
        }
        self.set_end();
        if let Some(key) = entry.event.node()
            && let Some(resource) = self.resources.iter_mut().find(|r| r.key == *key)
        {
            resource.apply(&entry.event);
        }
    }

    /// Takes in a sign of life. None makes the time shorter.
    pub(super) fn keep(&mut self, until: Timestamp) {
        self.kept_until = self.kept_until.max(Some(until));
        self.set_end();
    }

    fn set_end(&mut self) {
        self.expires_at = self.ends_at.into_iter().chain(self.kept_until).min();
    }

    /// Resources that only the teardown plan knows: what the cloud made.
    fn show_found(&mut self, operation: &OperationSummary) {
        for found in &operation.resources {
            match self.resources.iter_mut().find(|r| r.key == found.key) {
                Some(resource) => resource.id = found.id.clone().or(resource.id.take()),
                None => self.resources.push(found.clone()),
            }
        }
    }
}

/// What an operation makes of the phase of its environment; none when it
/// changes nothing.
fn environment_phase(action: Action, phase: &Phase) -> Option<&'static str> {
    match (action, phase) {
        (Action::Extend | Action::Access, _) => None,
        (Action::Provision, Phase::AwaitingApproval) => Some("awaiting-approval"),
        (Action::Provision, Phase::Rejected { .. }) => Some("rejected"),
        (Action::Provision, Phase::Running) => Some("provisioning"),
        (Action::Provision, Phase::Succeeded) => Some("ready"),
        (Action::Provision, Phase::RolledBack { .. }) => Some("rolled-back"),
        (Action::Teardown, Phase::AwaitingApproval | Phase::Rejected { .. }) => None,
        (Action::Teardown, Phase::Running) => Some("tearing-down"),
        (Action::Teardown, Phase::Succeeded) => Some("gone"),
        // What a teardown has removed does not come back by itself.
        (Action::Teardown, Phase::RolledBack { .. }) => Some("needs-human"),
        (_, Phase::RollingBack { .. }) => Some("rolling-back"),
        (_, Phase::NeedsHuman { .. }) => Some("needs-human"),
    }
}

fn add(at: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    at.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
