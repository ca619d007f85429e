//! `bench`: how long environments take, one and a thousand at once, what they
//! cost in memory, and how a long ledger starts; written to a document.
//!
//! The benchmarks are examples of the crates `exokit-simtest` and
//! `exokit-agent`: they need the engine, the simulated cloud and NATS, which
//! this program must not link.

mod document;
mod machine;

use std::path::PathBuf;

use crate::outcome::Outcome;
use crate::process::{cargo, follow, run as run_command};
use crate::repo::Repo;
use crate::{python, size};

/// Where most benchmarks are.
const SIMULATED: &str = "exokit-simtest";
/// Where the one is that runs the agent, and its name.
const AGENT: (&str, &str) = ("exokit-agent", "agent");
/// The benchmark that also writes the ledgers of others.
const LEDGER: &str = "ledger";

/// Where the results go.
const DOCUMENT: &str = "docs/benchmarks.md";

/// Exit code of a benchmark that measured well and missed a limit.
const MISSED: i32 = 3;

/// The benchmarks with the titles of their sections, in the order of both.
const BENCHMARKS: &[(&str, &str)] = &[
    ("ready", "Time to ready"),
    ("crowd", "A thousand at once"),
    ("memory", "Memory of environments under way"),
    (LEDGER, "A long ledger"),
    (AGENT.1, "The agent"),
];

/// Runs the benchmarks and writes what they say: all of them, or the one that
/// the first argument names. With further arguments for it, it measures
/// something else, and nothing is written.
pub(crate) fn run(repo: &Repo, arguments: &[String]) -> Outcome {
    let (chosen, arguments) = chosen(arguments)?;
    let mut missed = Vec::new();
    for (name, title) in chosen {
        if !one(repo, name, title, arguments)? {
            missed.push(*name);
        }
    }
    match missed.is_empty() {
        true => Ok(()),
        false => Err(format!("limits were missed: {}", missed.join(", "))),
    }
}

type Chosen<'a> = (&'static [(&'static str, &'static str)], &'a [String]);

/// Which benchmarks to run, and with which arguments.
fn chosen(arguments: &[String]) -> Outcome<Chosen<'_>> {
    let Some((first, rest)) = arguments.split_first() else { return Ok((BENCHMARKS, &[])) };
    match BENCHMARKS.iter().position(|(name, _)| name == first) {
        Some(at) => Ok((&BENCHMARKS[at..=at], rest)),
        None => {
            let names: Vec<&str> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
            Err(format!("no benchmark `{first}`; there are {}", names.join(", ")))
        }
    }
}

/// Runs one benchmark and writes its section. Says whether it kept its limits.
fn one(repo: &Repo, name: &str, title: &str, arguments: &[String]) -> Outcome<bool> {
    let package = if name == AGENT.1 { AGENT.0 } else { SIMULATED };
    if !repo.has_example(package, name) {
        return Err(format!("there is no benchmark: {package} has no example `{name}`"));
    }
    let first = format!("`cargo xtask bench {name}`, {}.", machine::here_and_now());
    let mut command = cargo(repo, &["run", "--release", "--quiet", "-p", package, "--example", name]);
    if [AGENT.1, LEDGER].contains(&name) {
        size::build(repo)?;
        command.env("EXOKIT_BIN", repo.release("exokit"));
    }
    if name == AGENT.1 {
        command.envs(for_agent(repo)?);
    }
    command.arg("--").args(arguments);
    println!("## {title}\n\n{first}\n");
    let mut body = format!("{first}\n\n");
    let status = follow(command, |line| {
        body.push_str(line);
        body.push('\n');
    })?;
    println!();
    let kept = status.success();
    if !kept && status.code() != Some(MISSED) {
        return Err(format!("benchmark `{name}` failed: {status}"));
    }
    if arguments.is_empty() {
        write(repo, title, &body)?;
    }
    Ok(kept)
}

/// Builds what the benchmark of the agent runs beside the program, and says
/// where it is.
fn for_agent(repo: &Repo) -> Outcome<Vec<(&'static str, PathBuf)>> {
    run_command(cargo(repo, &["build", "--release", "-p", SIMULATED, "--example", LEDGER]))?;
    let mut variables = python::variables(&python::prepare(repo)?).to_vec();
    variables.push(("EXOKIT_LEDGER_BENCH", repo.release("examples").join(LEDGER)));
    Ok(variables)
}

fn write(repo: &Repo, title: &str, body: &str) -> Outcome {
    let path = repo.root.join(DOCUMENT);
    let old = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| format!("cannot read {DOCUMENT}: {error}"))?,
    };
    let titles: Vec<&str> = BENCHMARKS.iter().map(|(_, title)| *title).collect();
    let new = document::with_section(&old, &titles, title, body);
    std::fs::write(&path, new).map_err(|error| format!("cannot write {DOCUMENT}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_benchmarks_run_or_the_one_that_is_named() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(chosen(&[]), Ok((BENCHMARKS, &[][..])));
        let named = words(&["ledger", "--quick"]);
        assert_eq!(chosen(&named), Ok((&BENCHMARKS[3..4], &named[1..])));
        assert!(
            chosen(&words(&["--quick"])).is_err_and(|m| m.contains("ready, crowd, memory, ledger, agent"))
        );
    }
}
