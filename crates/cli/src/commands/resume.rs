//! `exokit resume`: lets a parked operation go on.

use exokit_wire::request::ResumeRequest;

use crate::args::ResumeArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::follow::follow;

pub(crate) async fn run(connection: &Connection<'_>, args: &ResumeArgs) -> Result<Exit, CliError> {
    let request = ResumeRequest { environment: args.environment.clone(), rollback: args.rollback };
    let resumed = connection.call(&request).await?;
    let plan = connection.recorded(resumed.plan_id.as_str()).await?.plan;
    follow(connection, &plan, true).await
}
