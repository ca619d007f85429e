//! The commands, one file each.

mod approve;
mod approver;
mod audit;
mod completions;
mod demo;
mod doctor;
mod drift;
mod extend;
mod history;
mod keep_alive;
mod kubeconfig;
mod list;
mod man;
mod orchestrator;
mod orphans;
mod outputs;
pub(crate) mod plan;
mod prices;
mod provision;
mod registry;
mod resume;
mod schema;
mod secrets;
mod select;
mod serve;
mod show;
mod sim;
mod teardown;
mod test;
mod token;
mod verify;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use exokit_model::approval::Decision;

use crate::args::{ApproverCommand, Command, PricesCommand, RegistryCommand};
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::Settings;

/// Runs one command. `dropped` counts the spans of a service that are lost.
pub(crate) async fn run(
    command: Command,
    settings: &Settings,
    dropped: Arc<AtomicU64>,
) -> Result<Exit, CliError> {
    if let (Some(name), Some(_)) = (local_name(&command), &settings.agent) {
        let why = format!("{name} cannot be asked of an agent: it works on this host");
        let hint = "leave --agent out, and unset EXOKIT_AGENT; `--state` says on which state it works";
        return Err(CliError::unusable("usage", "running", "the command", why, hint));
    }
    let connect = |steps_at_once| Connection::open(settings, steps_at_once);
    match command {
        Command::Select(args) => select::run(&connect(None).await?, &args).await,
        Command::Plan(args) => plan::run(&connect(None).await?, &args).await,
        Command::Provision(args) => provision::run(&connect(args.pace.steps_at_once).await?, &args).await,
        Command::Approve(args) => approve::run(&connect(None).await?, &args, Decision::Approve).await,
        Command::Deny(args) => approve::run(&connect(None).await?, &args, Decision::Deny).await,
        Command::List(args) => list::run(&connect(None).await?, &args).await,
        Command::Show(args) => show::run(&connect(None).await?, &args).await,
        Command::Watch(args) => watch::run(&connect(args.pace.steps_at_once).await?, &args).await,
        Command::Resume(args) => resume::run(&connect(args.pace.steps_at_once).await?, &args).await,
        Command::History(args) => history::run(&connect(None).await?, &args).await,
        Command::Outputs(args) => outputs::run(&connect(None).await?, &args).await,
        Command::Verify(args) => verify::run(&connect(None).await?, &args).await,
        Command::Test(args) => test::run(settings, args).await,
        Command::Secrets(args) => secrets::run(&connect(None).await?, &args).await,
        Command::Kubeconfig(args) => kubeconfig::run(&connect(None).await?, &args).await,
        Command::Drift(args) => drift::run(&connect(None).await?, &args).await,
        Command::Extend(args) => extend::run(&connect(None).await?, &args).await,
        Command::KeepAlive(args) => keep_alive::run(&connect(None).await?, &args).await,
        Command::Teardown(args) => teardown::run(&connect(args.pace.steps_at_once).await?, &args).await,
        Command::Orphans(args) => orphans::run(&connect(None).await?, &args).await,
        Command::Approver(command) => approver::run(settings, command).await,
        Command::Prices(command) => prices::run(settings, &command).await,
        Command::Doctor => doctor::run(settings).await,
        Command::Demo(args) => demo::run(settings, &args).await,
        Command::Audit(command) => audit::run(settings, &command).await,
        Command::Registry(command) => registry::run(settings, &command).await,
        Command::Serve(args) => serve::run(settings, &args, dropped).await,
        Command::Orchestrator(args) => orchestrator::run(settings, &args).await,
        Command::Token(command) => token::run(settings, command),
        Command::Schema(args) => schema::run(settings, &args),
        Command::Sim(args) => sim::run(settings, args).await,
        Command::Completions(args) => completions::run(settings, &args),
        Command::Man(args) => man::run(settings, &args),
    }
}

/// The name of a command that works on this host.
fn local_name(command: &Command) -> Option<&'static str> {
    match command {
        Command::Approver(ApproverCommand::Policy(args)) => {
            approver::changes(args).then_some("a change of the policy")
        }
        Command::Approver(ApproverCommand::Init(_)) => Some("approver init"),
        Command::Approver(ApproverCommand::CreateKey(_)) => Some("approver create-key"),
        Command::Approver(ApproverCommand::Add(_)) => Some("approver add"),
        Command::Approver(ApproverCommand::Revoke(_)) => Some("approver revoke"),
        Command::Prices(PricesCommand::Update) => Some("prices update"),
        Command::Registry(RegistryCommand::Import { .. }) => Some("registry import"),
        Command::Serve(_) => Some("serve"),
        Command::Orchestrator(_) => Some("orchestrator"),
        Command::Token(_) => Some("token"),
        Command::Schema(_) => Some("schema"),
        Command::Sim(_) => Some("sim"),
        Command::Demo(_) => Some("demo"),
        Command::Completions(_) => Some("completions"),
        Command::Man(_) => Some("man"),
        _ => None,
    }
}
