//! Arguments of the commands that choose, plan and change.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use exokit_model::break_glass::BreakGlass;
use exokit_model::ids::{EnvironmentName, PlanId, Zone};
use exokit_model::spec::{AtExpiry, DatabaseEngine, EnvironmentClass, SksLevel};
use exokit_text::format::parse_duration;
use rust_decimal::Decimal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::args::PaceArgs;

/// Reads a value from the word that stands for it in messages.
fn word<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value::<T>(word.into()))
}

/// Select the cheapest template that satisfies requirements, and explain it
///
/// The answer is the cheapest template that satisfies every requirement. For
/// each other template it says what it lacks. Nothing is recorded and no cloud
/// is asked.
///
/// Examples:
///   exokit select --database pg --object-storage
///   exokit select --isolation --country ch -o json
///   exokit select -f requirements.yaml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SelectArgs {
    #[command(flatten)]
    pub(crate) requirements: RequirementArgs,
    /// A YAML file with requirements, such as `database: pg`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Zone that it must be made in
    #[arg(long)]
    pub(crate) zone: Option<Zone>,
    /// How long it is to live, for the price
    #[arg(long, value_name = "8h", value_parser = parse_duration)]
    pub(crate) ttl: Option<u64>,
}

/// Show what would be made, what it costs and who must approve
///
/// Shows everything that an approval is bound to: resources, order, predicted
/// durations, cost, level and digest. Nothing is recorded and nothing changes.
///
/// Examples:
///   exokit plan T3 --ttl 8h
///   exokit plan --database pg --object-storage
///   exokit plan -f runs/T3-20260223.yaml
///   exokit plan T1 -o json --out plan.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// Write the plan's canonical bytes, whose SHA-256 is the digest
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// Make an environment: plan it, record the plan, and run it once approved
///
/// A plan of level 1 runs at once. A plan of level 2 or 3 is recorded and the
/// command ends with exit code 3 and says how to approve it; then run it with
/// `--plan`, or let `exokit watch` run it. Ctrl-C detaches; the work is not
/// lost.
///
/// Examples:
///   exokit up T1 --name first
///   exokit up -f runs/T3-20260223.yaml
///   exokit up T3 --name store --as dana --wait
///   exokit up --plan plan_abcdefghijklmnop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ProvisionArgs {
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// Run this recorded plan, which is approved
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["template", "file", "name"])]
    pub(crate) plan: Option<PlanId>,
    /// Wait for the approvals instead of ending with exit code 3
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
}

/// What a new environment is to be.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Template, such as T3 or persistent-store; without one the requirements choose
    #[arg(value_name = "TEMPLATE")]
    pub(crate) template: Option<String>,
    /// A run file of the earlier kit instead of a template
    #[arg(short, long, value_name = "FILE", conflicts_with = "template")]
    pub(crate) file: Option<PathBuf>,
    /// Report unknown keys of the run file instead of refusing them
    #[arg(long, requires = "file")]
    pub(crate) lenient: bool,
    /// Name of the environment [default: stargate-tN-YYYYMMDD]
    #[arg(long, value_name = "ENV")]
    pub(crate) name: Option<EnvironmentName>,
    /// Zone [default: that of the template]
    #[arg(long)]
    pub(crate) zone: Option<Zone>,
    /// How long it lives, such as 8h or 2d; afterwards its teardown is proposed
    #[arg(long, value_name = "8h", value_parser = parse_duration)]
    pub(crate) ttl: Option<u64>,
    /// It expires earlier without `exokit keep-alive` for so long, such as 30m
    #[arg(long, value_name = "30m", value_parser = parse_duration)]
    pub(crate) keep_alive: Option<u64>,
    /// What happens when it expires; `remove` is approved together with it
    #[arg(long, value_parser = word::<AtExpiry>(&["ask", "remove"]), default_value = "ask")]
    pub(crate) at_expiry: AtExpiry,
    /// Ask for at least this approval level
    #[arg(long, value_name = "1..3", value_parser = clap::value_parser!(u8).range(1..=3))]
    pub(crate) level: Option<u8>,
    /// Why it may go past a limit of the policy, such as the longest life; takes level 3
    #[arg(long, value_name = "REASON")]
    pub(crate) break_glass: Option<BreakGlass>,
    #[command(flatten)]
    pub(crate) requirements: RequirementArgs,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
}

