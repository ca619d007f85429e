//! The table of all operations of the official document, as `docs/fidelity.md`
//! shows it.

use exokit_sim::{Operation, operations, served_operations};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The line of the document above the table; all below it is generated.
const MARK: &str = "<!-- generated: cargo run -p exokit-sim --example routes -->\n";

/// Areas in the order of the document, each with what its paths begin with;
/// where two fit, the longer one counts.
const AREAS: [(&str, &[&str]); 9] = [
    ("Kubernetes (SKS)", &["sks-"]),
    (
        "Machines",
        &["instance", "anti-affinity-group", "ssh-key", "snapshot", "template", "deploy-", "console"],
    ),
    (
        "Networks",
        &["security-group", "private-network", "load-balancer", "elastic-ip", "vpc", "dns", "reverse"],
    ),
    ("Storage", &["block-storage", "sos"]),
    ("Databases", &["dbaas-"]),
    ("Identity and access", &["iam-", "api-key", "user"]),
    ("Account and zones", &[""]),
    ("Keys (KMS)", &["kms-key"]),
    ("AI", &["ai/"]),
];

fn area(operation: &Operation) -> &'static str {
    let path = operation.path.trim_start_matches('/');
    let fits = AREAS.iter().flat_map(|(area, begins)| begins.iter().map(move |begin| (*begin, *area)));
    fits.filter(|(begin, _)| path.starts_with(begin)).max_by_key(|(begin, _)| begin.len()).map_or("", |f| f.1)
}

/// The whole table, as Markdown.
pub(crate) fn table() -> String {
    let served: BTreeSet<&str> = served_operations().into_iter().collect();
    let mut areas: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations() {
        areas.entry(area(operation)).or_default().push(operation);
    }
    let mut text = String::new();
    let all = operations().len();
    let _ = writeln!(text, "\n{} of {all} operations are served; the others answer 501.", served.len());
    for (area, _) in AREAS {
        let Some(operations) = areas.get(area) else { continue };
        let count = operations.iter().filter(|operation| served.contains(operation.id.as_str())).count();
        let _ = writeln!(text, "\n### {area}: {count} of {}\n", operations.len());
        text.push_str("| method | path | operation | state |\n|---|---|---|---|\n");
        for Operation { id, method, path, .. } in operations {
            let state = if served.contains(id.as_str()) { "served" } else { "501" };
            let _ = writeln!(text, "| {method} | `{path}` | {id} | {state} |");
        }
    }
    text
}

/// The document with the present table.
pub(crate) fn renewed(document: &str) -> Option<String> {
    let (kept, _) = document.split_once(MARK)?;
    Some(format!("{kept}{MARK}{}", table()))
}
