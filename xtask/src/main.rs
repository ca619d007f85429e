//! Automation of this repository: `cargo xtask VERB`.
//!
//! Everything that continuous integration does is one of these verbs, so that
//! the same command gives the same answer on any machine. What a verb needs
//! beyond the Rust toolchain and Python it makes itself, under `target/`.

mod bench;
mod ci;
mod control_plane;
mod count;
mod fuzz;
mod kubectl;
mod lint;
mod outcome;
mod parallel;
mod process;
mod python;
mod repo;
mod size;
mod stages;
mod swarm;
mod test;
mod tidy;
mod verbs;

use crate::outcome::Outcome;
use crate::repo::Repo;
use crate::verbs::help;
use std::process::ExitCode;

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
        "control-plane" => control_plane::run(repo),
        "size" => size::run(repo),
        "bench" => bench::run(repo, rest),
        "ci" => ci::run(repo),
        other => Err(format!("no verb `{other}`\n\n{}", help())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_verb_and_a_stray_argument_are_refused() {
        let repo = Repo::find().expect("the workspace");
        let stray = ["--quick".to_owned()];
        assert!(dispatch(&repo, "tidy", &stray).is_err_and(|m| m.contains("takes no arguments")));
        assert!(dispatch(&repo, "deploy", &[]).is_err_and(|m| m.contains("no verb `deploy`")));
    }
}
