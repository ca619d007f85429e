//! `exokit select`: which template, and why.

use exokit_model::selection::Selection;
use exokit_model::text::Escaped;
use exokit_templates::TemplateSet;
use exokit_text::format::{amount, duration, table};
use exokit_wire::request::SelectRequest;
use serde_json::json;

use crate::args::SelectArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::request_args::required;
use crate::session::templates;

pub(crate) async fn run(connection: &Connection<'_>, args: &SelectArgs) -> Result<Exit, CliError> {
    let selection = connection.call(&SelectRequest(required(args)?)).await?;
    let set = templates(connection.settings)?;
    let mut value = serde_json::to_value(&selection).unwrap_or_default();
    value["currency"] = json!(selection.currency);
    connection.settings.output.data(&value, || text(&selection, &set, args))
}

fn text(selection: &Selection, set: &TemplateSet, args: &SelectArgs) -> String {
    let label = set.get(selection.template).map(|template| (template.label(), template.summary.clone()));
    let (label, summary) = label.unwrap_or_else(|| (selection.template.to_string(), String::new()));
    let mut text = format!(
        "{label}: {summary}\n  in {}, {} {} per hour, band {}, approval level {}\n",
        selection.zone,
        amount(selection.hourly),
        Escaped(&selection.currency),
        selection.band,
        selection.level
    );
    if let (Some(ttl), Some(seconds)) = (selection.ttl, args.ttl) {
        text.push_str(&format!(
            "  {} {} for {}\n",
            amount(ttl),
            Escaped(&selection.currency),
            duration(seconds)
        ));
    }
    let rows = selection.explanation.iter().map(|verdict| {
        let chosen = if verdict.template == selection.template { "chosen" } else { "satisfies" };
        [
            verdict.template.to_string(),
            amount(verdict.hourly),
            if verdict.satisfied { chosen.to_owned() } else { "fails".to_owned() },
            verdict.failed.join("; "),
        ]
    });
    text.push_str(&format!("\n{}", table(["TEMPLATE", "PER HOUR", "VERDICT", "WHY NOT"], rows)));
    text
}
