//! `swarm` and `mutants`: seeded schedules of faults, and whether they find
//! mistakes.
//!
//! Both are examples of the crate `exokit-simtest`, which links the engine and
//! the simulated cloud; this program must not. The mistakes are behind a
//! feature, so nothing of them is in what is shipped.

use crate::outcome::Outcome;
use crate::process::{cargo, program, run as run_command};
use crate::repo::Repo;

/// What continuous integration runs: enough for a mistake that shows in one
/// run of 650 to be missed once in ten thousand.
const CI: [&str; 4] = ["--seeds", "6000", "--least", "15"];

/// Runs seeds, or replays a schedule.
pub(crate) fn run(repo: &Repo, arguments: &[String]) -> Outcome {
    example(repo, "swarm", &[], arguments)
}

/// What every change must pass.
pub(crate) fn run_for_ci(repo: &Repo) -> Outcome {
    run(repo, &CI.map(str::to_owned))
}

/// Plants each mistake and counts the seeds until it is found.
pub(crate) fn mutants(repo: &Repo, arguments: &[String]) -> Outcome {
    example(repo, "mutants", &["--features", "exokit-simtest/mutants"], arguments)
}

/// Builds an example with the whole workspace, as the tests are built, so that
/// what they share is compiled once; then runs it.
fn example(repo: &Repo, name: &str, features: &[&str], arguments: &[String]) -> Outcome {
    let mut build = cargo(repo, &["build", "--release", "--quiet", "--workspace", "--example", name]);
    build.args(features);
    run_command(build)?;
    let mut command = program(repo, repo.release(&format!("examples/{name}")), &[]);
    command.args(arguments);
    run_command(command)
}
