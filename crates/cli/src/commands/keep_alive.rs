//! `exokit keep-alive`: a sign of life.

use exokit_text::format::moment;
use exokit_wire::request::KeepAliveRequest;

use crate::args::EnvironmentArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;

pub(crate) async fn run(connection: &Connection<'_>, args: &EnvironmentArgs) -> Result<Exit, CliError> {
    let reply = connection.call(&KeepAliveRequest { environment: args.environment.clone() }).await?;
    let text = || format!("{} is kept until {}\n", reply.environment, moment(reply.kept_until));
    connection.settings.output.data(&reply, text)
}
