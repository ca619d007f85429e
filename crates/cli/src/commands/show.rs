//! `exokit show`: one environment.

use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_text::operation::open_line;
use exokit_wire::reply::StatusReply;
use exokit_wire::request::StatusRequest;

use crate::args::EnvironmentArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::report::in_full;

pub(crate) async fn run(connection: &Connection<'_>, args: &EnvironmentArgs) -> Result<Exit, CliError> {
    let status = connection.call(&StatusRequest { environment: args.environment.clone() }).await?;
    let mut value = serde_json::to_value(&status.view).unwrap_or_default();
    value["open"] = status.open.iter().map(in_full).collect();
    connection.settings.output.data(&value, || text(&status))
}

/// One environment for people, with its unfinished operations.
pub(crate) fn text(status: &StatusReply) -> String {
    let now = SystemClock.now();
    let open = status.open.iter();
    let lines: Vec<String> =
        open.map(|open| open_line(open, status.startable.get(&open.plan_id).copied(), now)).collect();
    exokit_text::environment::show(&status.view, &lines, now)
}
