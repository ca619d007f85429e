//! The exokit command line: arguments, settings, then one command.

mod args;
mod asked;
mod commands;
mod embedded;
mod error;
mod exit;
mod keys;
mod operate;
mod output;
mod progress;
mod session;
mod settings;
mod state_dir;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

use args::{Cli, Format};
use error::CliError;
use exit::Exit;
use settings::Settings;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error).into(),
    };
    let format = cli.global.output;
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::say(&match format {
                Format::Json => error.json(),
                Format::Table | Format::Yaml => error.text(),
            });
            error.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, CliError> {
    let settings = Settings::resolve(&cli.global)?;
    // For this thread only, which is the one that everything runs on.
    let _log = settings.log.as_ref().map(|filter| {
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .finish();
        tracing::subscriber::set_default(log)
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = error::Doing::doing(runtime, "starting", "the runtime")?;
    runtime.block_on(commands::run(cli.command, &settings))
}

/// What clap says: help and versions are no errors.
fn refuse(error: &clap::Error) -> Exit {
    let wants_json = std::env::args_os()
        .collect::<Vec<_>>()
        .windows(2)
        .any(|pair| matches!(pair[0].to_str(), Some("-o" | "--output")) && pair[1] == "json")
        || std::env::args_os().any(|arg| matches!(arg.to_str(), Some("-ojson" | "--output=json")));
    let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    match wants_json && !help {
        true => {
            let text = error.to_string();
            let why = text.trim_start_matches("error: ").lines().next().unwrap_or_default().to_owned();
            let hint = "see `exokit --help`";
            output::say(&CliError::new("usage", "reading", "the arguments", why, hint).json());
        }
        // A reader that went away is no error.
        false => drop(error.print()),
    }
    match help {
        true => Exit::Done,
        false => Exit::Usage,
    }
}
