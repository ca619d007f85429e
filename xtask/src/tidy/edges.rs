//! Which crate of ours may import which: the layers of ARCHITECTURE.md as a table.

use super::Finding;
use cargo_metadata::{DependencyKind, Metadata};

/// One crate of the workspace and what it may import.
struct Layer {
    package: &'static str,
    normal: &'static [&'static str],
    /// What its tests may import besides.
    tests: &'static [&'static str],
}

/// The allowed edges. A new one is a decision about the architecture: it
/// belongs into ARCHITECTURE.md first.
const LAYERS: &[Layer] = &[
    Layer { package: "exokit-model", normal: &[], tests: &[] },
    Layer { package: "exokit-mutant", normal: &[], tests: &[] },
    Layer { package: "exokit-kube-sim", normal: &[], tests: &[] },
    Layer { package: "exokit-kinds", normal: &["exokit-model"], tests: &[] },
    Layer { package: "exokit-verification", normal: &["exokit-model"], tests: &["exokit-templates"] },
    Layer {
        package: "exokit-workload",
        normal: &["exokit-model"],
        tests: &["exokit-kube-sim", "exokit-templates"],
    },
    Layer {
        package: "exokit-core",
        normal: &["exokit-model", "exokit-kinds", "exokit-workload", "exokit-mutant"],
        tests: &["exokit-templates"],
    },
    Layer { package: "exokit-templates", normal: &["exokit-model"], tests: &["exokit-core"] },
    Layer { package: "exokit-approval", normal: &["exokit-model"], tests: &[] },
    Layer { package: "exokit-cloud", normal: &["exokit-model", "exokit-approval"], tests: &["exokit-sim"] },
    Layer { package: "exokit-sim", normal: &["exokit-kube-sim"], tests: &[] },
    Layer { package: "exokit-ledger", normal: &["exokit-model", "exokit-core"], tests: &[] },
    Layer {
        package: "exokit-engine",
        normal: &[
            "exokit-model",
            "exokit-kinds",
            "exokit-core",
            "exokit-approval",
            "exokit-cloud",
            "exokit-ledger",
            "exokit-mutant",
            "exokit-verification",
        ],
        tests: &["exokit-sim", "exokit-templates"],
    },
    Layer { package: "exokit-wire", normal: &["exokit-model"], tests: &[] },
    Layer {
        package: "exokit-text",
        normal: &["exokit-model", "exokit-core", "exokit-wire"],
        tests: &["exokit-ledger"],
    },
    Layer {
        package: "exokit-service",
        normal: &[
            "exokit-model",
            "exokit-core",
            "exokit-templates",
            "exokit-approval",
            "exokit-ledger",
            "exokit-engine",
            "exokit-text",
            "exokit-wire",
            "exokit-mutant",
        ],
        tests: &[],
    },
    Layer { package: "exokit-nats", normal: &[], tests: &[] },
    Layer { package: "exokit-spans", normal: &["exokit-cloud"], tests: &[] },
    Layer {
        package: "exokit-agent",
        normal: &[
            "exokit-model",
            "exokit-ledger",
            "exokit-engine",
            "exokit-service",
            "exokit-wire",
            "exokit-nats",
            "exokit-spans",
        ],
        tests: &[],
    },
    Layer {
        package: "exokit-orchestrator",
        normal: &["exokit-model", "exokit-approval", "exokit-wire", "exokit-nats", "exokit-spans"],
        tests: &[],
    },
    Layer {
        package: "exokit-client",
        normal: &["exokit-model", "exokit-cloud", "exokit-wire", "exokit-nats"],
        tests: &[],
    },
    Layer { package: "exokit", normal: EVERYTHING, tests: &[] },
    Layer { package: "exokit-simtest", normal: ALL_BELOW, tests: &["exokit-kube-sim"] },
    Layer { package: "exokit-fuzz", normal: DECODERS, tests: &[] },
    Layer { package: "xtask", normal: &[], tests: &[] },
];

/// What the binary may import: all but simulations.
const EVERYTHING: &[&str] = &[
    "exokit-model",
    "exokit-kinds",
    "exokit-core",
    "exokit-templates",
    "exokit-approval",
    "exokit-cloud",
    "exokit-sim",
    "exokit-ledger",
    "exokit-mutant",
    "exokit-engine",
    "exokit-text",
    "exokit-wire",
    "exokit-service",
    "exokit-nats",
    "exokit-spans",
    "exokit-agent",
    "exokit-orchestrator",
    "exokit-client",
];

