//! `exokit completions`: for the shell.

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::Settings;

pub(crate) fn run(settings: &Settings, args: &CompletionsArgs) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "exokit", &mut script);
    settings.output.raw(&script)?;
    Ok(Exit::Done)
}
