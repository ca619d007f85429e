//! `bench`: time to ready of the seven templates in virtual time, and how a
//! long ledger starts.
//!
//! The benchmarks are examples of the crate `exokit-simtest`: they need the
//! engine and the simulated cloud, which this program must not link.

use crate::Outcome;
use crate::process::{cargo, run as run_command};
use crate::repo::Repo;

const PACKAGE: &str = "exokit-simtest";
const EXAMPLES: &[&str] = &["ready", "ledger"];

/// Builds and runs the benchmarks: all of them, or the one that the first
/// argument names, with the arguments after it.
pub(crate) fn run(repo: &Repo, arguments: &[String]) -> Outcome {
    let (examples, arguments) = chosen(arguments)?;
    examples.iter().try_for_each(|example| one(repo, example, arguments))
}

/// Which benchmarks to run, and with which arguments.
fn chosen(arguments: &[String]) -> Outcome<(&'static [&'static str], &[String])> {
    let Some((first, rest)) = arguments.split_first() else { return Ok((EXAMPLES, &[])) };
    match EXAMPLES.iter().position(|example| example == first) {
        Some(at) => Ok((&EXAMPLES[at..=at], rest)),
        None => Err(format!("no benchmark `{first}`; there are {}", EXAMPLES.join(", "))),
    }
}

fn one(repo: &Repo, example: &str, arguments: &[String]) -> Outcome {
    if !repo.has_example(PACKAGE, example) {
        return Err(format!("there is no benchmark: {PACKAGE} has no example `{example}`"));
    }
    let mut command = cargo(repo, &["run", "--release", "--quiet", "-p", PACKAGE, "--example", example]);
    command.arg("--").args(arguments);
    run_command(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_benchmarks_run_or_the_one_that_is_named() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(chosen(&[]), Ok((EXAMPLES, &[][..])));
        let named = words(&["ledger", "--quick"]);
        assert_eq!(chosen(&named), Ok((&["ledger"][..], &named[1..])));
        assert!(chosen(&words(&["--quick"])).is_err_and(|m| m.contains("ready, ledger")));
    }
}
