//! `exokit keep-alive`: a sign of life.

use exokit_text::format::moment;
use exokit_wire::reply::KeepAliveReply;

use crate::args::KeepAliveArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &KeepAliveArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Ledger).await?;
    let name = &args.environment;
    let kept_until = session.engine.keep_alive(name, &settings.person).await.doing("keeping alive", name)?;
    let reply = KeepAliveReply { environment: name.clone(), kept_until };
    show(settings, &reply)
}

/// Prints until when it is kept.
pub(crate) fn show(settings: &Settings, reply: &KeepAliveReply) -> Result<Exit, CliError> {
    let until = moment(reply.kept_until);
    settings.output.data(reply, || format!("{} is kept until {until}\n", reply.environment))?;
    Ok(Exit::Done)
}
