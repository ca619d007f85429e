//! `test`: every test of the workspace, then those in Python.
//!
//! Unit, integration and documentation tests: what is tested is compiled as
//! what is shipped, and only once. The tests of the command line and those in
//! Python wait for programs most of the time, the simulations never wait, so
//! both run side by side. The closing line `N passed, N failed` adds up what
//! all the runners counted.

use crate::count::Count;
use crate::outcome::Outcome;
use crate::process::{captured, cargo, run as run_command, watch};
use crate::python::Tools;
use crate::repo::Repo;
use crate::stages::Stages;
use crate::{control_plane, python, size};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Leaves the tests in Python out.
const NO_CLIENTS: &str = "--no-clients";

/// What a whole run came to.
pub(crate) struct Report {
    pub(crate) count: Count,
    pub(crate) outcome: Outcome,
}

impl Report {
    /// Prints the closing line.
    pub(crate) fn report(self) -> Outcome {
        println!("{}", self.count);
        self.outcome
    }
}

/// The package whose integration tests run its program.
const PROGRAM: &str = "exokit";

/// Runs all; the arguments go to `cargo test`, save `--no-clients`. Where they
/// name a package, that one alone is meant, without the tests in Python.
pub(crate) fn run(repo: &Repo, arguments: &[String]) -> Report {
    let mut stages = Stages::default();
    let mut count = Count::default();
    let with_clients = !names_package(arguments) && !arguments.iter().any(|a| a == NO_CLIENTS);
    match arguments.iter().all(|a| a == NO_CLIENTS) {
        true => all(repo, with_clients, &mut stages, &mut count),
        false => {
            // First, since tests in Rust run the NATS server in it.
            let python = stages.run("Python for the tests", || python::prepare(repo));
            stages.run("cargo test", || some(repo, python.as_deref(), arguments, &mut count));
            if let Some(python) = python.filter(|_| with_clients)
                && stages.run("release build", || size::build(repo)).is_some()
                && let Some(control_plane) = stages.run("control plane", || control_plane::prepare(repo))
            {
                let tools = Tools { python, control_plane };
                stages.run("tests in Python", || python::run(repo, &tools, &mut count));
            }
        }
    }
    let outcome = stages.finish().and_then(|()| match count {
        Count { passed: 0, failed: 0 } => Err("no test was run".to_owned()),
        Count { failed: 0, .. } => Ok(()),
        Count { failed, .. } => Err(format!("{failed} tests failed")),
    });
    Report { count, outcome }
}

/// Every test of the workspace; those that wait for programs, the ones in
/// Python among them where they are wanted, beside the others.
fn all(repo: &Repo, with_clients: bool, stages: &mut Stages, count: &mut Count) {
    let built = stages.run("build, and what the tests run with", || build(repo, with_clients));
    let Some(tools) = built else { return };
    let python = tools.python.as_path();
    let clients = Some(&tools).filter(|_| with_clients);
    let command = |options: &[&str]| {
        let mut command = cargo_test(repo, Some(python));
        command.arg("--workspace").args(options);
        command
    };
    let (program, others) = test_targets(repo);
    stages.run("tests", || {
        let mut waiting = command(&["--no-fail-fast"]);
        waiting.args(program.iter().flat_map(|name| ["--test", name]));
        let mut working = command(&["--no-fail-fast", "--lib", "--bins"]);
        working.args(others.iter().flat_map(|name| ["--test", name]));
        std::thread::scope(|scope| {
            let beside = scope.spawn(|| wait_for_programs(repo, waiting, clients));
            let worked = watch(working, |line| *count += result_line(line).unwrap_or_default());
            let (waited, outcome) = beside.join().map_err(broken_off)?;
            *count += waited;
            worked.and(outcome)
        })
    });
    stages.run("cargo test, documentation", || {
        watch(command(&["--doc"]), |line| *count += result_line(line).unwrap_or_default())
    });
}

