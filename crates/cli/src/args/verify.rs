//! Arguments of `exokit verify`.

use std::path::PathBuf;

use clap::Args;
use exokit_model::ids::EnvironmentName;

/// Check an environment against what its template promised
///
/// Compares the approved description with cloud and cluster, one check for each
/// promise. Ends with exit code 1 when a check fails. Nothing is changed or
/// recorded.
///
/// Examples:
///   exokit verify first
///   exokit verify first -o json
///   exokit verify first --junit report.xml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct VerifyArgs {
    /// The environment
    #[arg(value_name = "ENV")]
    pub(crate) environment: EnvironmentName,
    /// Write the checks to this file as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}
