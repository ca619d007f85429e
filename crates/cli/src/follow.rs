//! Following operations by the events that are recorded, until they end, park,
//! or the user detaches.

use std::time::Duration;

use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_model::event::Event;
use exokit_model::ids::OperationId;
use exokit_model::plan::Plan;
use exokit_wire::event::EventMessage;
use exokit_wire::reply::OperationReply;
use exokit_wire::request::{EventsRequest, ShowPlanRequest};
use serde_json::Value;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::interrupt::interrupted;
use crate::progress::Progress;
use crate::report::report;

/// Longest wait for a plan to start that has its votes.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest pause between two polls. While nothing is recorded, pauses grow to it.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Follows an operation to its end. A plan that does not start is followed for
/// a while only, unless `unlimited`.
pub(crate) async fn follow(
    connection: &Connection<'_>,
    plan: &Plan,
    unlimited: bool,
) -> Result<Exit, CliError> {
    let progress = Progress::new(&connection.settings.output);
    let finished = tokio::select! {
        biased;
        () = interrupted() => {
            progress.close();
            crate::output::say(&format!(
                "\nDetached. Nothing is lost: what was asked of the cloud is recorded.\nCome back with: exokit watch {}\n",
                plan.environment
            ));
            return Ok(Exit::Detached);
        }
        finished = finish(connection, plan, unlimited, &progress) => finished,
    };
    report(connection.settings, &finished?)
}

/// Runs an operation, where this process is the one that runs operations, and
/// shows it until it ends or parks. A plan that does not start is waited for
/// for a while only, unless `unlimited`.
pub(crate) async fn finish(
    connection: &Connection<'_>,
    plan: &Plan,
    unlimited: bool,
    progress: &Progress,
) -> Result<OperationReply, CliError> {
    let operation = plan.plan_id.operation();
    progress.begin(plan, connection.speed);
    let settled = tokio::select! {
        biased;
        Err(failure) = connection.client.transport.run(&operation) => Err(failure.into()),
        settled = settled(connection, plan, unlimited, progress) => settled,
    };
    progress.end(&operation);
    settled
}

/// Shows the events of an operation until it ends or parks.
async fn settled(
    connection: &Connection<'_>,
    plan: &Plan,
    unlimited: bool,
    progress: &Progress,
) -> Result<OperationReply, CliError> {
    let id = plan.plan_id.operation();
    let (begun, mut after) = (Instant::now(), 0);
    let mut last: Option<OperationReply> = None;
    let interval = connection.client.transport.poll_interval();
    let mut pause = interval;
    loop {
        let seen = after;
        let is_news = show_news(connection, &mut after, &id, progress).await?;
        let now = match last.take().filter(|_| !is_news) {
            Some(known) => known,
            None => state(connection, plan).await?,
        };
        match now.phase.raw() {
            "running" | "rolling-back" => {}
            "awaiting-approval" if plan.not_after < SystemClock.now() => return Err(too_late(plan)),
            "awaiting-approval" if unlimited || begun.elapsed() < START_TIMEOUT => {}
            _ => {
                // Events that were recorded meanwhile.
                show_news(connection, &mut after, &id, progress).await?;
                return Ok(now);
            }
        }
        last = Some(now);
        pause = if after > seen { interval } else { (pause * 2).min(PAUSE_MAX) };
        tokio::time::sleep(pause).await;
    }
}

/// Shows the events of an operation after a record. Says whether there are any
/// that may have changed its phase.
async fn show_news(
    connection: &Connection<'_>,
    after: &mut u64,
    operation: &OperationId,
    progress: &Progress,
) -> Result<bool, CliError> {
    let mut is_news = false;
    events(connection, after, Some(operation), |message, event| {
        // An event of one resource does not end the operation.
        is_news |= event.is_none_or(|event| event.node().is_none());
        if let Some(event) = event {
            progress.recorded(message, event);
        }
    })
    .await?;
    Ok(is_news)
}

async fn state(connection: &Connection<'_>, plan: &Plan) -> Result<OperationReply, CliError> {
    let target = plan.plan_id.to_string();
    let reply = connection.client.poll(&ShowPlanRequest { plan: target.clone() }).await?;
    Ok(connection.consistent(&target, reply)?.reply.operation)
}

/// Reads the events after a record, of one operation or of all, and moves the
/// record on. An event of which only a part is published comes without content.
pub(crate) async fn events(
    connection: &Connection<'_>,
    after: &mut u64,
    operation: Option<&OperationId>,
    mut show: impl FnMut(&EventMessage, Option<&Event>),
) -> Result<(), CliError> {
    loop {
        let request = EventsRequest { after: *after, environment: None, operation: operation.cloned() };
        let page = connection.client.poll(&request).await?;
        for message in &page.events {
            show(message, serde_json::from_value(Value::Object(message.event.clone())).ok().as_ref());
        }
        // Records that came after the head was read are in the page, too.
        let next = page.events.last().map_or(page.next, |last| last.seq.max(page.next));
        let is_last = next <= *after || next >= page.head;
        *after = next.max(*after);
        if is_last {
            return Ok(());
        }
    }
}

fn too_late(plan: &Plan) -> CliError {
    let why = format!("it could start until {}", plan.not_after);
    CliError::new("plan-expired", "waiting for", &plan.plan_id, why, "make a new plan")
}