/// Requirements; the cheapest template that has it all is taken. The fields
/// are those of a request.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Requirements")]
pub(crate) struct RequirementArgs {
    /// A managed database
    #[arg(long, value_parser = word::<DatabaseEngine>(&["pg", "valkey"]))]
    database: Option<DatabaseEngine>,
    /// A bucket
    #[arg(long)]
    object_storage: bool,
    /// Block storage of at least so many GiB
    #[arg(long = "block-storage", value_name = "GIB")]
    block_storage_gib: Option<u32>,
    /// CPUs of each node, at least
    #[arg(long, value_name = "N")]
    node_cpus: Option<u32>,
    /// Memory of each node in GiB, at least
    #[arg(long = "node-memory", value_name = "GIB")]
    node_memory_gib: Option<u32>,
    /// CPUs of all nodes together, at least
    #[arg(long, value_name = "N")]
    total_cpus: Option<u32>,
    /// Memory of all nodes together in GiB, at least
    #[arg(long = "total-memory", value_name = "GIB")]
    total_memory_gib: Option<u32>,
    /// Nodes, at least
    #[arg(long, value_name = "N")]
    nodes_min: Option<u32>,
    /// The hardened profile
    #[arg(long)]
    isolation: bool,
    /// Grafana, Prometheus and Loki
    #[arg(long)]
    observability: bool,
    /// Replicas that always run, at least
    #[arg(long, value_name = "N")]
    replicas_min: Option<u32>,
    /// Replicas that it can grow to, at least
    #[arg(long, value_name = "N")]
    replicas_max: Option<u32>,
    /// How much it matters; production raises the approval level
    #[arg(long, value_parser = word::<EnvironmentClass>(&["test", "staging", "production"]))]
    pub(crate) class: Option<EnvironmentClass>,
    /// Country of the zone, such as ch
    #[arg(long, value_name = "CC")]
    country: Option<String>,
    /// A platform agent that it must serve; may be repeated
    #[arg(long = "serves", value_name = "NAME")]
    agents: Vec<String>,
    /// Price per hour, at most
    #[arg(long = "price-max", value_name = "AMOUNT")]
    hourly_max: Option<Decimal>,
}

/// Choices other than those of the template. The fields are those of a request.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Instead of the template's own")]
pub(crate) struct ShapeArgs {
    /// Project name for display
    #[arg(long)]
    project: Option<String>,
    /// Level of the control plane
    #[arg(long, value_parser = word::<SksLevel>(&["starter", "pro"]))]
    sks_level: Option<SksLevel>,
    /// Kubernetes version, such as 1.35
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<String>,
    /// Number of nodes
    #[arg(long, value_name = "N")]
    nodes: Option<u32>,
    /// Size of the nodes, such as medium
    #[arg(long, value_name = "SIZE")]
    node_size: Option<String>,
    /// Local disk of each node in GiB
    #[arg(long = "node-disk", value_name = "GIB")]
    node_disk_gib: Option<u32>,
    /// Plan of the database, such as startup-8
    #[arg(long, value_name = "PLAN")]
    database_plan: Option<String>,
    /// Size of the block storage in GiB
    #[arg(long = "volume-size", value_name = "GIB")]
    volume_gib: Option<u32>,
    /// Container image of the workload
    #[arg(long)]
    image: Option<String>,
    /// Login to the registry of the image: registry-logins/NAME.json of the engine's state directory
    #[arg(long, value_name = "NAME")]
    registry_login: Option<String>,
    /// Host name of the ingress
    #[arg(long)]
    domain: Option<String>,
    /// Mail address for certificates of Let's Encrypt
    #[arg(long, value_name = "ADDRESS")]
    cert_email: Option<String>,
    /// A ClusterIssuer of cert-manager, which you install, makes the certificate instead
    #[arg(long, value_name = "NAME", conflicts_with = "cert_email")]
    cert_issuer: Option<String>,
    /// Port of the workload's container
    #[arg(long)]
    port: Option<u16>,
    /// Replicas of the workload; where it scales, the least
    #[arg(long, value_name = "N")]
    replicas: Option<u32>,
}

/// Remove an environment and prove that nothing is left
///
/// Teardown always needs an approval: level 2, or level 3 when data is
/// destroyed. It ends with a certificate: an independent look at every kind in
/// every zone.
///
/// Examples:
///   exokit down first
///   exokit approve first
///   exokit down --plan plan_abcdefghijklmnop
///   exokit down first --wait -o json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct TeardownArgs {
    /// The environment
    #[arg(value_name = "ENV", required_unless_present = "plan")]
    pub(crate) environment: Option<EnvironmentName>,
    /// Run this recorded plan, which is approved
    #[arg(long, value_name = "PLAN", conflicts_with = "environment")]
    pub(crate) plan: Option<PlanId>,
    /// Wait for the approvals instead of ending with exit code 3
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
}

/// Extend the life of an environment
///
/// The time that is added is a plan of its own, because it is paid for. Only an
/// environment that has an end can be extended.
///
/// Examples:
///   exokit extend first --ttl 4h
///   exokit extend first --ttl 4h --break-glass "the audit is not over"
///   exokit extend --plan plan_abcdefghijklmnop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ExtendArgs {
    /// The environment
    #[arg(value_name = "ENV", required_unless_present = "plan", requires = "ttl")]
    pub(crate) environment: Option<EnvironmentName>,
    /// How much longer, such as 4h
    #[arg(long, value_name = "4h", value_parser = parse_duration)]
    pub(crate) ttl: Option<u64>,
    /// Why it may live longer than the policy allows; takes level 3
    #[arg(long, value_name = "REASON")]
    pub(crate) break_glass: Option<BreakGlass>,
    /// Run this recorded plan, which is approved
    #[arg(long, value_name = "PLAN", conflicts_with_all = ["environment", "ttl", "break_glass"])]
    pub(crate) plan: Option<PlanId>,
    /// Wait for the approvals instead of ending with exit code 3
    #[arg(long)]
    pub(crate) wait: bool,
}
