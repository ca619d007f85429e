//! Tracks the state of the current operation from the durable ledger alone, for
//! the table of effects by state.

use std::collections::{BTreeMap, BTreeSet};

use exokit_model::event::{Event, Record};
use exokit_model::ids::{OperationId, ResourceId};
use exokit_model::plan::Action;
use serde::Deserialize;

use super::effect::State;

/// Follows the ledger record by record.
#[derive(Debug, Default)]
pub(super) struct OperationTracker {
    plans: BTreeMap<OperationId, Action>,
    current: Option<(OperationId, Phase)>,
    /// Nodes with an intent that has no outcome yet.
    open: BTreeSet<String>,
    /// Nodes whose outcome is known to be unknown.
    doubtful: BTreeSet<String>,
    recorded: BTreeSet<ResourceId>,
    ready: BTreeSet<ResourceId>,
}

/// What is of interest of a plan.
#[derive(Deserialize)]
struct Proposed {
    action: Action,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Running,
    RollingBack,
    Parked,
    Over,
}

impl OperationTracker {
    /// Takes in the next record.
    pub(super) fn take(&mut self, record: &Record) {
        let Some(operation) = record.entry.operation.clone() else { return };
        let event = &record.entry.event;
        if let Event::PlanProposed { plan, .. } = event
            && let Ok(plan) = serde_json::from_str::<Proposed>(plan)
        {
            self.plans.insert(operation.clone(), plan.action);
        }
        let before = match &self.current {
            Some((current, phase)) if *current == operation => *phase,
            _ => Phase::Waiting,
        };
        let phase = match event {
            Event::OperationStarted { .. } | Event::OperationUnparked { .. } => Phase::Running,
            Event::RollbackStarted { .. } => Phase::RollingBack,
            Event::OperationParked { .. } => Phase::Parked,
            Event::OperationSucceeded { .. } | Event::OperationRolledBack | Event::PlanRejected { .. } => {
                Phase::Over
            }
            _ => before,
        };
        self.take_node(event);
        self.current = Some((operation, phase));
    }

    fn take_node(&mut self, event: &Event) {
        let Some(node) = event.node().map(ToString::to_string) else {
            if matches!(event, Event::OperationResumed { .. }) {
                // Whatever was open when the last process died is in doubt.
                self.doubtful.extend(self.open.iter().cloned());
            }
            return;
        };
        match event {
            Event::CreateIntended { .. } => {
                self.open.insert(node);
            }
            Event::CreateInDoubt { .. } => {
                self.doubtful.insert(node);
            }
            Event::CreateAccepted { id, .. } => {
                self.close(&node);
                self.recorded.extend(id.clone());
            }
            Event::CreateAdopted { id, .. } => {
                self.close(&node);
                self.recorded.insert(id.clone());
            }
            Event::ResourceReady { id, .. } => {
                self.ready.insert(id.clone());
                self.recorded.insert(id.clone());
            }
            Event::ResourceGone { id, .. } => {
                self.ready.remove(id);
                self.recorded.remove(id);
            }
            Event::CreateRefused { .. } | Event::CreateAbsent { .. } | Event::ResourceFailed { .. } => {
                self.close(&node);
            }
            _ => {}
        }
    }

    fn close(&mut self, node: &str) {
        self.open.remove(node);
        self.doubtful.remove(node);
    }

    /// Where it stands.
    #[must_use]
    pub(super) fn state(&self) -> State {
        let Some((operation, phase)) = &self.current else { return State::Asking };
        match (phase, self.plans.get(operation)) {
            (Phase::Waiting, _) => State::Asking,
            (Phase::Over, _) => State::Resting,
            (Phase::Parked, _) => State::Parked,
            (Phase::RollingBack, _) => State::RollingBack,
            (Phase::Running, Some(Action::Teardown)) => State::TearingDown,
            (Phase::Running, _) if !self.doubtful.is_empty() => State::Settling,
            (Phase::Running, _) => State::Provisioning,
        }
    }

    /// Whether the durable ledger knows a resource by its id.
    #[must_use]
    pub(super) fn knows(&self, id: &str) -> bool {
        self.recorded.iter().any(|own| own.as_str() == id)
    }

    /// Ids that the durable ledger holds as ready.
    pub(super) fn ready(&self) -> impl Iterator<Item = &str> {
        self.ready.iter().map(ResourceId::as_str)
    }
}
