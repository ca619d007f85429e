//! `exokit watch`: follows work, and takes up what nobody does.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use exokit_engine::error::EngineError;
use exokit_ledger::{OperationView, Operations};
use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::phase::Phase;
use exokit_model::plan::Plan;
use exokit_model::text::excerpt;
use exokit_service::views;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::args::WatchArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::operate::{Ended, Operator, open_lines};
use crate::settings::Settings;

/// Pause between two rounds over all environments.
const ROUND: Duration = Duration::from_secs(2);

pub(crate) async fn run(settings: &Settings, args: &WatchArgs) -> Result<Exit, CliError> {
    let operator = Operator::open(settings, args.pace.steps_at_once).await?;
    match &args.environment {
        Some(name) => one(&operator, name, args.once).await,
        None => all(&operator, args.once).await,
    }
}

/// One environment, until nothing more is to be done.
async fn one(operator: &Operator<'_>, name: &EnvironmentName, once: bool) -> Result<Exit, CliError> {
    let story = operator.session.story(name).await?;
    let story = story.ok_or_else(|| EngineError::NoEnvironment(name.clone())).doing("watching", name)?;
    let (view, operations) = (&story.view, &story.operations);
    let now = operator.session.engine.parts().clock.now();
    let open = |operation: &&OperationView| !operation.phase.is_terminal();
    let begun = operations.iter().filter(open).find(|operation| operation.started_at.is_some());
    if let Some(operation) = begun {
        return match operation.phase {
            Phase::NeedsHuman { .. } => operator.report(operation),
            _ => operator.run_to_the_end(&operation.operation).await,
        };
    }
    let waiting = operations.iter().rev().find(|operation| operation.can_start(operations, now));
    match waiting {
        Some(operation) => operator.start(&operation.operation, !once).await,
        None => {
            operator.settings.output.note("Nothing is being done.");
            let text = || exokit_text::environment::show(view, &open_lines(operations, now), now);
            operator.settings.output.data(&view, text)?;
            Ok(Exit::Done)
        }
    }
}

/// All environments, until Ctrl-C; with `once` until all that can be done now
/// is done.
async fn all(operator: &Operator<'_>, once: bool) -> Result<Exit, CliError> {
    match operator.detachable(rounds(operator, once)).await? {
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

/// Looks for work in rounds; the work itself goes on beside them.
async fn rounds(operator: &Operator<'_>, once: bool) -> Result<Exit, CliError> {
    let mut busy: BTreeSet<OperationId> = BTreeSet::new();
    let mut under_way = FuturesUnordered::new();
    let mut exit = Exit::Done;
    let mut first = true;
    // What fails again and again in the same way is told once.
    let mut told: BTreeMap<OperationId, String> = BTreeMap::new();
    loop {
        if first || !once {
            match found(operator, &busy).await {
                Ok(ready) => {
                    for id in ready {
                        busy.insert(id.clone());
                        under_way.push(async move { (operator.run(&id).await, id) });
                    }
                }
                Err(error) if once => return Err(error),
                // The next round may find it well again.
                Err(error) => crate::output::say(&error.text()),
            }
        }
        first = false;
        if once && under_way.is_empty() {
            return Ok(exit);
        }
        tokio::select! {
            biased;
            Some((result, id)) = under_way.next() => {
                busy.remove(&id);
                let (ended, text) = ended(operator, result, &id).await?;
                exit = worse(exit, ended);
                if told.insert(id, text.clone()).as_ref() != Some(&text) {
                    crate::output::say(&text);
                }
            }
            () = tokio::time::sleep(ROUND), if !once => {}
        }
    }
}

/// How an operation ended, and the words for it.
async fn ended(
    operator: &Operator<'_>,
    result: Result<(), CliError>,
    id: &OperationId,
) -> Result<(Exit, String), CliError> {
    if let Err(error) = result {
        return Ok((error.exit, error.text()));
    }
    let operation = operator.view(id).await?;
    let exit = match operation.phase {
        Phase::NeedsHuman { .. } => Exit::NeedsHuman,
        Phase::RolledBack { .. } | Phase::Rejected { .. } => Exit::Failed,
        _ => Exit::Done,
    };
    Ok((exit, exokit_text::operation::text(&views::operation(&operation))))
}

/// What needs a human outweighs what failed.
fn worse(a: Exit, b: Exit) -> Exit {
    if a as u8 >= b as u8 { a } else { b }
}

/// Proposes the teardown of what has expired, warns of what soon will, and
/// finds what can go on.
async fn found(operator: &Operator<'_>, busy: &BTreeSet<OperationId>) -> Result<Vec<OperationId>, CliError> {
    let (engine, output) = (&operator.session.engine, &operator.settings.output);
    for view in engine.expired().await.doing("looking for", "expired environments")? {
        let name = &view.environment;
        match engine.expire_one(&view).await {
            Ok(None) => {}
            Ok(Some(plan)) => {
                output.note(&format!("{name} has expired; {}", removal(operator, &plan).await?));
            }
            // Others can be worked on.
            Err(error) => {
                let why = excerpt(&error);
                output.note(&format!("{name} has expired; its removal cannot be planned: {why}"));
            }
        }
    }
    for name in engine.warn().await.doing("looking for", "environments that expire soon")? {
        output.note(&format!("{name} expires soon: exokit show {name}"));
    }
    let mut ready = ready(operator).await?;
    ready.retain(|id| !busy.contains(id));
    Ok(ready)
}

/// Whether the removal of what has expired waits for somebody.
async fn removal(operator: &Operator<'_>, plan: &Plan) -> Result<String, CliError> {
    let plan_id = &plan.plan_id;
    let story = operator.session.story(&plan.environment).await?;
    let proposed = story.iter().flat_map(|story| &story.operations);
    let view = proposed.into_iter().find(|operation| operation.plan.plan_id == *plan_id);
    let asks = match view {
        Some(view) => !operator.approved(view).await?,
        None => true,
    };
    Ok(match asks {
        true => format!("{plan_id} to remove it waits for approval: exokit approve {plan_id}"),
        false => format!("{plan_id} removes it, as its approval allowed"),
    })
}

/// Operations that can go on now.
async fn ready(operator: &Operator<'_>) -> Result<Vec<OperationId>, CliError> {
    let session = &operator.session;
    let now = session.engine.parts().clock.now();
    let active = session.operations(Operations::Active).await?;
    let mut ready: Vec<OperationId> = active.into_iter().map(|operation| operation.operation).collect();
    for waiting in session.operations(Operations::Waiting(now)).await? {
        let Some(story) = session.story(&waiting.environment).await? else { continue };
        let operation = story.operations.iter().find(|operation| operation.operation == waiting.operation);
        if let Some(operation) = operation
            && operation.can_start(&story.operations, now)
            && operator.approved(operation).await?
        {
            ready.push(waiting.operation);
        }
    }
    Ok(ready)
}
