//! `exokit watch`: follows work, and takes up what nobody does.

use std::time::Duration;

use exokit_engine::error::EngineError;
use exokit_ledger::{OperationView, Registry};
use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::phase::Phase;

use crate::args::WatchArgs;
use crate::commands::show::operations;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::operate::{Ended, Operator};
use crate::settings::Settings;
use crate::views;

/// Pause between two rounds over all environments.
const ROUND: Duration = Duration::from_secs(2);

pub(crate) async fn run(settings: &Settings, args: &WatchArgs) -> Result<Exit, CliError> {
    let operator = Operator::open(settings).await?;
    match &args.environment {
        Some(name) => one(&operator, name, args.once).await,
        None => all(&operator, args.once).await,
    }
}

/// One environment, until nothing more is to be done.
async fn one(operator: &Operator<'_>, name: &EnvironmentName, once: bool) -> Result<Exit, CliError> {
    let registry = operator.session.registry().await?;
    let view = registry.environment(name);
    let view = view.ok_or_else(|| EngineError::NoEnvironment(name.clone())).doing("watching", name)?;
    let operations = operations(&registry, name);
    let now = operator.session.engine.parts().clock.now();
    let open = |operation: &&&OperationView| !operation.phase.is_terminal();
    let begun = operations.iter().filter(open).find(|operation| operation.started_at.is_some());
    if let Some(operation) = begun {
        return match operation.phase {
            Phase::NeedsHuman { .. } => operator.report(operation),
            _ => operator.run_to_the_end(&operation.operation).await,
        };
    }
    let waiting = operations.iter().rev().filter(open).find(|operation| operation.plan.not_after > now);
    match waiting {
        Some(operation) => operator.start(&operation.operation, !once).await,
        None => {
            operator.settings.output.note("Nothing is being done.");
            operator.settings.output.data(&view, || views::environment::show(view, &operations, now))?;
            Ok(Exit::Done)
        }
    }
}

/// All environments, until Ctrl-C; with `once` one round.
async fn all(operator: &Operator<'_>, once: bool) -> Result<Exit, CliError> {
    let work = async {
        loop {
            let done = round(operator).await?;
            if once {
                return Ok(done);
            }
            tokio::time::sleep(ROUND).await;
        }
    };
    match operator.detachable(work).await? {
        (Ended::Detached, _) => {
            operator
                .settings
                .output
                .note("\nNo longer watching. Nothing is lost: `exokit watch` comes back.");
            Ok(Exit::Detached)
        }
        (Ended::Done, exit) => Ok(exit.unwrap_or(Exit::Done)),
    }
}

/// Proposes the teardown of what has expired, then does all that can be done,
/// side by side.
async fn round(operator: &Operator<'_>) -> Result<Exit, CliError> {
    let expired = operator.session.engine.expire().await.doing("looking for", "expired environments")?;
    for plan in expired {
        operator.settings.output.note(&format!(
            "{} has expired; {} to remove it waits for approval: exokit approve {}",
            plan.environment, plan.plan_id, plan.plan_id
        ));
    }
    let registry = operator.session.registry().await?;
    let ready = ready(operator, &registry).await?;
    let mut failed = None;
    let mut running = Vec::new();
    for id in &ready {
        running.push(Box::pin(operator.run(id)));
    }
    for result in together(running).await {
        if let Err(error) = result {
            crate::output::say(&error.text());
            failed = Some(error.exit);
        }
    }
    let registry = operator.session.registry().await?;
    let mut exit = failed.unwrap_or(Exit::Done);
    for operation in ready.iter().filter_map(|id| registry.operation(id)) {
        operator.settings.output.note(views::operation::text(operation).trim_end());
        if matches!(operation.phase, Phase::NeedsHuman { .. }) {
            exit = Exit::NeedsHuman;
        }
    }
    Ok(exit)
}

/// Operations that can go on now.
async fn ready(operator: &Operator<'_>, registry: &Registry) -> Result<Vec<OperationId>, CliError> {
    let now = operator.session.engine.parts().clock.now();
    let mut ready = Vec::new();
    for operation in registry.operations().values() {
        let can = match operation.phase {
            Phase::Running | Phase::RollingBack { .. } => true,
            Phase::AwaitingApproval if operation.plan.not_after > now => operator.approved(operation).await?,
            _ => false,
        };
        if can {
            ready.push(operation.operation.clone());
        }
    }
    Ok(ready)
}

/// Runs futures side by side and gives their results in order.
async fn together<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none()
                && let std::task::Poll::Ready(output) = std::pin::Pin::new(future).poll(context)
            {
                *result = Some(output);
            }
        }
        match results.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    results.into_iter().flatten().collect()
}
