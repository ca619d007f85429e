//! `swarm` and `mutants`: seeded schedules of faults, and whether they find
//! mistakes.
//!
//! Both are examples of the crate `exokit-simtest`, which links the engine and
//! the simulated cloud; this program must not. The mistakes are behind a
//! feature, so nothing of them is in what is shipped.

use crate::Outcome;
use crate::process::{cargo, run as run_command};
use crate::repo::Repo;

/// What continuous integration runs: enough for a mistake that shows in one
/// run of two thousand to be missed once in ten thousand.
const CI: [&str; 4] = ["--seeds", "20000", "--least", "50"];

/// Runs seeds, or replays a schedule.
pub(crate) fn run(repo: &Repo, arguments: &[String]) -> Outcome {
    example(repo, &["--example", "swarm"], arguments)
}

/// What every change must pass.
pub(crate) fn run_for_ci(repo: &Repo) -> Outcome {
    run(repo, &CI.map(str::to_owned))
}

/// Plants each mistake and counts the seeds until it is found.
pub(crate) fn mutants(repo: &Repo, arguments: &[String]) -> Outcome {
    example(repo, &["--features", "mutants", "--example", "mutants"], arguments)
}

fn example(repo: &Repo, which: &[&str], arguments: &[String]) -> Outcome {
    let mut command = cargo(repo, &["run", "--release", "--quiet", "-p", "exokit-simtest"]);
    command.args(which).arg("--").args(arguments);
    run_command(command)
}
