//! Environments, many or one.

use exokit_wire::reply::{Environment, Resource};
use jiff::Timestamp;

use crate::format::{amount, from_now, moment, table};

/// Formats environments as a table.
pub fn list(environments: &[Environment], now: Timestamp) -> String {
    if environments.is_empty() {
        return "There is no environment. `exokit up T1` makes one.\n".to_owned();
    }
    let rows = environments.iter().map(|view| {
        [
            view.environment.to_string(),
            view.template.to_string(),
            view.zone.to_string(),
            view.phase.to_string(),
            format!("{} {}", amount(view.hourly), view.currency),
            moment(view.created_at),
            view.expires_at.map_or_else(|| "-".to_owned(), |at| from_now(at, now)),
            view.owner.to_string(),
        ]
    });
    let heading =
        ["ENVIRONMENT", "TEMPLATE", "ZONE", "PHASE", "PER HOUR", "CREATED (UTC)", "EXPIRES", "OWNER"];
    table(heading, rows)
}

/// Formats one environment, with a line about each operation that is not
/// finished.
pub fn show(view: &Environment, open: &[String], now: Timestamp) -> String {
    let mut text = format!(
        "{} is {}\n  template {} in {}, level {}, band {}, {} {} per hour\n  asked for by {}, created {} UTC, {}\n",
        view.environment,
        view.phase,
        view.template,
        view.zone,
        view.level,
        view.band,
        amount(view.hourly),
        view.currency,
        view.owner,
        moment(view.created_at),
        view.expires_at
            .map_or_else(|| "no time limit".to_owned(), |at| format!("expires {}", from_now(at, now)))
    );
    let rows = view.resources.iter().map(row);
    text.push_str(&format!("\n{}", table(["RESOURCE", "KIND", "STATE", "NAME", "ID"], rows)));
    if !open.is_empty() {
        text.push('\n');
    }
    text.extend(open.iter().map(String::as_str));
    text
}

fn row(resource: &Resource) -> [String; 5] {
    [
        resource.key.to_string(),
        resource.kind.to_string(),
        resource.state.to_string().replace('-', " "),
        resource.name.to_string(),
        resource.id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
    ]
}
