//! The commands, one file each.

pub(crate) mod approve;
pub(crate) mod approver;
mod audit;
mod completions;
mod demo;
mod doctor;
pub(crate) mod drift;
mod extend;
pub(crate) mod history;
pub(crate) mod keep_alive;
pub(crate) mod list;
mod man;
pub(crate) mod nats;
mod orchestrator;
pub(crate) mod orphans;
pub(crate) mod plan;
mod prices;
pub(crate) mod provision;
mod registry;
mod resume;
mod schema;
pub(crate) mod select;
mod serve;
mod show;
mod sim;
mod teardown;
mod token;
mod watch;

use exokit_model::approval::Decision;
use exokit_spans::queue::Dropped;

use crate::args::Command;
use crate::error::CliError;
use crate::exit::Exit;
use crate::remote;
use crate::settings::Settings;

/// Runs one command. `dropped` counts the spans of a service that are lost.
pub(crate) async fn run(command: Command, settings: &Settings, dropped: Dropped) -> Result<Exit, CliError> {
    if let Some(address) = &settings.agent {
        return remote::run(command, settings, address).await;
    }
    match command {
        Command::Select(args) => select::run(settings, &args).await,
        Command::Plan(args) => plan::run(settings, &args).await,
        Command::Provision(args) => provision::run(settings, &args).await,
        Command::Approve(args) => approve::run(settings, &args, Decision::Approve).await,
        Command::Deny(args) => approve::run(settings, &args, Decision::Deny).await,
        Command::List(args) => list::run(settings, &args).await,
        Command::Show(args) => show::run(settings, &args).await,
        Command::Watch(args) => watch::run(settings, &args).await,
        Command::Resume(args) => resume::run(settings, &args).await,
        Command::History(args) => history::run(settings, &args).await,
        Command::Drift(args) => drift::run(settings, &args).await,
        Command::Extend(args) => extend::run(settings, &args).await,
        Command::KeepAlive(args) => keep_alive::run(settings, &args).await,
        Command::Teardown(args) => teardown::run(settings, &args).await,
        Command::Orphans(args) => orphans::run(settings, &args).await,
        Command::Approver(args) => approver::run(settings, args.command).await,
        Command::Prices(args) => prices::run(settings, &args.command).await,
        Command::Doctor => doctor::run(settings).await,
        Command::Demo(args) => demo::run(settings, &args).await,
        Command::Audit(args) => audit::run(settings, &args).await,
        Command::Registry(args) => registry::run(settings, &args.command).await,
        Command::Serve(args) => serve::run(settings, &args, dropped).await,
        Command::Orchestrator(args) => orchestrator::run(settings, &args).await,
        Command::Token(args) => token::run(settings, args.command),
        Command::Schema(args) => schema::run(settings, &args),
        Command::Sim(args) => sim::run(settings, args).await,
        Command::Completions(args) => completions::run(settings, &args),
        Command::Man(args) => man::run(settings, &args),
    }
}
