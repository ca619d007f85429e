//! The routing table: from the type of a task to a subject, a gate and a time.

use std::collections::BTreeMap;
use std::time::Duration;

use exokit_wire::verb::Verb;
use serde::{Deserialize, Serialize};

/// Longest time that the agent may be waited for, in seconds.
const TIMEOUT_SECONDS_MAX: u64 = 300;

/// What must be true before a task is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Nothing: the agent decides alone.
    Open,
    /// A vote that verifies, for plans of T3 and every later template.
    ApprovalFromT3,
    /// A vote that verifies, always.
    Approval,
}

/// Where one type of task goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Subject of the agent.
    pub subject: String,
    /// What must be true before.
    pub gate: Gate,
    /// How long the agent's answer is waited for.
    pub timeout_seconds: u64,
}

impl Route {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routes {
    /// By type of the task.
    pub tasks: BTreeMap<String, Route>,
}

impl Routes {
    /// Where a task goes; none when its type is not known.
    #[must_use]
    pub fn find(&self, task: &str) -> Option<&Route> {
        self.tasks.get(task)
    }

    /// Checks what the form alone does not say.
    ///
    /// # Errors
    /// The first route that cannot be, in words.
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

/// The weakest gate that an operation may have: no table can open it.
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
    fn a_table_cannot_open_what_needs_a_vote() {
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
