//! `exokit plan`: everything that an approval would be bound to.

use exokit_engine::error::EngineError;
use exokit_model::canonical::Digest;
use exokit_model::plan::Plan;
use exokit_service::{Planned, views};
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
    note(settings, &planned);
    let plan = &planned.plan;
    let bytes = plan.to_bytes().map_err(EngineError::from).doing("writing", &plan.plan_id)?;
    let digest = Plan::digest_of(&bytes);
    if let Some(path) = &args.out {
        replace(path, &bytes)?;
        settings.output.note(&format!("The canonical bytes are in {}.", path.display()));
    }
    let roster = session.engine.roster().await.doing("reading", "the roster")?;
    settings
        .output
        .data(&in_full(plan, digest), || exokit_text::plan::text(plan, &digest, &roster, session.speed))?;
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
pub(crate) fn note(settings: &Settings, planned: &Planned) {
    if let Some(selection) = &planned.selection {
        let others = selection.explanation.iter().filter(|verdict| !verdict.satisfied).count();
        settings.output.note(&format!(
            "{} is the cheapest template that satisfies the request; {others} do not. `exokit select` explains it.",
            selection.template
        ));
    }
    planned.notes.iter().for_each(|note| settings.output.note(note));
}
