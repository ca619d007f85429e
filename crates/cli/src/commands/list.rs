//! `exokit list`: all environments.

use exokit_ledger::{EnvironmentView, Environments};
use jiff::Timestamp;

use crate::args::ListArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &ListArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Ledger).await?;
    let which = if args.all { Environments::All } else { Environments::Present };
    let shown = session.environments(which).await?;
    show(settings, &shown, session.engine.parts().clock.now())
}

/// Prints them.
pub(crate) fn show(settings: &Settings, shown: &[EnvironmentView], now: Timestamp) -> Result<Exit, CliError> {
    settings.output.data(&shown, || exokit_text::environment::list(shown, now))?;
    Ok(Exit::Done)
}
