//! Arguments of the commands that hand out access.

use std::path::PathBuf;

use clap::Args;
use exokit_model::access::ClusterRole;
use exokit_model::ids::EnvironmentName;
use exokit_model::secret_slot::SecretValue;

use exokit_text::format::parse_duration;

/// Show secrets of an environment
///
/// Database address and password, and the key of the bucket, read from the cloud
/// when asked for. Each reading is recorded with who and what; `exokit history`
/// shows it. Secrets of an environment in production take an approved plan:
/// --wait asks for it and waits.
///
/// Examples:
///   exokit secrets first
///   exokit secrets first database-password
///   eval "$(exokit secrets first -o env)"; psql "$DATABASE_URI"
///   exokit secrets shop --wait
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct SecretsArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub(crate) environment: EnvironmentName,
    /// Which secrets; by default all
    #[arg(value_name = "NAME", value_parser = parse_secret)]
    pub(crate) names: Vec<SecretValue>,
    /// Ask for an approval where one is needed, and wait for it
    #[arg(long)]
    pub(crate) wait: bool,
}

/// Get a kubeconfig for an environment's cluster
///
/// Prints it, or puts it into your kubeconfig with --merge. The certificate in it
/// ends by itself. A viewer reads the namespace of the environment without its
/// secrets, an editor changes it, an admin administers the cluster. An admin
/// always takes an approved plan, an editor in production: --wait asks for it and
/// waits. With --exec the file holds no credential: kubectl asks exokit for one
/// whenever it needs it.
///
/// Examples:
///   exokit kubeconfig first > first.yaml
///   exokit kubeconfig first --merge --exec; kubectl get pods
///   exokit kubeconfig first --role editor --ttl 30m --merge
///   exokit kubeconfig first --role admin --wait > admin.yaml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct KubeconfigArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub(crate) environment: EnvironmentName,
    /// Rights: viewer, editor or admin
    #[arg(long, default_value_t, value_name = "ROLE")]
    pub(crate) role: ClusterRole,
    /// How long the certificate is valid; at most 24h, and no longer than the environment
    #[arg(long, value_name = "1h", value_parser = parse_duration, default_value = "1h")]
    pub(crate) ttl: u64,
    /// Put it into your kubeconfig as the current context, and keep what is there
    #[arg(long)]
    pub(crate) merge: bool,
    /// The file for --merge [default: KUBECONFIG, or ~/.kube/config]
    #[arg(long, value_name = "FILE", requires = "merge")]
    pub(crate) file: Option<PathBuf>,
    /// Let kubectl ask exokit for credentials instead of writing them down
    #[arg(long, conflicts_with = "wait")]
    pub(crate) exec: bool,
    /// Print a credential as kubectl takes it from a plugin
    #[arg(long, hide = true, conflicts_with_all = ["merge", "exec", "wait"])]
    pub(crate) credential: bool,
    /// Ask for an approval where one is needed, and wait for it
    #[arg(long)]
    pub(crate) wait: bool,
}

fn parse_secret(text: &str) -> Result<SecretValue, String> {
    let names: Vec<String> = SecretValue::FOR_PEOPLE.iter().map(ToString::to_string).collect();
    let found = SecretValue::FOR_PEOPLE.into_iter().find(|value| value.to_string() == text);
    found.ok_or_else(|| format!("there is no such secret: use {}", names.join(", ")))
}
