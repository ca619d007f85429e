//! `ci`: what a change must pass, one command on any machine.

use crate::count::Count;
use crate::outcome::Outcome;
use crate::repo::Repo;
use crate::stages::Stages;
use crate::{fuzz, lint, size, swarm, test};

/// Runs lint, test, swarm, mutants, fuzz and size; the last line is the count of tests.
pub(crate) fn run(repo: &Repo) -> Outcome {
    let mut stages = Stages::default();
    let mut count = Count::default();
    stages.run("lint", || lint::run(repo));
    stages.run("test", || {
        let report = test::run(repo, &[]);
        count = report.count;
        report.outcome
    });
    stages.run("swarm", || swarm::run_for_ci(repo));
    stages.run("mutants", || swarm::mutants(repo, &[]));
    stages.run("fuzz", || fuzz::run(repo, &[]));
    stages.run("size", || size::run(repo));
    let outcome = stages.finish();
    println!("{count}");
    outcome
}
