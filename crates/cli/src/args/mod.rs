//! The command line as clap reads it, and nothing more: what the words mean is
//! resolved in `settings`, what they do is in `commands`.

mod access;
mod agent;
mod approval;
mod environment;
mod plan;
mod test;
mod tools;
mod verify;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use exokit_model::ids::PersonId;

pub(crate) use access::{KubeconfigArgs, SecretsArgs};
pub(crate) use agent::{LogFormat, NatsArgs, OrchestratorArgs, SchemaArgs, ServeArgs, TokenCommand};
pub(crate) use approval::{
    AddArgs, ApproverCommand, CreateKeyArgs, InitArgs, PolicyArgs, RevokeArgs, VoteArgs,
};
pub(crate) use environment::{EnvironmentArgs, HistoryArgs, ListArgs, OrphansArgs, ResumeArgs, WatchArgs};
pub(crate) use plan::{ChangeArgs, ExtendArgs, PlanArgs, ProvisionArgs, SelectArgs, TeardownArgs};
pub(crate) use test::{ApproverKey, TestArgs};
pub(crate) use tools::{
    AuditCommand, CompletionsArgs, ControlPlaneName, DemoArgs, ManArgs, PricesCommand, RegistryCommand,
    SimArgs,
};
pub(crate) use verify::VerifyArgs;

/// Environments on Exoscale: chosen, priced, approved, built, proved and
/// removed without a trace.
#[derive(Debug, Parser)]
#[command(
    name = "exokit",
    version,
    max_term_width = 100,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = GENERAL_HELP
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const GENERAL_HELP: &str = "\
Start here:
  exokit demo                              see the whole story, offline, in 30 seconds
  exokit --cloud sim up T1 --name first    make something on the embedded cloud
  exokit --cloud sim list
  exokit list --agent http://127.0.0.1:8118   ask a running `exokit serve`

Exit codes:
  0 done   1 failed, or something differs   2 usage   3 waiting for approval
  4 a human must act   130 detached with Ctrl-C; `exokit watch` comes back

Environment: EXOKIT_CLOUD, EXOKIT_STATE, EXOKIT_PERSON, EXOKIT_SIM_SPEED,
  EXOKIT_AGENT, EXOKIT_AGENT_CA, EXOKIT_AGENT_TOKEN,
  EXOKIT_PASSPHRASE, EXOKIT_KEY, EXOKIT_ROOT_SECRET, EXOKIT_LISTEN,
  EXOKIT_NATS_URL, EXOKIT_NATS_USER, EXOKIT_NATS_PASSWORD, EXOKIT_NATS_NKEY,
  EXOKIT_NATS_CA, EXOKIT_LOG, NO_COLOR,
  those of the exo CLI: EXOSCALE_API_KEY, EXOSCALE_API_SECRET, ...,
  and for services OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, ...";

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct GlobalArgs {
    /// Which cloud: the embedded simulated one, or Exoscale [env: EXOKIT_CLOUD]
    #[arg(long, global = true, value_enum)]
    pub(crate) cloud: Option<CloudName>,
    /// State directory: ledger, keys, embedded cloud [env: EXOKIT_STATE]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Who you are, for requests and votes [env: EXOKIT_PERSON] [default: your user name]
    #[arg(long = "as", global = true, value_name = "PERSON")]
    pub(crate) person: Option<PersonId>,
    /// How many times faster than real the embedded cloud runs, remembered, or
    /// one that `exokit sim` serves on this host [env: EXOKIT_SIM_SPEED] [default: 20]
    #[arg(long, global = true, value_name = "N|max", hide_short_help = true)]
    pub(crate) speed: Option<String>,
    /// Form of the output
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Ask this running agent instead of working here, such as
    /// http://127.0.0.1:8118 or tls://USER@nats:4222; what logs in comes from
    /// EXOKIT_AGENT_TOKEN or EXOKIT_NATS_PASSWORD [env: EXOKIT_AGENT]
    #[arg(long, global = true, value_name = "URL", hide_short_help = true)]
    pub(crate) agent: Option<String>,
    /// No progress on stderr
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// How much is done at once.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct PaceArgs {
    /// Steps of one operation under way at once, those that only wait for the
    /// cloud included [default: as many as the plan allows]
    #[arg(long = "parallelism", value_name = "N")]
    pub(crate) steps_at_once: Option<NonZeroUsize>,
}

/// The clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CloudName {
    /// The embedded simulated cloud, kept in the state directory
    Sim,
    /// Exoscale, with the exo CLI's credentials
    Exoscale,
}

impl CloudName {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            CloudName::Sim => "sim",
            CloudName::Exoscale => "exoscale",
        }
    }
}

