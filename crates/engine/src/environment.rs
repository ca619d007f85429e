//! What the ledger says of one environment: its operations, and from them the
//! resources that exist.

use exokit_core::node_state::NodeState;
use exokit_core::plan_build::Recorded;
use exokit_ledger::{IllegalRecord, OperationState, Plans};
use exokit_model::event::{Event, Record};
use exokit_model::ids::{OwnerToken, ResourceId};
use exokit_model::phase::Phase;
use exokit_model::plan::Action;

/// One environment, folded from its records.
#[derive(Debug, Clone, Default)]
pub struct EnvironmentState {
    /// Its operations, oldest first.
    pub operations: Vec<OperationState>,
    /// Sequence number of the last record about it.
    pub last_seq: u64,
}

impl EnvironmentState {
    /// Folds all records about one environment, with plans that were read
    /// before.
    ///
    /// # Errors
    /// When a record does not fit.
    pub(crate) fn fold(plans: &Plans, records: &[Record]) -> Result<Self, IllegalRecord> {
        let operations = OperationState::fold_all(plans, records)?;
        Ok(Self { operations, last_seq: records.last().map_or(0, |record| record.seq) })
    }

    /// The operation that changes the environment now, if there is one.
    pub(crate) fn active(&self) -> Option<&OperationState> {
        self.operations
            .iter()
            .find(|operation| operation.started_at.is_some() && !operation.phase.is_terminal())
    }

    /// The provision whose resources the environment consists of: the last one
    /// that started and whose resources no teardown has removed since.
    pub(crate) fn provision(&self) -> Option<&OperationState> {
        let torn_down = |operation: &OperationState| {
            operation.plan.action == Action::Teardown && operation.phase == Phase::Succeeded
        };
        let after = self.operations.iter().rposition(torn_down).map_or(0, |at| at + 1);
        self.operations[after..].iter().rev().find(|operation| {
            operation.plan.action == Action::Provision
                && operation.started_at.is_some()
                && !matches!(operation.phase, Phase::RolledBack { .. })
        })
    }

    /// How many seconds were added to the life of what is there, in all.
    pub(crate) fn extended(&self) -> u64 {
        let Some(made) = self.provision().map(|provision| &provision.operation) else { return 0 };
        let of_it = self.operations.iter().skip_while(|operation| operation.operation != *made);
        let extended = of_it.filter(|operation| operation.phase == Phase::Succeeded);
        extended.filter_map(|operation| operation.plan.extend_seconds).fold(0, u64::saturating_add)
    }

    /// Resources that the ledger holds as existing, with the nodes of the plan
    /// that made them.
    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        let Some(provision) = self.provision() else { return Vec::new() };
        let live = |node: &exokit_model::graph::Node| {
            let id = provision.facts.get(&node.key)?.id()?.clone();
            (!self.gone_since(provision, &id)).then(|| Recorded { node: node.clone(), id })
        };
        provision.plan.graph.nodes().iter().filter_map(live).collect()
    }

    /// The owner tokens of everything that was ever planned for it.
    pub(crate) fn tokens(&self) -> Vec<OwnerToken> {
        let nodes = self.operations.iter().flat_map(|operation| operation.plan.graph.nodes());
        nodes.filter_map(|node| node.token.clone()).collect()
    }

    /// Ids of what teardowns that began were to remove. A volume or a load
    /// balancer is known to belong by the machines that use it, and those may
    /// be gone when the teardown stops and another one is planned.
    pub(crate) fn doomed(&self) -> impl Iterator<Item = &ResourceId> {
        let begun = self
            .operations
            .iter()
            .filter(|operation| operation.plan.action == Action::Teardown && operation.started_at.is_some());
        begun.flat_map(|teardown| teardown.plan.graph.nodes()).filter_map(|node| node.existing.as_ref())
    }

    /// Every id that was ever recorded for the environment.
    pub(crate) fn all_ids(records: &[Record]) -> Vec<ResourceId> {
        let id = |record: &Record| match &record.entry.event {
            Event::CreateAccepted { id: Some(id), .. }
            | Event::CreateAdopted { id, .. }
            | Event::ResourceReady { id, .. }
            | Event::ResourceFailed { id: Some(id), .. }
            | Event::DeleteIntended { id, .. } => Some(id.clone()),
            _ => None,
        };
        let mut ids: Vec<ResourceId> = records.iter().filter_map(id).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Whether a later operation has removed a resource.
    fn gone_since(&self, provision: &OperationState, id: &ResourceId) -> bool {
        let later = self.operations.iter().filter(|operation| {
            operation.plan.action == Action::Teardown
                && operation.plan.created_at >= provision.plan.created_at
        });
        later.into_iter().any(|teardown| {
            teardown.plan.graph.nodes().iter().any(|node| {
                node.existing.as_ref() == Some(id)
                    && teardown.facts.get(&node.key).is_some_and(|facts| facts.state == NodeState::Missing)
            })
        })
    }
}
