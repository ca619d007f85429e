//! Sending a delete request. Deleting by id can be repeated, so a lost reply
//! is simply a reason to ask again.

use std::time::Duration;

use exokit_approval::grant::Intent;
use exokit_cloud::outcome::MutationError;
use exokit_cloud::reply::Reply;
use exokit_core::forecast::Forecast;
use exokit_model::event::Event;
use exokit_model::graph::Node;
use exokit_model::ids::ResourceId;
use serde_json::Value;

use crate::observe::{self, CloudOperation};
use crate::run::{Run, StepEnd, refused};
use crate::steps::{Patience, chain, delete_refused, pause, permit, send, unplanned_resources};

pub(crate) async fn run(
    run: &Run<'_>,
    node: &Node,
    id: &ResourceId,
    step: u32,
    refusals: u32,
) -> Result<(), StepEnd> {
    pause(run.engine.parts().timing.delete_backoff(refusals)).await;
    unplanned_resources::check(run, node, id).await?;
    let which = usize::try_from(step).unwrap_or(usize::MAX);
    let permitted = match permit(run, node, Intent::Delete { step: which }).await? {
        Ok(permitted) => permitted,
        Err(refusal) => return refused(refusal),
    };
    let intent = Event::DeleteIntended {
        node: node.key.clone(),
        id: id.clone(),
        step,
        request: permitted.request.digest(),
        expires_at: permitted.expires,
    };
    let event = match send(run, permitted, intent).await? {
        Ok(reply) => accepted(run, node, id, step, &reply).await?,
        Err(error) => not_accepted(run, node, id, &error).await?,
    };
    Ok(run.record(event).await?)
}

/// Accepted. A request that only prepares the removal must have taken effect
/// before the next one is sent.
async fn accepted(
    run: &Run<'_>,
    node: &Node,
    id: &ResourceId,
    step: u32,
    reply: &Reply,
) -> Result<Event, StepEnd> {
    let cloud_operation = reply.value().get("id").and_then(Value::as_str).map(str::to_owned);
    let last = usize::try_from(step).unwrap_or(usize::MAX) + 1 >= node.delete.len();
    if let (Some(operation), false) = (&cloud_operation, last)
        && let Some(reason) = wait(run, node, operation).await?
    {
        return Ok(delete_refused(node, id, 0, reason));
    }
    Ok(Event::DeleteAccepted { node: node.key.clone(), id: id.clone(), step, cloud_operation })
}

/// Waits for a cloud operation; the reason, if it failed.
async fn wait(run: &Run<'_>, node: &Node, operation: &str) -> Result<Option<String>, StepEnd> {
    let timing = run.engine.parts().timing;
    let client = &run.engine.parts().client.patient();
    let forecast = Forecast::guess(timing.scaled(Duration::from_secs(2)));
    let started = tokio::time::Instant::now();
    let mut patience = Patience::default();
    while started.elapsed() < timing.gone_max {
        let seen = observe::operation(client, operation, &node.zone).await;
        match patience.ask(seen).await? {
            Some(CloudOperation::Success | CloudOperation::Unknown) => return Ok(None),
            Some(CloudOperation::Failure(reason)) => return Ok(Some(reason)),
            Some(CloudOperation::Pending) | None => {}
        }
        pause(forecast.next_poll(started.elapsed())).await;
    }
    Ok(Some("the cloud's operation did not end in time".to_owned()))
}

/// Refused. That there is no such resource proves that it is gone only if a
/// look with the same credentials says so too.
async fn not_accepted(
    run: &Run<'_>,
    node: &Node,
    id: &ResourceId,
    error: &MutationError,
) -> Result<Event, StepEnd> {
    let (status, message) = match error {
        MutationError::Refused { status, message, .. } => (*status, message.clone()),
        MutationError::NotSent { .. } | MutationError::InDoubt { .. } => (0, chain(error)),
    };
    // An object of the same name that is another one is refused as a conflict.
    if status == 404 || (status == 409 && node.kind.is_kubernetes()) {
        let seen = run.read(node, id).await?;
        if let Some(None) = Patience::default().ask(seen).await? {
            return Ok(Event::ResourceGone { node: node.key.clone(), id: id.clone() });
        }
    }
    Ok(delete_refused(node, id, status, message))
}
