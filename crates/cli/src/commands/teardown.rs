//! `exokit teardown`, or `down`: removes an environment and proves it.

use exokit_wire::request::{PlanRequest, Removal};

use crate::args::TeardownArgs;
use crate::change::{change, start};
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;

pub(crate) async fn run(connection: &Connection<'_>, args: &TeardownArgs) -> Result<Exit, CliError> {
    let environment = match (&args.plan, &args.environment) {
        (Some(plan), _) => return start(connection, plan, args.wait).await,
        (None, Some(environment)) => environment.clone(),
        (None, None) => return Err(CliError::usage("no environment is named", "name one")),
    };
    let request = PlanRequest::Teardown(Removal { environment });
    let output = &connection.settings.output;
    change(connection, &request, args.wait, |plan| {
        output.note(&exokit_text::plan::heading(plan));
        output.note(exokit_text::plan::destroys(plan).trim_end());
    })
    .await
}
