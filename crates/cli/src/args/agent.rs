//! Arguments of the agent: serving, tokens, schemas.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use exokit_model::ids::PersonId;
use exokit_text::format::parse_duration;
use exokit_wire::verb::Scope;

use super::PaceArgs;

/// Run the agent AZ-INFRA-001: requests over NATS and HTTP, events, metrics
///
/// Works on this host. Prints one line of JSON once every door is open. On SIGTERM it takes no new
/// requests, answers those under way and leaves work to whoever comes next.
/// The password comes from EXOKIT_NATS_PASSWORD, the seed of an nkey from
/// EXOKIT_NATS_NKEY.
/// With OTEL_EXPORTER_OTLP_ENDPOINT it exports spans to that collector.
///
/// Examples:
///   exokit --cloud sim serve
///   exokit serve --listen 0.0.0.0:8118 --nats tls://nats:4222 --nats-user infra
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ServeArgs {
    /// Where HTTP is served: operations, health and metrics
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8118", env = "EXOKIT_LISTEN")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    /// Operations under way at once
    #[arg(long, value_name = "N", default_value = "2000")]
    pub(crate) operations: NonZeroUsize,
    /// Requests answered at once; more are told when to come again
    #[arg(long, value_name = "N", default_value = "256")]
    pub(crate) requests: NonZeroUsize,
    /// Requests per second of one bearer token
    #[arg(long, value_name = "N", default_value = "100")]
    pub(crate) rate: NonZeroU32,
    /// Form of the log on stderr; EXOKIT_LOG says how much of it
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub(crate) log_format: LogFormat,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
}

/// Route the platform's tasks to the agent
///
/// Works on this host. Takes tasks on orchestrator.task.>, checks them against the routing table
/// and its gates, hands them on, and sends back what comes of them. Provision
/// of T3 and above and every teardown need an approval_token that verifies.
/// Votes that are handed on are written to the audit log first.
/// With OTEL_EXPORTER_OTLP_ENDPOINT it exports spans to that collector.
///
/// Examples:
///   exokit orchestrator --nats tls://nats:4222 --nats-user orchestrator
///   exokit orchestrator --nats nats://127.0.0.1:4222 --routes communication/routes.yaml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct OrchestratorArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    /// The routing table; without it the one of the platform
    #[arg(long, value_name = "FILE")]
    pub(crate) routes: Option<PathBuf>,
    /// Public half of the root key; by default the pinned one of the state directory
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// Where votes that are handed on are written down; by default
    /// `orchestrator-audit.jsonl` in the state directory
    #[arg(long, value_name = "FILE")]
    pub(crate) audit: Option<PathBuf>,
    /// Form of the log on stderr; EXOKIT_LOG says how much of it
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub(crate) log_format: LogFormat,
}

/// Where the NATS server is, and how to log in. The password comes from
/// EXOKIT_NATS_PASSWORD, the seed of an nkey from EXOKIT_NATS_NKEY.
#[derive(Debug, Clone, Args)]
pub(crate) struct NatsArgs {
    /// The NATS server, or several with commas
    #[arg(long = "nats", value_name = "URL", env = "EXOKIT_NATS_URL")]
    pub(crate) url: Option<String>,
    /// User at the NATS server
    #[arg(long = "nats-user", value_name = "USER", env = "EXOKIT_NATS_USER", requires = "url")]
    pub(crate) user: Option<String>,
    /// Credentials file instead of a user
    #[arg(long = "nats-creds", value_name = "FILE", requires = "url", conflicts_with = "user")]
    pub(crate) creds: Option<PathBuf>,
    /// Certificate authority of the NATS server, besides those of the system
    #[arg(long = "nats-ca", value_name = "FILE", env = "EXOKIT_NATS_CA", requires = "url")]
    pub(crate) ca: Option<PathBuf>,
}

/// Forms of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; its secret is printed once and kept nowhere
    ///
    /// A running agent takes it within seconds. No scope includes another.
    ///
    /// Examples:
    ///   exokit token create --for kim --scope read --scope request
    ///   exokit token create --for bot --scope read --expires 30d
    #[command(verbatim_doc_comment)]
    Create {
        /// Who it speaks for
        #[arg(long = "for", value_name = "PERSON")]
        person: PersonId,
        /// What it allows: read, request, approve-forward or admin
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<Scope>,
        /// How long it is valid
        #[arg(long, value_name = "TIME", default_value = "90d", value_parser = parse_duration)]
        expires: u64,
    },
    /// List the tokens, without their secrets
    ///
    /// Example:
    ///   exokit token list -o json
    #[command(verbatim_doc_comment)]
    List,
    /// Remove a token; a running agent refuses it within seconds
    ///
    /// Example:
    ///   exokit token revoke 3f2a90c1d4e5
    #[command(verbatim_doc_comment)]
    Revoke {
        /// Its id
        id: String,
    },
}

/// Print the JSON Schemas of the agent's messages
///
/// Works on this host.
///
/// Examples:
///   exokit schema                              their names
///   exokit schema infra.provision.request
///   exokit schema openapi
///   exokit schema --out schemas
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SchemaArgs {
    /// Which one
    pub(crate) name: Option<String>,
    /// Write all of them to files in this folder
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    pub(crate) out: Option<PathBuf>,
}
