//! `exokit history`: the story.

use exokit_text::format::moment;
use exokit_wire::request::HistoryRequest;

use crate::args::HistoryArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;

pub(crate) async fn run(connection: &Connection<'_>, args: &HistoryArgs) -> Result<Exit, CliError> {
    let lines = connection.call(&HistoryRequest { environment: args.environment.clone() }).await?.lines;
    connection
        .settings
        .output
        .data(&lines, || lines.iter().map(|line| format!("{}  {}\n", moment(line.at), line.text)).collect())
}
