//! Following what the agent does, by the events that it records.

use std::time::Duration;

use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_engine::engine::Watcher as _;
use exokit_model::canonical::Digest;
use exokit_model::event::{Entry, Record};
use exokit_model::ids::OperationId;
use exokit_model::plan::Plan;
use exokit_wire::event::EventMessage;
use exokit_wire::reply::OperationReply;
use exokit_wire::request::{EventsRequest, ShowPlanRequest};
use serde_json::Value;
use tokio::time::Instant;

use super::Agent;
use crate::error::CliError;
use crate::exit::Exit;
use crate::operate::{detached, interrupted, report};
use crate::progress::Progress;

/// How often the agent is asked for news.
const LOOK: Duration = Duration::from_millis(250);

/// Longest wait for a plan that has its votes to begin. The agent knows better
/// whether they suffice; then it begins within a round.
const BEGIN: Duration = Duration::from_secs(10);

impl Agent<'_> {
    /// Follows an operation until it ends, parks or is detached from; without
    /// `unlimited` only for a while when it does not begin.
    pub(super) async fn follow(
        &self,
        plan: &Plan,
        id: &OperationId,
        unlimited: bool,
    ) -> Result<Exit, CliError> {
        let progress = Progress::new(&self.settings.output);
        progress.begin(plan, &[], self.speed);
        let followed = tokio::select! {
            biased;
            () = interrupted() => {
                progress.close();
                return Ok(detached(&plan.environment));
            }
            followed = self.to_the_end(plan, id, unlimited, &progress) => followed,
        };
        progress.end(id);
        report(self.settings, &followed?)
    }

    /// Where it stands.
    async fn now(&self, plan: &Plan) -> Result<OperationReply, CliError> {
        let target = plan.plan_id.to_string();
        let reply = self.client.look(&ShowPlanRequest { plan: target.clone() }).await?;
        Ok(self.consistent(&target, reply)?.operation)
    }

    async fn to_the_end(
        &self,
        plan: &Plan,
        id: &OperationId,
        unlimited: bool,
        progress: &Progress,
    ) -> Result<OperationReply, CliError> {
        let (begun, mut after) = (Instant::now(), 0);
        let mut last = None;
        loop {
            let request = EventsRequest { after, environment: None, operation: Some(id.clone()) };
            let page = self.client.look(&request).await?;
            page.events.iter().filter_map(record).for_each(|record| progress.recorded(&record));
            let news = !page.events.is_empty();
            let more = page.next > after && page.next < page.head;
            after = after.max(page.next);
            if more {
                continue;
            }
            let now = match last.take().filter(|_| !news) {
                Some(known) => known,
                None => self.now(plan).await?,
            };
            match now.phase.raw() {
                "running" | "rolling-back" => {}
                "awaiting-approval" if plan.not_after < SystemClock.now() => {
                    return Err(too_late(plan));
                }
                "awaiting-approval" if unlimited || begun.elapsed() < BEGIN => {}
                _ => return Ok(now),
            }
            last = Some(now);
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn too_late(plan: &Plan) -> CliError {
    let why = format!("it could start until {}", plan.not_after);
    CliError::new("plan-expired", "waiting for", &plan.plan_id, why, "make a new plan")
}

/// A record for those who look on. What is published of some, such as plans
/// and votes, is not the whole; those show nothing.
fn record(message: &EventMessage) -> Option<Record> {
    let event = serde_json::from_value(Value::Object(message.event.clone())).ok()?;
    let entry = Entry {
        at: message.at,
        environment: message.environment.clone(),
        operation: message.operation.clone(),
        epoch: 0,
        event,
    };
    Some(Record { seq: message.seq, prev: Digest([0; 32]), hash: message.hash, entry })
}
