//! The pure crates stay without IO, clock, chance and async, however far down.
//!
//! `cargo tree` answers for what is really compiled: the features of this
//! workspace and of this machine, not what a crate could ask for.

use super::Finding;
use crate::outcome::Outcome;
use crate::process::{cargo, output};
use crate::repo::Repo;

/// Crates that must give the same answer to the same question, always.
const PURE: &[&str] = &[
    "exokit-model",
    "exokit-kinds",
    "exokit-core",
    "exokit-templates",
    "exokit-approval",
    "exokit-verification",
];

/// What none of them may have below it. `rand_core` is only traits, so that
/// the signatures of the approval crate may have it.
const IMPURE: &[&str] = &[
    "async-std",
    "axum",
    "getrandom",
    "h2",
    "hyper",
    "hyper-util",
    "mio",
    "rand",
    "reqwest",
    "rusqlite",
    "rustls",
    "tokio",
    "tower",
    "tracing",
    "tracing-core",
    "ureq",
];

/// Asks cargo what each pure crate is made of.
pub(super) fn check(repo: &Repo) -> Outcome<Vec<Finding>> {
    let mut found = Vec::new();
    for package in PURE {
        let flat = ["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"];
        let tree = output(cargo(repo, &flat))?;
        found.extend(judge(package, &tree)?);
    }
    Ok(found)
}

/// Reads the flat tree: `name version …`, one a line, the crate itself first.
fn judge(package: &str, tree: &str) -> Outcome<Vec<Finding>> {
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    if names.first() != Some(&package) {
        return Err(format!("`cargo tree` did not begin with {package}"));
    }
    let impure = IMPURE.iter().filter(|name| names.contains(name));
    Ok(impure
        .map(|name| {
            let why = format!("`cargo tree -p {package} -e normal -i {name}` tells how it comes");
            Finding::new(package, 0, format!("is pure and must not be built on {name}; {why}"))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pure_tree_has_no_findings() {
        let tree = "exokit-core v0.1.0 (crates/core)\nserde v1.0.0\nrand_core v0.10.1\n";
        assert_eq!(judge("exokit-core", tree), Ok(Vec::new()));
    }

    #[test]
    fn a_runtime_or_chance_below_a_pure_crate_is_found() {
        let tree = "exokit-core v0.1.0 (crates/core)\nserde v1.0.0\ngetrandom v0.4.0\ntokio v1.54.0\n";
        let found = judge("exokit-core", tree).expect("a tree");
        assert_eq!(found.len(), 2);
        assert!(found[0].what.contains("getrandom"));
    }

    #[test]
    fn an_answer_about_something_else_is_an_error() {
        assert!(judge("exokit-core", "").is_err());
        assert!(judge("exokit-core", "exokit-model v0.1.0\n").is_err());
    }
}
