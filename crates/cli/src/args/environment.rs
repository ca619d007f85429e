//! Arguments of the commands that read, follow and resume.

use clap::Args;
use exokit_model::ids::{EnvironmentName, Zone};

use crate::args::PaceArgs;

/// List environments
///
/// Examples:
///   exokit list
///   exokit list --all -o json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ListArgs {
    /// Also those that are gone, were rolled back or rejected
    #[arg(short, long)]
    pub(crate) all: bool,
}

/// One environment.
#[derive(Debug, Args)]
pub(crate) struct EnvironmentArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub(crate) environment: EnvironmentName,
}

/// Follow an environment, and run what no process runs
///
/// Follows an operation that another process runs, takes it over when that
/// process has ended, and starts a plan that is approved. Without an environment
/// it does so for all of them and plans the teardown of those that have expired,
/// until Ctrl-C. With --agent the agent runs everything, and this follows.
///
/// Examples:
///   exokit watch first
///   exokit watch
///   exokit watch --once
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct WatchArgs {
    /// The environment; all without one
    #[arg(value_name = "ENV")]
    pub(crate) environment: Option<EnvironmentName>,
    /// Do what can be done now, do not wait for approvals or for time to pass
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
}

/// Resume an operation that waits for a human, or roll it back
///
/// Examples:
///   exokit resume first
///   exokit resume first --rollback
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct ResumeArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub(crate) environment: EnvironmentName,
    /// Remove what the operation has made instead of going on; stop a teardown
    /// where it is
    #[arg(long)]
    pub(crate) rollback: bool,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
}

/// Tell the story of an environment, from the ledger
///
/// Examples:
///   exokit history first
///   exokit history -o json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct HistoryArgs {
    /// The environment; everything that the ledger holds without one
    #[arg(value_name = "ENV")]
    pub(crate) environment: Option<EnvironmentName>,
}

/// Find resources that carry our mark and belong to no environment
///
/// Looks at every kind in every zone. Exit code 0 when there is no orphan, 1
/// when there is one. Nothing is removed.
///
/// Examples:
///   exokit orphans
///   exokit orphans -o json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct OrphansArgs {
    /// Zone through which the account is asked
    #[arg(long)]
    pub(crate) zone: Option<Zone>,
}
