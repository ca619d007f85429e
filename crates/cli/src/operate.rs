//! Running operations in the foreground: run, follow, wait, detach.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use exokit_engine::engine::Watcher as _;
use exokit_engine::error::EngineError;
use exokit_ledger::{Filter, LedgerError, OperationView};
use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use exokit_service::views;
use exokit_text::operation;
use exokit_wire::reply::OperationReply;
use jiff::Timestamp;
use serde_json::Value;

use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::progress::Progress;
use crate::session::{Reach, Session};
use crate::settings::Settings;

/// How often the ledger is looked at for what others wrote.
const LOOK: Duration = Duration::from_millis(250);

/// A session whose operations are shown.
pub(crate) struct Operator<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) session: Session,
    pub(crate) progress: Arc<Progress>,
}

/// How work in the foreground ended.
pub(crate) enum Ended {
    /// It ended by itself.
    Done,
    /// Ctrl-C.
    Detached,
}

impl<'s> Operator<'s> {
    /// Opens what operations need; each has at most so many steps under way at
    /// once, without a limit as many as its plan allows.
    pub(crate) async fn open(
        settings: &'s Settings,
        steps_at_once: Option<NonZeroUsize>,
    ) -> Result<Self, CliError> {
        let progress = Progress::new(&settings.output);
        let session = Session::watched(settings, Reach::Cloud, steps_at_once, progress.clone()).await?;
        Ok(Self { settings, session, progress })
    }

    /// One operation in full.
    pub(crate) async fn view(&self, id: &OperationId) -> Result<OperationView, CliError> {
        self.session.operation(id).await?.ok_or_else(|| {
            CliError::new("no-plan", "finding", id.plan(), "the ledger has no such plan", "see `exokit show`")
        })
    }

    /// Records a plan, then runs it if it needs no approval. With `wait` it
    /// waits for the approvals, otherwise it ends with exit code 3.
    pub(crate) async fn propose(&self, plan: &Plan, wait: bool) -> Result<Exit, CliError> {
        let name = &plan.environment;
        let state = self.session.engine.propose(plan, None).await.doing("recording the plan for", name)?;
        self.start(&state.operation, wait).await
    }

    /// Starts a recorded plan if it is approved, or takes it up again.
    pub(crate) async fn start(&self, id: &OperationId, wait: bool) -> Result<Exit, CliError> {
        let view = self.view(id).await?;
        let approved = self.approved(&view).await?;
        let report = |view: &OperationView| self.report(view);
        if view.phase == Phase::AwaitingApproval && !approved {
            let roster = self.session.engine.roster().await.doing("reading", "the roster")?;
            self.settings.output.note(&operation::how_to_approve(&view.plan, &roster));
            if !wait {
                return report(&view);
            }
            match self.detachable(self.wait_for_votes(id)).await? {
                (Ended::Detached, _) => return Ok(self.detached(&view.plan.environment)),
                (Ended::Done, _) => {}
            }
        }
        self.run_to_the_end(id).await
    }

    /// Runs or follows an operation until it ends, parks or is detached from.
    pub(crate) async fn run_to_the_end(&self, id: &OperationId) -> Result<Exit, CliError> {
        let name = self.view(id).await?.plan.environment.clone();
        match self.detachable(self.run(id)).await? {
            (Ended::Detached, _) => Ok(self.detached(&name)),
            (Ended::Done, _) => self.report(&self.view(id).await?),
        }
    }

