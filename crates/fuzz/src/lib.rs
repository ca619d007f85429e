//! Every decoder of outside input as a fuzz target, with its seeds and its properties.
//!
//! A target takes bytes and panics when a property of its decoder does not
//! hold; whether the bytes were accepted is its answer, so that a test can see
//! that the seeds reach what lies behind the decoder. `cargo xtask fuzz` links
//! the fuzzer to these functions; `tests/` runs the same functions on seeds,
//! on mutated seeds and on everything that was ever found, without it.

mod approvals;
mod canary;
mod cloud;
mod ledger;
mod messages;
mod names;
mod plans;
mod recorded;
mod simulated;
mod yaml;

/// One decoder, or a few that read the same text.
pub struct Target {
    /// What `cargo xtask fuzz` calls it.
    pub name: &'static str,
    /// Reads the bytes and checks what must hold; whether they were accepted.
    pub run: fn(&[u8]) -> bool,
    /// Inputs to begin with; each is accepted.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets. The first must fail: it shows that the fuzzer finds things.
pub const TARGETS: &[Target] = &[
    Target { name: canary::NAME, run: canary::run, seeds: Vec::new },
    Target { name: "account-file", run: cloud::account_file, seeds: cloud::account_file_seeds },
    Target { name: "approval-key", run: approvals::key, seeds: approvals::key_seeds },
    Target { name: "approval-token", run: approvals::token, seeds: approvals::token_seeds },
    Target { name: "cel", run: simulated::cel, seeds: simulated::cel_seeds },
    Target { name: "endpoint", run: cloud::endpoint, seeds: cloud::endpoint_seeds },
    Target { name: "ledger-entries", run: ledger::entries, seeds: ledger::entries_seeds },
    Target { name: "ledger-export", run: ledger::export, seeds: ledger::export_seeds },
    Target { name: "message", run: messages::run, seeds: messages::seeds },
    Target { name: "names", run: names::run, seeds: names::seeds },
    Target { name: "plan", run: plans::run, seeds: plans::seeds },
    Target { name: "price-list", run: yaml::price_list, seeds: yaml::price_list_seeds },
    Target { name: "published", run: messages::published, seeds: messages::published_seeds },
    Target { name: "reply", run: cloud::reply, seeds: cloud::reply_seeds },
    Target { name: "requirements", run: yaml::requirements, seeds: yaml::requirements_seeds },
    Target { name: "roster", run: approvals::roster, seeds: approvals::roster_seeds },
    Target { name: "run-file", run: yaml::run_file, seeds: yaml::run_file_seeds },
    Target { name: "sim-faults", run: simulated::faults, seeds: simulated::faults_seeds },
    Target { name: "sim-request", run: simulated::requests, seeds: simulated::requests_seeds },
    Target { name: "storage-reply", run: cloud::storage_reply, seeds: cloud::storage_reply_seeds },
    Target { name: "template", run: yaml::template, seeds: yaml::template_seeds },
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Longest message of a refusal, in bytes.
const MESSAGE_BYTES_MAX: usize = 4_000;

/// A refusal is one line of bounded length that cannot steer a terminal, and
/// says what to do.
fn check_refusal(message: &str, hint: &str) {
    assert!(!message.is_empty() && message.len() <= MESSAGE_BYTES_MAX, "{} bytes", message.len());
    assert!(!message.chars().any(exokit_model::text::is_hazardous), "{message:?}");
    assert!(!hint.trim().is_empty() && !hint.chars().any(exokit_model::text::is_hazardous), "{hint:?}");
}
