//! `exokit plan`: everything that an approval would be bound to.

use exokit_model::selection::Selection;
use exokit_model::text::ForeignText;
use exokit_wire::request::PlanRequest;
use serde_json::Value;

use crate::args::PlanArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::request_args::ask;
use crate::settings::Settings;
use crate::state_dir::replace;

pub(crate) async fn run(connection: &Connection<'_>, args: &PlanArgs) -> Result<Exit, CliError> {
    let request = PlanRequest::Provision(Box::new(ask(&args.change)?));
    let (reply, plan) = connection.planned(&request).await?;
    note(connection.settings, reply.selection.as_ref(), &reply.notes);
    let roster = connection.roster().await?;
    let output = &connection.settings.output;
    if let Some(path) = &args.out {
        replace(path, reply.plan.as_bytes())?;
        output.note(&format!("The canonical bytes are in {}.", path.display()));
    }
    let mut value = serde_json::to_value(&reply.view).unwrap_or_default();
    // Scripts expect the price of a lifetime also where there is none.
    if plan.cost.ttl.is_none() {
        value["cost"]["ttl"] = Value::Null;
    }
    let digest = reply.view.digest;
    output.data(&value, || exokit_text::plan::text(&plan, &digest, &roster, connection.speed))
}

/// Says why this template was chosen, and what was noticed.
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