    /// Runs `work` until it ends or Ctrl-C comes. Work that is dropped goes on
    /// from the ledger when somebody takes it up.
    pub(crate) async fn detachable<T>(
        &self,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<(Ended, Option<T>), CliError> {
        tokio::select! {
            biased;
            () = interrupted() => {
                self.progress.close();
                Ok((Ended::Detached, None))
            }
            result = work => Ok((Ended::Done, Some(result?))),
        }
    }

    fn detached(&self, name: &EnvironmentName) -> Exit {
        detached(name)
    }

    /// Runs an operation; while another process holds it, follows that.
    pub(crate) async fn run(&self, id: &OperationId) -> Result<(), CliError> {
        let engine = &self.session.engine;
        let records = self.records(id, 0).await?;
        let view = self.view(id).await?;
        self.progress.begin(&view.plan, &records, self.session.speed);
        let mut seen = records.last().map_or(0, |record| record.seq);
        let result = loop {
            match engine.run(id).await {
                Ok(_) => break Ok(()),
                Err(EngineError::Ledger(LedgerError::LeaseHeld { .. } | LedgerError::Fenced { .. })) => {
                    tokio::time::sleep(LOOK).await;
                    for record in self.records(id, seen).await? {
                        self.progress.recorded(&record);
                        seen = record.seq;
                    }
                }
                Err(error) => break Err(error),
            }
        };
        self.progress.end(id);
        let verb = match view.plan.action {
            Action::Provision => "making",
            Action::Teardown => "removing",
            Action::Extend => "extending",
        };
        result.doing(verb, &view.plan.environment)
    }

    async fn records(
        &self,
        id: &OperationId,
        after: u64,
    ) -> Result<Vec<exokit_model::event::Record>, CliError> {
        let ledger = &self.session.engine.parts().ledger;
        let records = ledger.read(Filter::Operation(id.clone()), after).await;
        records.doing("reading the ledger", self.session.state.ledger().display())
    }

    /// Whether a plan has the votes that it needs.
    pub(crate) async fn approved(&self, view: &OperationView) -> Result<bool, CliError> {
        let quorum = self.session.engine.quorum(&view.plan, &view.tokens).await;
        Ok(quorum.doing("counting the votes on", &view.plan.plan_id)?.is_ok())
    }

    async fn wait_for_votes(&self, id: &OperationId) -> Result<(), CliError> {
        loop {
            let view = self.view(id).await?;
            if view.phase != Phase::AwaitingApproval || self.approved(&view).await? {
                return Ok(());
            }
            let now = self.session.engine.parts().clock.now();
            if view.plan.not_after < now {
                let why = format!("it could start until {}", view.plan.not_after);
                return Err(CliError::new(
                    "plan-expired",
                    "waiting for",
                    &view.plan.plan_id,
                    why,
                    "make a new plan",
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Prints where an operation stands and says how the program ends.
    pub(crate) fn report(&self, view: &OperationView) -> Result<Exit, CliError> {
        report(self.settings, &views::operation(view))
    }
}

/// Says how to come back to what goes on.
pub(crate) fn detached(name: &EnvironmentName) -> Exit {
    crate::output::say(&format!(
        "\nDetached. Nothing is lost: what was asked of the cloud is recorded.\nCome back with: exokit watch {name}\n"
    ));
    Exit::Detached
}

/// An operation for programs. Scripts look for the certificate of a teardown
/// before there is one.
pub(crate) fn in_full(operation: &OperationReply) -> Value {
    let mut value = serde_json::to_value(operation).unwrap_or_default();
    if operation.action == Action::Teardown && operation.certificate.is_none() {
        value["certificate"] = Value::Null;
    }
    value
}

/// Prints where an operation stands and says how the program ends.
pub(crate) fn report(settings: &Settings, reply: &OperationReply) -> Result<Exit, CliError> {
    settings.output.data(&in_full(reply), || match reply.phase.raw() {
        "awaiting-approval" => format!("{}  {}  waiting for approval\n", reply.plan_id, reply.environment),
        _ => operation::text(reply),
    })?;
    Ok(match reply.phase.raw() {
        "awaiting-approval" => Exit::Waiting,
        "needs-human" => {
            crate::output::say(&operation::what_to_do(reply));
            Exit::NeedsHuman
        }
        "rolled-back" | "rejected" => Exit::Failed,
        _ => Exit::Done,
    })
}

/// A line about each operation that is not finished.
pub(crate) fn open_lines(operations: &[OperationView], now: Timestamp) -> Vec<String> {
    let open = operations.iter().filter(|operation| !operation.phase.is_terminal());
    open.map(|view| {
        let until = view.can_start(operations, now).then_some(view.plan.not_after);
        operation::open_line(&views::operation(view), until, now)
    })
    .collect()
}

/// Comes true when the user, or the system, wants the program to end.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminate), Ok(mut hangup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::hangup()))
        {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            return;
        }
    }
    // Without signals there is nothing to wait for.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