/// Compiles all tests and the program while packages for Python are fetched
/// and, for the tests in Python, Go builds a control plane.
fn build(repo: &Repo, with_clients: bool) -> Outcome<Tools> {
    std::thread::scope(|scope| {
        let python = scope.spawn(|| python::prepare(repo));
        let control_plane =
            scope.spawn(|| if with_clients { control_plane::prepare(repo) } else { Ok(None) });
        // The examples are benchmarks: lint sees that they compile.
        let mut tests = cargo_test(repo, None);
        tests.args(["--workspace", "--no-run", "--lib", "--bins", "--tests"]);
        let built = run_command(tests).and_then(|()| size::build(repo));
        let python = python.join().map_err(broken_off)?;
        let control_plane = control_plane.join().map_err(broken_off)?;
        built?;
        Ok(Tools { python: python?, control_plane: control_plane? })
    })
}

fn broken_off<E>(_: E) -> String {
    "a thread has panicked".to_owned()
}

/// Runs the tests that wait most of the time, first those of the command line.
fn wait_for_programs(repo: &Repo, tests: Command, clients: Option<&Tools>) -> (Count, Outcome) {
    let mut count = Count::default();
    let in_rust = captured(tests).and_then(|(printed, outcome)| {
        print!("{printed}");
        printed.lines().for_each(|line| count += result_line(line).unwrap_or_default());
        outcome
    });
    let in_python = clients.map_or(Ok(()), |tools| python::run(repo, tools, &mut count));
    (count, in_rust.and(in_python))
}

/// The names of the integration tests: those of the program, and all others.
/// Where both have one of a name, it is among the first.
fn test_targets(repo: &Repo) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let named = |of_program: bool| -> BTreeSet<&str> {
        let packages = repo.metadata.packages.iter();
        let packages = packages.filter(|package| (package.name.as_str() == PROGRAM) == of_program);
        let targets = packages.flat_map(|package| &package.targets);
        targets.filter(|target| target.is_test()).map(|target| target.name.as_str()).collect()
    };
    let program = named(true);
    let others = named(false).difference(&program).copied().collect();
    (program, others)
}

/// Tests are compiled as what is shipped, and told where the servers are.
fn cargo_test(repo: &Repo, python: Option<&Path>) -> Command {
    let mut command = cargo(repo, &["test", "--release"]);
    command.envs(python.map(python::variables).into_iter().flatten());
    command
}

fn some(repo: &Repo, python: Option<&Path>, arguments: &[String], count: &mut Count) -> Outcome {
    let mut command = cargo_test(repo, python);
    command.arg("--no-fail-fast");
    if !names_package(arguments) {
        command.arg("--workspace");
    }
    command.args(arguments.iter().filter(|a| *a != NO_CLIENTS));
    watch(command, |line| *count += result_line(line).unwrap_or_default())
}

/// Whether cargo is told which package to test; what follows `--` is not for cargo.
fn names_package(arguments: &[String]) -> bool {
    let for_cargo = arguments.iter().take_while(|a| *a != "--");
    for_cargo.into_iter().any(|a| a.starts_with("--package") || (a.starts_with("-p") && !a.starts_with("--")))
}

/// Reads `test result: ok. 12 passed; 0 failed; …`.
fn result_line(line: &str) -> Option<Count> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |what: &str| -> Option<u64> {
        counts.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
    };
    Some(Count { passed: number("passed")?, failed: number("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_lines_of_cargo_test_are_read() {
        let ok =
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(result_line(ok), Some(Count { passed: 12, failed: 0 }));
        let bad = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(result_line(bad), Some(Count { passed: 3, failed: 2 }));
        assert_eq!(result_line("test model::a ... ok"), None);
    }

    #[test]
    fn a_named_package_is_seen() {
        let named =
            |words: &[&str]| names_package(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(named(&["-p", "xtask"]) && named(&["-pxtask"]) && named(&["--package=xtask"]));
        assert!(!named(&["price", "--no-clients", "--", "-p"]));
    }

    #[test]
    fn every_integration_test_is_run_once() {
        let repo = Repo::find().expect("the workspace");
        let (program, others) = test_targets(&repo);
        assert!(program.contains("program") && others.contains("all"));
        assert!(program.is_disjoint(&others));
        let targets = repo.metadata.packages.iter().flat_map(|package| &package.targets);
        for target in targets.filter(|target| target.is_test()) {
            assert!(program.contains(target.name.as_str()) || others.contains(target.name.as_str()));
        }
    }
}
