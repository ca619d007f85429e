//! Following an accepted create request until the resource is ready or has
//! failed. The resource is trusted more than the cloud's operation: an
//! operation can stay pending for ever while the resource is there.

use std::time::Duration;

use exokit_cloud::poll::poll_delay;
use exokit_kinds::{Lifecycle, Observed, mark};
use exokit_model::event::Event;
use exokit_model::graph::Node;
use exokit_model::ids::{NodeKey, ResourceId};
use jiff::Timestamp;

use crate::observe::{self, CloudOperation};
use crate::run::{Run, StepEnd};
use crate::steps::{Patience, node_of, parent_of, pause};

/// What one look showed.
enum Look {
    Pending,
    Ready(ResourceId),
    Failed(Option<ResourceId>, String),
}

pub(crate) async fn run(
    run: &Run<'_>,
    key: &NodeKey,
    id: Option<ResourceId>,
    cloud_operation: Option<String>,
    since: Timestamp,
) -> Result<(), StepEnd> {
    let node = node_of(run, key)?;
    let timing = run.engine.parts().timing;
    let predicted = timing.scaled(Duration::from_secs(u64::from(node.predicted_seconds)));
    let mut follow = Follow { run, node: &node, id, cloud_operation, patience: Patience::default() };
    let mut missing_since = None;
    loop {
        let elapsed = Duration::try_from(run.engine.now().duration_since(since)).unwrap_or_default();
        let look = match elapsed >= timing.ready_max {
            true => Look::Failed(follow.id.clone(), "it did not become ready in time".to_owned()),
            false => follow.look(elapsed > predicted * 3, &mut missing_since).await?,
        };
        let event = match look {
            Look::Pending => {
                pause(poll_delay(elapsed, predicted)).await;
                continue;
            }
            Look::Ready(id) => Event::ResourceReady { node: key.clone(), id },
            Look::Failed(id, reason) => Event::ResourceFailed { node: key.clone(), id, reason },
        };
        return Ok(run.record(vec![event]).await?);
    }
}

struct Follow<'a, 'r> {
    run: &'a Run<'r>,
    node: &'a Node,
    id: Option<ResourceId>,
    cloud_operation: Option<String>,
    patience: Patience,
}

impl Follow<'_, '_> {
    /// Looks at the operation while there is one to look at, then at the
    /// resource; when the operation is overdue, at both.
    async fn look(&mut self, overdue: bool, missing_since: &mut Option<Timestamp>) -> Result<Look, StepEnd> {
        let watch_only = exokit_kinds::of(self.node.kind).watch_resource();
        if let (Some(operation), false) = (self.cloud_operation.clone(), watch_only) {
            let client = &self.run.engine.parts().client;
            let seen = observe::operation(client, &operation, &self.node.zone).await;
            match self.patience.ask(seen).await? {
                None => return Ok(Look::Pending),
                Some(CloudOperation::Pending) if !overdue => return Ok(Look::Pending),
                Some(CloudOperation::Pending) => {}
                Some(CloudOperation::Failure(reason)) => return self.failed(reason).await,
                Some(CloudOperation::Success | CloudOperation::Unknown) => self.cloud_operation = None,
            }
        }
        let Some(observed) = self.resource().await? else { return Ok(self.missing(missing_since)) };
        *missing_since = None;
        Ok(match observed.lifecycle {
            Lifecycle::Ready => Look::Ready(observed.id),
            Lifecycle::Pending => Look::Pending,
            Lifecycle::Failed => Look::Failed(Some(observed.id), "it is in an error state".to_owned()),
            Lifecycle::Deleting => Look::Failed(Some(observed.id), "somebody removes it".to_owned()),
        })
    }

    /// The resource, by id or, while that is not known, by its mark.
    async fn resource(&mut self) -> Result<Option<Observed>, StepEnd> {
        let client = &self.run.engine.parts().client;
        let (kind, zone) = (self.node.kind, &self.node.zone);
        match &self.id {
            Some(id) => {
                let parent = parent_of(self.run, self.node);
                let seen = observe::get(client, kind, id, parent.as_ref(), zone).await;
                Ok(self.patience.ask(seen).await?.flatten())
            }
            None => {
                let Some(token) = &self.node.token else { return Ok(None) };
                let seen = observe::list(client, kind, zone).await;
                let listed = self.patience.ask(seen).await?.unwrap_or_default();
                Ok(listed.into_iter().find(|found| mark::carries(&found.marks, token)))
            }
        }
    }

    /// Not there, although the request was accepted: the cloud may lag, or
    /// somebody removed it.
    fn missing(&self, missing_since: &mut Option<Timestamp>) -> Look {
        let now = self.run.engine.now();
        let since = *missing_since.get_or_insert(now);
        let timing = self.run.engine.parts().timing;
        let patient = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        match self.cloud_operation.is_none() && patient > timing.scaled(timing.list_lag) {
            true => Look::Failed(None, "it was accepted but is not there".to_owned()),
            false => Look::Pending,
        }
    }

    /// The operation failed. Something may exist all the same.
    async fn failed(&mut self, reason: String) -> Result<Look, StepEnd> {
        let left = self.resource().await?;
        Ok(Look::Failed(left.map(|observed| observed.id), reason))
    }
}
