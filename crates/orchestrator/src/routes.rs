//! The routing table: subject, gate and timeout of each type of task.

use std::collections::BTreeMap;

use exokit_wire::verb::Verb;
use serde::{Deserialize, Serialize};

/// Longest timeout of a route, in seconds.
const TIMEOUT_SECONDS_MAX: u64 = 300;

/// The approval that a task needs before it is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Nothing: only the agent decides.
    Open,
    /// Votes that verify, for plans of T3 and every later template.
    ApprovalFromT3,
    /// Votes that verify, always.
    Approval,
}

/// The route of one type of task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Subject of the agent.
    pub subject: String,
    /// What the task needs.
    pub gate: Gate,
    /// Longest wait for the agent's reply.
    pub timeout_seconds: u64,
}

/// The routing table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// By type of the task.
    pub tasks: BTreeMap<String, Route>,
}

impl Routes {
    /// Checks subjects, gates and timeouts.
    ///
    /// # Errors
    /// The first wrong route, in words.
    pub fn check(&self) -> Result<(), String> {
        for (task, route) in &self.tasks {
            let Some(verb) = Verb::of_subject(&route.subject) else {
                return Err(format!("{task}: the agent has no subject {}", route.subject));
            };
            let needed = needed(verb);
            if (route.gate as u8) < (needed as u8) {
                return Err(format!("{task}: {} needs at least the gate {}", route.subject, word(needed)));
            }
            if route.timeout_seconds == 0 || route.timeout_seconds > TIMEOUT_SECONDS_MAX {
                return Err(format!("{task}: timeout_seconds is not from 1 to {TIMEOUT_SECONDS_MAX}"));
            }
        }
        Ok(())
    }
}

/// The weakest gate that an operation may have in any table.
fn needed(verb: Verb) -> Gate {
    match verb {
        Verb::Provision => Gate::ApprovalFromT3,
        Verb::Teardown => Gate::Approval,
        _ => Gate::Open,
    }
}

fn word(gate: Gate) -> &'static str {
    match gate {
        Gate::Open => "open",
        Gate::ApprovalFromT3 => "approval-from-t3",
        Gate::Approval => "approval",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(subject: &str, gate: Gate, timeout_seconds: u64) -> Routes {
        let route = Route { subject: subject.to_owned(), gate, timeout_seconds };
        Routes { tasks: BTreeMap::from([("it".to_owned(), route)]) }
    }

    #[test]
    fn a_table_cannot_open_a_gate_that_needs_votes() {
        assert_eq!(table("infra.provision", Gate::ApprovalFromT3, 30).check(), Ok(()));
        assert_eq!(table("infra.provision", Gate::Approval, 30).check(), Ok(()));
        assert_eq!(table("infra.status", Gate::Open, 1).check(), Ok(()));
        for (subject, gate, seconds, why) in [
            ("infra.provision", Gate::Open, 30, "approval-from-t3"),
            ("infra.teardown", Gate::ApprovalFromT3, 30, "the gate approval"),
            ("infra.events.x", Gate::Open, 30, "no subject"),
            ("infra.status", Gate::Open, 0, "timeout_seconds"),
        ] {
            let refused = table(subject, gate, seconds).check().unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
