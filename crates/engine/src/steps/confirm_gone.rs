//! Following an accepted delete request until the resource is gone.

use std::time::Duration;

use exokit_core::forecast::Forecast;
use exokit_kinds::Lifecycle;
use exokit_model::event::Event;
use exokit_model::ids::{NodeKey, ResourceId};

use crate::observe::{self, CloudOperation};
use crate::run::{Run, StepEnd};
use crate::steps::{Patience, node_of, parent_of, pause};

pub(crate) async fn run(
    run: &Run<'_>,
    key: &NodeKey,
    id: &ResourceId,
    cloud_operation: Option<String>,
) -> Result<(), StepEnd> {
    let node = node_of(run, key)?;
    let timing = run.engine.parts().timing;
    let client = &run.engine.parts().client.patient();
    let gone_seconds = exokit_kinds::of(node.kind).predicted.gone_seconds;
    let forecast = Forecast::guess(timing.scaled(Duration::from_secs(u64::from(gone_seconds))));
    let started = tokio::time::Instant::now();
    let mut patience = Patience::default();
    loop {
        let parent = parent_of(run, &node);
        let seen = observe::get(client, node.kind, id, parent.as_ref(), &node.zone).await;
        let still_there = match patience.ask(seen).await? {
            None => continue,
            Some(Some(observed)) => observed,
            Some(None) => {
                return Ok(run
                    .record(vec![Event::ResourceGone { node: key.clone(), id: id.clone() }])
                    .await?);
            }
        };
        if let Some(reason) =
            refused_after_all(run, &node.zone, cloud_operation.as_deref(), still_there.lifecycle).await
        {
            return refuse(run, key, id, reason).await;
        }
        if started.elapsed() > timing.gone_max {
            return refuse(run, key, id, "it did not go away in time".to_owned()).await;
        }
        pause(forecast.next_look(started.elapsed())).await;
    }
}

/// Why the resource is still there for good: the cloud accepted the request,
/// but its operation failed.
async fn refused_after_all(
    run: &Run<'_>,
    zone: &exokit_model::ids::Zone,
    operation: Option<&str>,
    lifecycle: Lifecycle,
) -> Option<String> {
    let operation = operation?;
    match observe::operation(&run.engine.parts().client.patient(), operation, zone).await {
        Ok(CloudOperation::Failure(reason)) if lifecycle != Lifecycle::Deleting => Some(reason),
        _ => None,
    }
}

async fn refuse(run: &Run<'_>, key: &NodeKey, id: &ResourceId, message: String) -> Result<(), StepEnd> {
    let event =
        Event::DeleteRefused { node: key.clone(), id: id.clone(), status: 0, message: message.into() };
    Ok(run.record(vec![event]).await?)
}
