//! Arguments of the commands beside an environment's life.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use exokit_model::ids::Zone;
use secrecy::SecretString;

/// What to do with prices.
#[derive(Debug, Subcommand)]
pub(crate) enum PricesCommand {
    /// Show the prices in use, with their date
    ///
    /// Example:
    ///   exokit prices show -o json
    #[command(verbatim_doc_comment)]
    Show,
    /// Fetch the public price lists into the state directory
    ///
    /// Works on this host.
    ///
    /// Example:
    ///   exokit prices update
    #[command(verbatim_doc_comment)]
    Update,
    /// Compare the prices in use with the public ones; exit code 1 when they differ
    ///
    /// Example:
    ///   exokit prices verify
    #[command(verbatim_doc_comment)]
    Verify,
}

/// What to check.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the hash chain from the first record; names the first bad one
    ///
    /// Examples:
    ///   exokit audit verify
    ///   exokit audit verify --anchor export.json
    #[command(verbatim_doc_comment)]
    Verify {
        /// An earlier export: the chain must pass through its end
        #[arg(long, value_name = "FILE")]
        anchor: Option<PathBuf>,
    },
}

/// What to do with the registry.
#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    /// Write all records and environments as one JSON document
    ///
    /// Examples:
    ///   exokit registry export > registry.json
    ///   exokit registry export --out registry.json
    #[command(verbatim_doc_comment)]
    Export {
        /// Where to write it; stdout without it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Import a document into an empty ledger; it is checked first
    ///
    /// Works on this host. The files `keyring` and `root.key` of the old state directory are not part
    /// of the document: copy them first, or what was made under the one cannot be
    /// recognised, and the roster under the other cannot be verified.
    ///
    /// Example:
    ///   exokit registry import registry.json --state new-folder
    #[command(verbatim_doc_comment)]
    Import {
        /// The document
        file: PathBuf,
    },
}

/// Serve a simulated Exoscale that the official clients accept
///
/// Works on this host. Prints one JSON line when it is ready and runs until
/// Ctrl-C.
///
/// Examples:
///   exokit sim
///   exokit sim --listen 127.0.0.1:8117 --speed max --state cloud.json
///   KUBEBUILDER_ASSETS=/opt/kubernetes/bin exokit sim --control-plane real
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SimArgs {
    /// Address of the API
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Address of object storage [default: a free port]
    #[arg(long, value_name = "ADDR")]
    pub(crate) sos_listen: Option<SocketAddr>,
    /// Seed of ids, latencies and fault probabilities
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// A JSON file with faults to inject, latencies in milliseconds, or both:
    /// {"faults": [...], "latencies": {"create-sks-cluster": {"low_ms": 1, "high_ms": 2}}}
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Append what is asked of the API and answered, one JSON object per line,
    /// without signatures and with secrets replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// The Kubernetes behind each SKS cluster: a simulated one, or real etcd,
    /// kube-apiserver, kube-controller-manager and kube-scheduler from the folder
    /// in the variable KUBEBUILDER_ASSETS
    #[arg(long, value_enum, value_name = "KIND", default_value_t)]
    pub(crate) control_plane: ControlPlaneName,
    /// The API key to accept
    #[arg(long, value_name = "K", allow_hyphen_values = true)]
    pub(crate) api_key: Option<String>,
    /// Its secret
    #[arg(long, value_name = "S", allow_hyphen_values = true)]
    pub(crate) api_secret: Option<SecretString>,
    /// The default zone
    #[arg(long)]
    pub(crate) zone: Option<Zone>,
}

/// The Kubernetes behind each SKS cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ControlPlaneName {
    /// A simulated Kubernetes
    #[default]
    Simulated,
    /// The programs of a real control plane
    Real,
}

/// Tell the whole story on the embedded cloud, in half a minute
///
/// Works on this host. Select, plan, a request that needs an approval, a refused one by the
/// requester, one by a second person, provision, drift, teardown with two
/// persons, certificate, sweep and audit: each by the command that you would
/// type, in a fresh state directory.
///
/// Examples:
///   exokit demo
///   exokit demo --keep demo-state
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct DemoArgs {
    /// Keep the state directory here to look around afterwards
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

/// Print shell completions
///
/// Works on this host.
///
/// Example:
///   exokit completions bash > ~/.local/share/bash-completion/completions/exokit
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// Print the manual page, or write all of them
///
/// Works on this host.
///
/// Examples:
///   exokit man | man -l -
///   exokit man ./man1
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ManArgs {
    /// Where to write one page per command
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}
