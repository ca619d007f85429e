//! Following an accepted create request until the resource is ready or has
//! failed. The resource is trusted more than the cloud's operation: an
//! operation can stay pending for ever while the resource is there.

use std::time::Duration;

use exokit_kinds::{Lifecycle, Observed, ownership};
use exokit_model::event::Event;
use exokit_model::graph::Node;
use exokit_model::ids::ResourceId;
use exokit_model::ready_time::ReadyTime;
use exokit_mutant::{Mutant, planted};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::observe::{self, CloudOperation};
use crate::run::{Run, StepEnd};
use crate::steps::{Patience, parent_of, pause};
use crate::timing::Timing;

/// Who watches from so soon after the request was accepted can say how long it
/// took. Later the time of day is part of the sum, and that may have been set.
const PROMPT: Duration = Duration::from_secs(1);

/// What one look showed.
enum Look {
    Pending,
    Ready(ResourceId),
    Failed(Option<ResourceId>, String),
}

pub(crate) async fn run(
    run: &Run<'_>,
    node: &Node,
    id: Option<ResourceId>,
    cloud_operation: Option<String>,
    since: Timestamp,
) -> Result<(), StepEnd> {
    let timing = run.engine.parts().timing;
    let forecast = run.forecast(node);
    let mut follow = Follow { run, node, id, cloud_operation, patience: Patience::default() };
    let mut missing_since = None;
    // The time of day may be set while this waits, so it only says how far
    // along the resource was at the beginning; limits are measured from there.
    let before = Duration::try_from(run.engine.now().duration_since(since)).unwrap_or_default();
    let started = Instant::now();
    let elapsed = || before.saturating_add(started.elapsed());
    let mut pending = None;
    pause(forecast.first_poll(before)).await;
    loop {
        let asked = elapsed();
        // Judged before the look: calls may have to wait, and what is ready by
        // then is not late.
        let is_last = started.elapsed() >= timing.ready_max;
        let look = follow.look(forecast.is_overdue(asked), &mut missing_since).await?;
        let event = match look {
            Look::Pending if is_last => {
                let reason = "it did not become ready in time".into();
                Event::ResourceFailed { node: node.key.clone(), id: follow.id.clone(), reason }
            }
            Look::Pending => {
                pending = Some(asked);
                pause(forecast.next_poll(elapsed())).await;
                continue;
            }
            Look::Ready(id) => {
                let watched = pending.filter(|_| before < PROMPT);
                let time = watched.and_then(|pending| timed(node, timing, pending, elapsed()));
                Event::ResourceReady { node: node.key.clone(), id, time }
            }
            Look::Failed(id, reason) => {
                Event::ResourceFailed { node: node.key.clone(), id, reason: reason.into() }
            }
        };
        return Ok(run.record(event).await?);
    }
}

/// The time that a resource took, unless the two looks between which it became
/// ready lie so far apart that they say little.
fn timed(node: &Node, timing: Timing, pending: Duration, ready: Duration) -> Option<ReadyTime> {
    let (after, by) = (timing.of_cloud(pending), timing.of_cloud(ready));
    let close = (by / 10).max(Duration::from_secs(1));
    let millis = |time: Duration| u64::try_from(time.as_millis()).ok();
    let time =
        ReadyTime { kind: node.kind, zone: node.zone.clone(), after_ms: millis(after)?, by_ms: millis(by)? };
    (by.saturating_sub(after) <= close).then_some(time)
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
    async fn look(&mut self, overdue: bool, missing_since: &mut Option<Instant>) -> Result<Look, StepEnd> {
        let watch_only = exokit_kinds::of(self.node.kind).watch_resource;
        if let (Some(operation), false) = (self.cloud_operation.clone(), watch_only) {
            let client = &self.run.engine.parts().client.patient();
            let seen = observe::operation(client, &operation, &self.node.zone).await;
            match self.patience.ask(seen).await? {
                None => return Ok(Look::Pending),
                Some(CloudOperation::Pending) if !overdue => return Ok(Look::Pending),
                Some(CloudOperation::Pending) => {}
                Some(CloudOperation::Failure(reason)) => return self.failed(reason, missing_since).await,
                Some(CloudOperation::Success | CloudOperation::Unknown) => self.cloud_operation = None,
            }
        }
        // What cannot be read is not absent.
        let Some(seen) = self.resource().await? else {
            return Ok(match planted(Mutant::UnreadableIsAbsent) {
                true => Look::Failed(None, "unreadable".to_owned()),
                false => Look::Pending,
            });
        };
        let Some(observed) = seen else { return Ok(self.missing(missing_since)) };
        *missing_since = None;
        Ok(match observed.lifecycle {
            Lifecycle::Ready => Look::Ready(observed.id),
            Lifecycle::Pending => Look::Pending,
            Lifecycle::Failed => Look::Failed(Some(observed.id), "it is in an error state".to_owned()),
            Lifecycle::Deleting => Look::Failed(Some(observed.id), "somebody removes it".to_owned()),
        })
    }

    /// The resource, by id or, while that is not known, by its mark. None when
    /// it could not be read, some none when it is not there.
    async fn resource(&mut self) -> Result<Option<Option<Observed>>, StepEnd> {
        let client = &self.run.engine.parts().client.patient();
        let (kind, zone) = (self.node.kind, &self.node.zone);
        match (&self.id, &self.node.token) {
            (Some(id), _) => {
                let seen = self.run.read(self.node, id).await?;
                self.patience.ask(seen).await
            }
            (None, Some(token)) => {
                let parent = parent_of(self.run, self.node);
                let seen = observe::list_in(client, kind, parent.as_ref(), zone).await;
                let listed = self.patience.ask(seen).await?;
                Ok(listed.map(|all| all.into_iter().find(|found| ownership::carries(&found.marks, token))))
            }
            (None, None) => Ok(Some(None)),
        }
    }

    /// Not there, although the request was accepted: the cloud may lag, or
    /// somebody removed it.
    fn missing(&self, missing_since: &mut Option<Instant>) -> Look {
        match self.is_surely_missing(missing_since) && self.cloud_operation.is_none() {
            // Its id is kept: should it show after all, it is removed.
            true => Look::Failed(self.id.clone(), "it was accepted but is not there".to_owned()),
            false => Look::Pending,
        }
    }

    /// Whether it has not been seen for as long as lists can lag.
    fn is_surely_missing(&self, missing_since: &mut Option<Instant>) -> bool {
        let timing = self.run.engine.parts().timing;
        missing_since.get_or_insert_with(Instant::now).elapsed() > timing.scaled(timing.list_lag)
    }

    /// The operation failed. Something may exist all the same: what has an id
    /// is removed by it; what has none must have shown in no list for as long
    /// as lists can lag.
    async fn failed(&mut self, reason: String, missing_since: &mut Option<Instant>) -> Result<Look, StepEnd> {
        if self.id.is_some() {
            return Ok(Look::Failed(self.id.clone(), reason));
        }
        Ok(match self.resource().await? {
            Some(Some(left)) => Look::Failed(Some(left.id), reason),
            Some(None) if self.is_surely_missing(missing_since) => Look::Failed(None, reason),
            Some(None) | None => Look::Pending,
        })
    }
}
