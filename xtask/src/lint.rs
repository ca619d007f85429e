//! `lint`: what can be said of the sources without running them.

use crate::outcome::Outcome;
use crate::process::{cargo, output, program, run as run_command};
use crate::repo::Repo;
use crate::stages::Stages;
use crate::tidy;
use std::path::{Path, PathBuf};

/// The one version of cargo-deny whose reading of `deny.toml` counts.
const DENY_VERSION: &str = "0.20.2";

/// A check is over in seconds however it was compiled, and compiling it for
/// speed takes minutes: so it is built as quickly as the compiler can.
const QUICK_BUILD: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

/// Runs every check, the quick ones first.
pub(crate) fn run(repo: &Repo) -> Outcome {
    let mut stages = Stages::default();
    stages.run("cargo fmt", || run_command(cargo(repo, &["fmt", "--all", "--check"])));
    stages.run("tidy", || tidy::run(repo));
    stages.run("cargo clippy", || {
        // In the profile of the tests: C libraries and macros are compiled once.
        let all = ["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];
        run_command(cargo(repo, &all))
    });
    stages.run("cargo clippy, as shipped", || {
        // The whole workspace turns on what tests alone enable.
        run_command(cargo(repo, &["clippy", "--release", "--package", "exokit", "--", "-D", "warnings"]))
    });
    stages.run("cargo doc", || {
        let mut command = cargo(repo, &["doc", "--release", "--workspace", "--no-deps"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        run_command(command)
    });
    let deny = stages.run("cargo-deny at hand", || find_or_install_deny(repo));
    if let Some(deny) = deny {
        stages.run("cargo deny", || {
            run_command(program(repo, deny, &["--workspace", "check", "licenses", "bans", "sources"]))
        });
    }
    stages.finish()
}

/// The cargo-deny made earlier, that of the machine, or one made now.
fn find_or_install_deny(repo: &Repo) -> Outcome<PathBuf> {
    let tools = repo.target.join("tools");
    let made = tools.join("bin").join("cargo-deny");
    for candidate in [made.as_path(), Path::new("cargo-deny")] {
        let answer = program(repo, candidate, &["--version"]).output();
        if answer.is_ok_and(|o| is_wanted(&String::from_utf8_lossy(&o.stdout))) {
            return Ok(candidate.to_owned());
        }
    }
    println!("installing cargo-deny {DENY_VERSION} into {}", tools.display());
    let mut command = cargo(repo, &["install", "cargo-deny", "--locked", "--no-default-features"]);
    command.args(["--version", DENY_VERSION, "--root"]).arg(&tools);
    command.envs(QUICK_BUILD.iter().copied());
    run_command(command)?;
    output(program(repo, &made, &["--version"])).map(|_| made)
}

fn is_wanted(version: &str) -> bool {
    version.trim() == format!("cargo-deny {DENY_VERSION}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_version_of_cargo_deny_counts() {
        assert!(is_wanted("cargo-deny 0.20.2\n"));
        assert!(!is_wanted("cargo-deny 0.20.21\n"));
        assert!(!is_wanted(""));
    }
}
