//! `bench`: time to ready of the seven templates, in virtual time.
//!
//! The benchmark is the example `bench` of the crate `exokit-simtest`: it needs
//! the engine and the simulated cloud, which this program must not link.

use crate::Outcome;
use crate::process::{cargo, run as run_command};
use crate::repo::Repo;

const PACKAGE: &str = "exokit-simtest";
const EXAMPLE: &str = "bench";

/// Builds and runs the benchmark with these arguments.
pub(crate) fn run(repo: &Repo, arguments: &[String]) -> Outcome {
    if !repo.has_example(PACKAGE, EXAMPLE) {
        return Err(format!("there is no benchmark: {PACKAGE} has no example `{EXAMPLE}`"));
    }
    let mut command = cargo(repo, &["run", "--release", "--quiet", "-p", PACKAGE, "--example", EXAMPLE]);
    command.arg("--").args(arguments);
    run_command(command)
}
