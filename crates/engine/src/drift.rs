//! Drift: how the cloud differs from what was planned, with nothing executed.

use std::collections::BTreeMap;

use exokit_kinds::{Lifecycle, Observed};
use exokit_model::event::{Difference, Event};
use exokit_model::graph::Node;
use exokit_model::ids::{EnvironmentName, ResourceId, Zone};
use exokit_model::kind::Kind;
use exokit_mutant::{Mutant, planted};
use serde_json::Value;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::observe::{self, ObserveError};
use exokit_ledger::Condition;
use exokit_ledger::OperationState;

/// What a look at an environment showed.
#[derive(Debug, Clone)]
pub struct Drift {
    /// What differs; empty when nothing does.
    pub differences: Vec<Difference>,
    /// How many resources were compared.
    pub compared: usize,
}

/// The create body of a node with its slots filled, for comparison.
pub(crate) fn planned_body(state: &OperationState, node: &Node) -> Option<Value> {
    let id_of = |key: &str| state.facts.id_of(key);
    let request = node.create.as_ref()?.resolve(None, &id_of).ok()?;
    serde_json::from_slice(&request.body).ok()
}

impl Engine {
    /// Compares every recorded resource of an environment with the cloud and
    /// records what differs. Nothing is repaired: that takes a plan.
    ///
    /// # Errors
    /// When something cannot be observed: then nothing is concluded.
    pub async fn drift(&self, name: &EnvironmentName) -> Result<Drift, EngineError> {
        let environment = self.environment(name).await?;
        let provision = environment.provision().ok_or_else(|| EngineError::NoEnvironment(name.clone()))?;
        self.check_account(&provision.plan.zone).await?;
        let mut lists: BTreeMap<(Kind, Zone), Vec<Observed>> = BTreeMap::new();
        let mut differences = Vec::new();
        let recorded = environment.recorded();
        for item in &recorded {
            let node = &item.node;
            let place = (node.kind, node.zone.clone());
            if !lists.contains_key(&place) {
                let listed = observe::list(&self.parts().client, node.kind, &node.zone).await?;
                lists.insert(place.clone(), listed);
            }
            let listed = lists.get(&place).is_some_and(|all| all.iter().any(|found| found.id == item.id));
            differences.extend(self.differences_of(provision, node, &item.id, listed).await?);
        }
        let event = Event::DriftObserved { differences: differences.clone() };
        self.append(&Condition::default(), vec![self.entry(Some(name), None, event)]).await?;
        Ok(Drift { differences, compared: recorded.len() })
    }

    async fn differences_of(
        &self,
        provision: &OperationState,
        node: &Node,
        id: &ResourceId,
        listed: bool,
    ) -> Result<Vec<Difference>, ObserveError> {
        let presence = |observed: &str| {
            vec![Difference {
                node: node.key.clone(),
                field: "presence".into(),
                planned: "ready".into(),
                observed: observed.into(),
            }]
        };
        if planted(Mutant::DriftBlind) {
            return Ok(Vec::new());
        }
        if !listed {
            return Ok(presence("absent"));
        }
        let behaviour = exokit_kinds::of(node.kind);
        let parent = behaviour.parent.and_then(|kind| {
            let parent = provision.plan.graph.nodes().iter().find(|other| other.kind == kind)?;
            provision.facts.get(&parent.key)?.id().cloned()
        });
        let seen = observe::get(&self.parts().client, node.kind, id, parent.as_ref(), &node.zone).await?;
        let Some(observed) = seen else { return Ok(presence("absent")) };
        if matches!(observed.lifecycle, Lifecycle::Failed | Lifecycle::Deleting) {
            return Ok(presence(if observed.lifecycle == Lifecycle::Failed {
                "in error"
            } else {
                "being removed"
            }));
        }
        let Some(planned) = planned_body(provision, node) else { return Ok(Vec::new()) };
        Ok(behaviour.compare(&node.key, &planned, &observed))
    }
}
