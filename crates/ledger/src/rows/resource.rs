//! One resource of an environment.

use exokit_model::event::Event;
use exokit_model::graph::Node;
use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::kind::Kind;
use serde::{Deserialize, Serialize};

/// One resource of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceView {
    /// Its key in the plan.
    pub key: NodeKey,
    /// What it is.
    pub kind: Kind,
    /// Its id in the cloud, once known.
    pub id: Option<ResourceId>,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: ResourceState,
}

/// Where a resource stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceState {
    /// It is planned and was not asked for yet, or was refused.
    Planned,
    /// It was asked for.
    Creating,
    /// It was asked for and nobody knows whether it exists.
    InDoubt,
    /// It exists and is usable.
    Ready,
    /// The cloud could not make it.
    Failed,
    /// It is being removed.
    Deleting,
    /// It is gone.
    Gone,
}

impl ResourceView {
    pub(super) fn of(node: &Node) -> Self {
        Self {
            key: node.key.clone(),
            kind: node.kind,
            id: node.existing.clone(),
            name: node.name.clone(),
            state: match node.existing {
                Some(_) => ResourceState::Ready,
                None => ResourceState::Planned,
            },
        }
    }

    pub(super) fn apply(&mut self, event: &Event) {
        let (state, id) = match event {
            Event::CreateIntended { .. } => (ResourceState::Creating, None),
            Event::CreateAccepted { id, .. } => (ResourceState::Creating, id.clone()),
            Event::CreateAdopted { id, .. } => (ResourceState::Creating, Some(id.clone())),
            Event::CreateRefused { .. } | Event::CreateAbsent { .. } => (ResourceState::Planned, None),
            Event::ResourceReady { id, .. } => (ResourceState::Ready, Some(id.clone())),
            Event::ResourceFailed { id, .. } => (ResourceState::Failed, id.clone()),
            Event::CreateInDoubt { .. } => (ResourceState::InDoubt, self.id.take()),
            Event::DeleteIntended { .. } | Event::DeleteAccepted { .. } | Event::DeleteRefused { .. } => {
                (ResourceState::Deleting, self.id.take())
            }
            Event::ResourceGone { .. } => (ResourceState::Gone, self.id.take()),
            _ => return,
        };
        (self.state, self.id) = (state, id);
    }
}
