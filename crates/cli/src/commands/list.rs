//! `exokit list`: all environments.

use exokit_ledger::EnvironmentView;

use crate::args::ListArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;
use crate::views;

pub(crate) async fn run(settings: &Settings, args: &ListArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Ledger).await?;
    let registry = session.registry().await?;
    let over = |view: &EnvironmentView| matches!(view.phase.as_str(), "gone" | "rolled-back" | "rejected");
    let shown: Vec<&EnvironmentView> =
        registry.environments().values().filter(|view| args.all || !over(view)).collect();
    let now = session.engine.parts().clock.now();
    settings.output.data(&shown, || views::environment::list(&shown, now))?;
    Ok(Exit::Done)
}
