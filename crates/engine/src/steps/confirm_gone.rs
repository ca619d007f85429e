//! Following an accepted delete request until the resource is gone.

use std::time::Duration;

use exokit_core::forecast::Forecast;
use exokit_kinds::Lifecycle;
use exokit_model::event::Event;
use exokit_model::graph::Node;
use exokit_model::ids::{ResourceId, Zone};

use crate::observe::{self, CloudOperation};
use crate::run::{Run, StepEnd};
use crate::steps::{Patience, delete_refused, pause};

pub(crate) async fn run(
    run: &Run<'_>,
    node: &Node,
    id: &ResourceId,
    cloud_operation: Option<String>,
) -> Result<(), StepEnd> {
    let timing = run.engine.parts().timing;
    let gone_seconds = exokit_kinds::of(node.kind).predicted.gone_seconds;
    let forecast = Forecast::guess(timing.scaled(Duration::from_secs(u64::from(gone_seconds))));
    let started = tokio::time::Instant::now();
    let mut patience = Patience::default();
    loop {
        let seen = run.read(node, id).await?;
        let still_there = match patience.ask(seen).await? {
            None => continue,
            Some(Some(observed)) => observed,
            Some(None) => {
                return Ok(run
                    .record(Event::ResourceGone { node: node.key.clone(), id: id.clone() })
                    .await?);
            }
        };
        let mut reason =
            refused_after_all(run, &node.zone, cloud_operation.as_deref(), still_there.lifecycle).await;
        if started.elapsed() > timing.gone_max {
            reason.get_or_insert_with(|| "it did not go away in time".to_owned());
        }
        if let Some(reason) = reason {
            return Ok(run.record(delete_refused(node, id, 0, reason)).await?);
        }
        pause(forecast.next_poll(started.elapsed())).await;
    }
}

/// Why the resource is still there for good: the cloud accepted the request,
/// but its operation failed.
async fn refused_after_all(
    run: &Run<'_>,
    zone: &Zone,
    operation: Option<&str>,
    lifecycle: Lifecycle,
) -> Option<String> {
    let operation = operation?;
    match observe::operation(&run.engine.parts().client.patient(), operation, zone).await {
        Ok(CloudOperation::Failure(reason)) if lifecycle != Lifecycle::Deleting => Some(reason),
        _ => None,
    }
}