/// Forms of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For both
    Yaml,
    /// Variables for a shell, of `outputs` and `secrets` only
    Env,
}

/// The commands, in the order of an environment's life.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Select(SelectArgs),
    Plan(PlanArgs),
    #[command(visible_alias = "up")]
    Provision(ProvisionArgs),
    /// Approve a plan that waits for you
    ///
    /// Shows what the plan makes and destroys, what it costs and why it needs an
    /// approval, asks, signs the digest with your key, and sends the token to the
    /// engine, which verifies it. Name the plan by its id, by its digest (or the
    /// first 8 digits) or by its environment.
    ///
    /// Examples:
    ///   exokit approve first --as alex
    ///   exokit approve plan_abcdefghijklmnop --key alex.pem --yes
    ///   exokit approve first --print-token > token.txt
    ///   exokit approve first --token token.txt
    #[command(verbatim_doc_comment)]
    Approve(VoteArgs),
    /// Deny a plan, so that it never runs
    ///
    /// Shows the plan, asks, and signs as `exokit approve` does. A denial is
    /// final.
    ///
    /// Examples:
    ///   exokit deny first
    ///   exokit deny plan_abcdefghijklmnop --key kim.pem --yes
    #[command(verbatim_doc_comment)]
    Deny(VoteArgs),
    List(ListArgs),
    /// Show one environment: phase, resources, unfinished operations
    ///
    /// Examples:
    ///   exokit show first
    ///   exokit show first -o json
    #[command(verbatim_doc_comment)]
    Show(EnvironmentArgs),
    Watch(WatchArgs),
    Resume(ResumeArgs),
    History(HistoryArgs),
    /// Compare the cloud with what was planned
    ///
    /// Exit code 0 when nothing differs, 1 when something does. Nothing is
    /// repaired: that takes a plan.
    ///
    /// Examples:
    ///   exokit drift first
    ///   exokit drift first -o json
    #[command(verbatim_doc_comment)]
    Drift(EnvironmentArgs),
    Verify(VerifyArgs),
    Test(TestArgs),
    /// Show how to reach an environment
    ///
    /// Addresses and ports of its services, database, bucket and cluster. Secrets
    /// are not among them.
    ///
    /// Examples:
    ///   exokit outputs first
    ///   exokit outputs first -o json
    ///   eval "$(exokit outputs first -o env)"; curl "$SERVICE_URL"
    #[command(verbatim_doc_comment)]
    Outputs(EnvironmentArgs),
    Secrets(SecretsArgs),
    Kubeconfig(KubeconfigArgs),
    Extend(ExtendArgs),
    #[command(name = "keep-alive")]
    /// Keep an environment alive by a sign of life
    ///
    /// For one that was asked for with --keep-alive. Only its owner can say so, or
    /// an agent of the same person.
    ///
    /// Examples:
    ///   exokit keep-alive first
    #[command(verbatim_doc_comment)]
    KeepAlive(EnvironmentArgs),
    #[command(visible_alias = "down")]
    Teardown(TeardownArgs),
    Orphans(OrphansArgs),
    /// Manage the persons, roles and keys that can approve
    ///
    /// The roster is one signed document: the root key signs it and nothing else.
    /// `list` and `policy` without changes read; the rest works on this host.
    ///
    /// Examples:
    ///   exokit approver init
    ///   exokit approver create-key alex
    ///   exokit approver add alex --role platform --public KEY
    ///   exokit approver add dana-agent --agent-of dana
    ///   exokit approver list
    #[command(verbatim_doc_comment)]
    #[command(subcommand)]
    Approver(ApproverCommand),
    /// Show, update and verify the price list
    ///
    /// Examples:
    ///   exokit prices show
    ///   exokit prices update
    ///   exokit prices verify
    #[command(verbatim_doc_comment)]
    #[command(subcommand)]
    Prices(PricesCommand),
    /// Audit the ledger
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Export and import the registry as one file
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Check state, keys, credentials, cloud, templates and prices
    ///
    /// Every line is ok, warn or fail, with what to do. Nothing is changed. With
    /// --agent the agent checks what it works with.
    ///
    /// Examples:
    ///   exokit doctor
    ///   exokit doctor --cloud exoscale -o json
    #[command(verbatim_doc_comment)]
    Doctor,
    Serve(Box<ServeArgs>),
    Orchestrator(Box<OrchestratorArgs>),
    /// Manage bearer tokens for the agent's HTTP
    ///
    /// Works on this host.
    #[command(subcommand)]
    Token(TokenCommand),
    Schema(SchemaArgs),
    Sim(SimArgs),
    Demo(DemoArgs),
    Completions(CompletionsArgs),
    Man(ManArgs),
}
