//! `exokit plan`: everything that an approval would be bound to.

use exokit_engine::error::EngineError;
use exokit_model::approval::Roster;
use exokit_model::canonical::Digest;
use exokit_model::plan::Plan;
use exokit_model::selection::Selection;
use exokit_model::text::ForeignText;
use exokit_service::views;
use serde_json::Value;

use crate::args::PlanArgs;
use crate::asked;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;
use crate::state_dir::replace;

pub(crate) async fn run(settings: &Settings, args: &PlanArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Cloud).await?;
    let planned = asked::plan(settings, &session, &args.change).await?;
    note(settings, planned.selection.as_ref(), &planned.notes);
    let plan = &planned.plan;
    let bytes = plan.to_bytes().map_err(EngineError::from).doing("writing", &plan.plan_id)?;
    let digest = Plan::digest_of(&bytes);
    let roster = session.engine.roster().await.doing("reading", "the roster")?;
    show(settings, args, &bytes, (plan, digest), &roster, session.speed)
}

/// Prints a plan, and writes its bytes where that is wanted.
pub(crate) fn show(
    settings: &Settings,
    args: &PlanArgs,
    bytes: &[u8],
    (plan, digest): (&Plan, Digest),
    roster: &Roster,
    speed: f64,
) -> Result<Exit, CliError> {
    if let Some(path) = &args.out {
        replace(path, bytes)?;
        settings.output.note(&format!("The canonical bytes are in {}.", path.display()));
    }
    settings.output.data(&in_full(plan, digest), || exokit_text::plan::text(plan, &digest, roster, speed))?;
    Ok(Exit::Done)
}

/// A plan for programs. Scripts look for the price of a lifetime also where
/// there is none.
fn in_full(plan: &Plan, digest: Digest) -> Value {
    let mut value = serde_json::to_value(views::plan(plan, digest)).unwrap_or_default();
    if plan.cost.ttl.is_none() {
        value["cost"]["ttl"] = Value::Null;
    }
    value
}

/// Tells why this template, and what was noticed.
pub(crate) fn note(settings: &Settings, selection: Option<&Selection>, notes: &[ForeignText]) {
    if let Some(selection) = selection {
        let others = selection.explanation.iter().filter(|verdict| !verdict.satisfied).count();
        settings.output.note(&format!(
            "{} is the cheapest template that satisfies the request; {others} do not. `exokit select` explains it.",
            selection.template
        ));
    }
    notes.iter().for_each(|note| settings.output.note(&note.to_string()));
}
