//! Automation of this repository: `cargo xtask VERB`.
//!
//! Everything that continuous integration does is one of these verbs, so that
//! the same command gives the same answer on any machine. What a verb needs
//! beyond the Rust toolchain and Python it makes itself, under `target/`.

mod bench;
mod ci;
mod fuzz;
mod lint;
mod process;
mod python;
mod repo;
mod size;
mod stages;
mod swarm;
mod test;
mod tidy;

use crate::repo::Repo;
use std::process::ExitCode;

/// What a verb answers: nothing, or what went wrong, in words for a person.
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// The verbs with their one-line help; the check of the documents reads it too.
pub(crate) const VERBS: &[(&str, &str)] = &[
    ("lint", "format, tidy, clippy, rustdoc and cargo-deny, each without a warning"),
    ("tidy", "the house rules: crate edges, purity, sizes, banned words, documents"),
    ("test", "every test of the workspace, then those in Python: the official clients, the NATS server"),
    ("fuzz", "the decoders of outside input under libFuzzer, after the proof that it finds something"),
    ("swarm", "seeded schedules of faults against the engine, judged from outside"),
    ("mutants", "mistakes planted on purpose, each of which the swarm must find"),
    ("size", "the release binary is under 30 MB and `exokit --help` is quick"),
    (
        "bench",
        "time to ready, a thousand at once, memory, a long ledger, the agent: writes docs/benchmarks.md",
    ),
    ("ci", "lint, test, swarm, mutants, fuzz and size, in this order"),
    ("help", "this text"),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next().unwrap_or_else(|| "help".to_owned());
    let rest: Vec<String> = arguments.collect();
    if verb == "help" || rest.iter().any(|a| a == "--help" || a == "-h") || verb.starts_with('-') {
        print!("{}", help());
        return ExitCode::SUCCESS;
    }
    match Repo::find().and_then(|repo| dispatch(&repo, &verb, &rest)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(repo: &Repo, verb: &str, rest: &[String]) -> Outcome {
    if !matches!(verb, "test" | "swarm" | "mutants" | "fuzz" | "bench") && !rest.is_empty() {
        return Err(format!("`{verb}` takes no arguments, got `{}`", rest.join(" ")));
    }
    match verb {
        "lint" => lint::run(repo),
        "tidy" => tidy::run(repo),
        "test" => test::run(repo, rest).report(),
        "fuzz" => fuzz::run(repo, rest),
        "swarm" => swarm::run(repo, rest),
        "mutants" => swarm::mutants(repo, rest),
        "size" => size::run(repo),
        "bench" => bench::run(repo, rest),
        "ci" => ci::run(repo),
        other => Err(format!("no verb `{other}`\n\n{}", help())),
    }
}

fn help() -> String {
    let mut text = String::from("Usage: cargo xtask VERB [ARGUMENTS]\n\nVerbs:\n");
    for (verb, what) in VERBS {
        text.push_str(&format!("  {verb:<7} {what}\n"));
    }
    text.push_str(
        "\n`test` passes its arguments on to `cargo test --workspace`; with `-p CRATE` among them that crate\n\
         alone is tested, with `--no-clients` all but those in Python.\n\
         `fuzz [--seconds N] [TARGET]` runs each target, or that one, for so long.\n\
         `swarm --seeds N --from S [--faults F9,F16]` runs N seeds, `swarm --replay FILE` one schedule;\n\
         `mutants --budget N` lets a mistake live for N seeds, `--only NAME` hunts one.\n\
         `bench NAME` runs one benchmark: ready, crowd, memory, ledger or agent. Further arguments are passed\n\
         on to it, and then nothing is written.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_verb() {
        let text = help();
        assert!(VERBS.iter().all(|(verb, _)| text.contains(verb)));
    }

    #[test]
    fn an_unknown_verb_and_a_stray_argument_are_refused() {
        let repo = Repo::find().expect("the workspace");
        let stray = ["--quick".to_owned()];
        assert!(dispatch(&repo, "tidy", &stray).is_err_and(|m| m.contains("takes no arguments")));
        assert!(dispatch(&repo, "deploy", &[]).is_err_and(|m| m.contains("no verb `deploy`")));
    }
}
