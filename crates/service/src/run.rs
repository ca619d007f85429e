//! Running operations for a caller that follows them, where no worker does.

use std::time::Duration;

use exokit_model::ids::OperationId;
use exokit_model::phase::Phase;
use exokit_model::plan::Action;
use exokit_wire::failure::Failure;

use crate::explain::{Doing as _, explained};
use crate::service::Service;
use crate::worker::is_held;

/// Pause between two attempts to run an operation that lacks votes, or that
/// another process runs.
const POLL: Duration = Duration::from_millis(250);

impl Service {
    /// Runs one operation until it ends or needs a human. Waits for its votes,
    /// and while another process runs it.
    ///
    /// # Errors
    /// When it cannot be run. It goes on from the ledger when it is run again.
    pub async fn run(&self, id: &OperationId) -> Result<(), Failure> {
        loop {
            let operation = self.operation(id).await?;
            let waits = operation.phase == Phase::AwaitingApproval && self.still(&operation).await?.is_some();
            if !waits && operation.plan.action == Action::Access {
                return Ok(());
            }
            if !waits {
                match self.engine().run(id).await {
                    Ok(_) => return Ok(()),
                    Err(error) if is_held(&error) => {}
                    // A plan that is rejected at its start has ended.
                    Err(_) if self.operation(id).await?.phase.is_terminal() => return Ok(()),
                    Err(error) => {
                        let verb = match operation.plan.action {
                            Action::Provision => "making",
                            Action::Teardown => "removing",
                            Action::Extend => "extending",
                            Action::Access => "giving access to",
                        };
                        return Err(explained(&error, verb, &operation.plan.environment));
                    }
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Warns of environments that expire soon, and proposes the removal of those
    /// that have expired. Returns what failed; all environments are tried.
    pub async fn expire(&self) -> Vec<Failure> {
        let mut failed = Vec::new();
        let warned = self.engine().warn().await.doing("looking for", "environments that expire soon");
        failed.extend(warned.err());
        match self.engine().expired().await.doing("looking for", "expired environments") {
            Ok(expired) => {
                for view in expired {
                    if let Err(error) = self.engine().expire_one(&view).await {
                        failed.push(explained(&error, "planning the removal of", &view.environment));
                    }
                }
            }
            Err(failure) => failed.push(failure),
        }
        failed
    }
}
