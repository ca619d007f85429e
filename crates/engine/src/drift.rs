//! Drift: how the cloud differs from what was planned, with nothing executed.

use std::collections::BTreeMap;

use exokit_cloud::cluster::ClusterAccess;
use exokit_kinds::{Lifecycle, Observed};
use exokit_model::additions::ClusterObject;
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
        let mut access = None;
        for item in &recorded {
            let node = &item.node;
            if node.kind.is_kubernetes() {
                let seen = self.read_object(provision, node, &item.id, &mut access).await?;
                differences.extend(differences_from(provision, node, seen));
                continue;
            }
            let place = (node.kind, node.zone.clone());
            if !lists.contains_key(&place) {
                let listed = observe::list(&self.parts().client, node.kind, &node.zone).await?;
                lists.insert(place.clone(), listed);
            }
            let listed = lists.get(&place).is_some_and(|all| all.iter().any(|found| found.id == item.id));
            differences.extend(self.differences_of(provision, node, &item.id, listed).await?);
        }
        if let Some(cluster) = recorded.iter().find(|item| item.node.kind == Kind::SksCluster) {
            let added = self.additions(provision, &recorded).await?.unwrap_or_default();
            differences.extend(added.iter().map(|object| added_to(&cluster.node, object)));
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
        let seen = match listed {
            true => {
                let parent = parent_of(provision, node);
                observe::get(&self.parts().client, node.kind, id, parent.as_ref(), &node.zone).await?
            }
            false => None,
        };
        Ok(differences_from(provision, node, seen))
    }

    /// Reads an object inside the environment's cluster, with access that is
    /// issued for the first one.
    pub(crate) async fn read_object(
        &self,
        provision: &OperationState,
        node: &Node,
        id: &ResourceId,
        access: &mut Option<ClusterAccess>,
    ) -> Result<Option<Observed>, ObserveError> {
        let Some(cluster) = parent_of(provision, node) else { return Ok(None) };
        let Some(read) = exokit_kinds::kubernetes::get(node, &cluster) else { return Ok(None) };
        let access = match access {
            Some(access) => access,
            None => match self.read_access(&node.zone, &cluster).await? {
                Some(issued) => access.insert(issued),
                None => return Ok(None),
            },
        };
        observe::object(&self.parts().client, access, node, Some(id), &read).await
    }
}

/// An object that a user added, as a difference of its cluster.
fn added_to(cluster: &Node, object: &ClusterObject) -> Difference {
    let place = match object.namespace.raw() {
        "" => object.name.raw().to_owned(),
        namespace => format!("{namespace}/{}", object.name.raw()),
    };
    Difference {
        node: cluster.key.clone(),
        field: format!("{} {place}", object.kind).as_str().into(),
        planned: "absent".into(),
        observed: "added by a user of the cluster".into(),
    }
}

/// Id of the resource that a node's resource is part of.
fn parent_of(provision: &OperationState, node: &Node) -> Option<ResourceId> {
    let kind = exokit_kinds::of(node.kind).parent?;
    let parent = provision.plan.graph.nodes().iter().find(|other| other.kind == kind)?;
    provision.facts.get(&parent.key)?.id().cloned()
}

fn differences_from(provision: &OperationState, node: &Node, seen: Option<Observed>) -> Vec<Difference> {
    if planted(Mutant::DriftBlind) {
        return Vec::new();
    }
    let presence = |observed: &str| {
        vec![Difference {
            node: node.key.clone(),
            field: "presence".into(),
            planned: "ready".into(),
            observed: observed.into(),
        }]
    };
    let Some(observed) = seen else { return presence("absent") };
    match observed.lifecycle {
        Lifecycle::Failed => presence("in error"),
        Lifecycle::Deleting => presence("being removed"),
        Lifecycle::Pending | Lifecycle::Ready => match planned_body(provision, node) {
            Some(planned) => exokit_kinds::of(node.kind).compare(&node.key, &planned, &observed),
            None => Vec::new(),
        },
    }
}
