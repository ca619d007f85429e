//! The exokit command line: arguments, settings, then one command.

mod access;
mod args;
mod change;
mod collector;
mod commands;
mod connection;
mod embedded;
mod error;
mod exit;
mod follow;
mod interrupt;
mod junit;
mod keys;
mod kubeconfig_file;
mod log;
mod nats;
mod output;
mod progress;
mod registry_logins;
mod report;
mod request_args;
mod session;
mod settings;
mod state_dir;
mod transport;
mod variables;
mod vote;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use exokit_spans::exporter::Exporter;

use args::{Cli, Command, Format};
use error::{CliError, Doing as _};
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
                Format::Table | Format::Yaml | Format::Env => error.text(),
            });
            error.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, CliError> {
    let settings = Settings::resolve(&cli.global)?;
    let runtime = match &cli.command {
        // Requests and operations must not wait for each other.
        Command::Serve(_) | Command::Orchestrator(_) => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()
        }
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = runtime.doing("starting", "the runtime")?;
    let exporter = collector::start(&cli.command, &settings, runtime.handle())?;
    let log = log::log(&cli.command, &settings, exporter.as_ref());
    log.map_or(Ok(()), tracing::dispatcher::set_global_default).doing("starting", "the log")?;
    let dropped = exporter.as_ref().map(Exporter::dropped).unwrap_or_default();
    let ended = runtime.block_on(commands::run(cli.command, &settings, dropped));
    if let Some(exporter) = exporter {
        exporter.finish();
    }
    ended
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