/// What simulations may import: all but the binary, and no socket.
const ALL_BELOW: &[&str] = &[
    "exokit-model",
    "exokit-kinds",
    "exokit-core",
    "exokit-templates",
    "exokit-approval",
    "exokit-cloud",
    "exokit-sim",
    "exokit-ledger",
    "exokit-mutant",
    "exokit-engine",
    "exokit-wire",
    "exokit-service",
];

/// The crates that read something from outside, without the engine.
const DECODERS: &[&str] = &[
    "exokit-wire",
    "exokit-model",
    "exokit-kinds",
    "exokit-core",
    "exokit-templates",
    "exokit-approval",
    "exokit-cloud",
    "exokit-sim",
    "exokit-ledger",
];

/// A crate of the workspace imports another one.
pub(super) struct Edge {
    from: String,
    to: String,
    test: bool,
}

/// The crates of the workspace and the edges between them, from cargo.
pub(super) fn of(metadata: &Metadata) -> (Vec<String>, Vec<Edge>) {
    let crates: Vec<String> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    let mut edges = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            // A crate may enable its own feature `testing` for its tests.
            if crates.contains(&dependency.name) && dependency.name != *package.name {
                edges.push(Edge {
                    from: package.name.to_string(),
                    to: dependency.name.clone(),
                    test: dependency.kind == DependencyKind::Development,
                });
            }
        }
    }
    (crates, edges)
}

/// Findings for each crate and each edge that the table does not have.
pub(super) fn check((crates, edges): &(Vec<String>, Vec<Edge>)) -> Vec<Finding> {
    let layer = |name: &str| LAYERS.iter().find(|l| l.package == name);
    let mut found = Vec::new();
    for name in crates {
        if layer(name).is_none() {
            found.push(Finding::new(name, 0, "is not in the table of layers of `xtask/src/tidy/edges.rs`"));
        }
    }
    for missing in LAYERS.iter().filter(|l| !crates.iter().any(|c| c == l.package)) {
        found.push(Finding::new(missing.package, 0, "is in the table of layers, not in the workspace"));
    }
    for Edge { from, to, test } in edges {
        let allowed = layer(from)
            .is_some_and(|l| l.normal.contains(&to.as_str()) || (*test && l.tests.contains(&to.as_str())));
        if !allowed {
            let whose = if *test { "its tests may not" } else { "may not" };
            found.push(Finding::new(
                from,
                0,
                format!("{whose} import {to}: see the layers in ARCHITECTURE.md"),
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The findings for one edge, in a workspace that has all crates.
    fn one(from: &str, to: &str, test: bool) -> Vec<Finding> {
        let crates = LAYERS.iter().map(|l| l.package.to_owned()).collect();
        check(&(crates, vec![Edge { from: from.to_owned(), to: to.to_owned(), test }]))
    }

    #[test]
    fn an_edge_downwards_is_allowed() {
        assert!(one("exokit-engine", "exokit-ledger", false).is_empty());
        assert!(one("exokit", "exokit-sim", false).is_empty());
    }

    #[test]
    fn an_edge_upwards_or_sideways_is_not() {
        for (from, to) in [
            ("exokit-model", "exokit-kinds"),
            ("exokit-kinds", "exokit-cloud"),
            ("exokit-core", "exokit-engine"),
            ("exokit-sim", "exokit-cloud"),
            ("exokit", "exokit-simtest"),
            ("exokit-simtest", "exokit"),
            ("xtask", "exokit-model"),
        ] {
            assert_eq!(one(from, to, false).len(), 1, "{from} -> {to}");
        }
    }

    #[test]
    fn tests_may_import_what_is_listed_for_them_and_no_more() {
        assert!(one("exokit-templates", "exokit-core", true).is_empty());
        assert_eq!(one("exokit-templates", "exokit-core", false).len(), 1);
        assert_eq!(one("exokit-model", "exokit-core", true).len(), 1);
    }

    #[test]
    fn a_crate_that_the_table_does_not_know_is_found() {
        let mut crates: Vec<String> = LAYERS.iter().map(|l| l.package.to_owned()).collect();
        crates.push("exokit-new".to_owned());
        assert_eq!(check(&(crates.clone(), Vec::new())).len(), 1);
        crates.retain(|c| c != "exokit-new" && c != "exokit-sim");
        assert_eq!(check(&(crates, Vec::new())).len(), 1);
    }

    #[test]
    fn the_table_itself_has_no_cycle() {
        let rank = |name: &str| LAYERS.iter().position(|l| l.package == name).expect("listed");
        let down = |from: &str, to: &&str| rank(to) < rank(from);
        assert!(LAYERS.iter().all(|l| l.normal.iter().all(|to| down(l.package, to))));
    }
}
