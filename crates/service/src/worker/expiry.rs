//! The end of environments: warnings before it, and the teardown of what has
//! expired. It asks the cloud, so it goes on beside the rounds, and what fails
//! for one environment holds up no other.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use exokit_engine::error::EngineError;
use exokit_model::ids::EnvironmentName;
use exokit_wire::failure::Failure;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::event::{POLL_MAX, WorkerEvent};
use crate::explain::{Doing as _, explained};
use crate::service::Service;

/// How long an environment rests whose teardown could not be planned: each
/// attempt asks the cloud for all that is in it.
const REST: Duration = Duration::from_secs(30);

/// Looks for environments that are near their end, or past it.
pub(super) struct Expiry {
    service: Service,
    /// What failed, and when it is tried again.
    resting: BTreeMap<EnvironmentName, Instant>,
}

impl Expiry {
    pub(super) fn new(service: Service) -> Self {
        Self { service, resting: BTreeMap::new() }
    }

    /// Looks for ever, and tells what it notices.
    pub(super) async fn run(mut self, tell: UnboundedSender<WorkerEvent>) -> Infallible {
        loop {
            for noticed in [self.ending().await, self.expired().await].into_iter().flatten() {
                // Whoever listens drops this future before it stops listening.
                let _ = tell.send(noticed);
            }
            tokio::time::sleep(POLL_MAX).await;
        }
    }

    async fn ending(&self) -> Vec<WorkerEvent> {
        match self.service.engine().warn().await.doing("looking for", "environments that expire soon") {
            Ok(names) => names.into_iter().map(WorkerEvent::Ending).collect(),
            Err(failure) => vec![WorkerEvent::Blind(failure)],
        }
    }

    async fn expired(&mut self) -> Vec<WorkerEvent> {
        let engine = self.service.engine().clone();
        let expired = match engine.expired().await.doing("looking for", "expired environments") {
            Ok(expired) => expired,
            Err(failure) => return vec![WorkerEvent::Blind(failure)],
        };
        let mut noticed = Vec::new();
        for view in expired {
            let name = &view.environment;
            if self.resting.get(name).is_some_and(|until| *until > Instant::now()) {
                continue;
            }
            self.resting.remove(name);
            match engine.expire_one(&view).await {
                Ok(None) => {}
                Ok(Some(plan)) => noticed.push(WorkerEvent::Expired(Box::new(plan))),
                Err(error) => noticed.push(WorkerEvent::Blind(self.rest(name, &error))),
            }
        }
        noticed
    }

    fn rest(&mut self, name: &EnvironmentName, error: &EngineError) -> Failure {
        self.resting.insert(name.clone(), Instant::now() + REST);
        explained(error, "planning the teardown of what has expired,", name.as_str())
    }
}
