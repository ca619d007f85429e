//! Which steps may begin when an operation may have fewer steps under way than
//! the plan allows.

use std::num::NonZeroUsize;

use exokit_core::walk::{Step, StepAction};

/// The steps that may begin beside those `under_way`, out of those that could.
/// A step counts until it ends, also while it only waits: a limit is meant to
/// bound what is going on in the cloud, as in other tools.
///
/// With a limit, what the cloud already works on goes before new requests, so
/// that no more resources than the limit are between request and end. Refused
/// requests come last, those that were refused more often behind the others:
/// what a busy resource waits for gets its turn also when the limit is one.
/// Otherwise the order of the walk stays.
pub(crate) fn admit(limit: Option<NonZeroUsize>, mut could: Vec<Step>, under_way: usize) -> Vec<Step> {
    let Some(limit) = limit else { return could };
    could.sort_by_key(|step| turn(&step.action));
    could.truncate(limit.get().saturating_sub(under_way));
    could
}

/// Steps with a lower turn go first.
fn turn(action: &StepAction) -> u32 {
    match action {
        StepAction::Settle { .. } | StepAction::Await { .. } | StepAction::ConfirmGone { .. } => 0,
        // The cloud has already carried out a part of it.
        StepAction::Delete { step: 1.., refusals: 0, .. } => 0,
        StepAction::Create { refusals, .. } | StepAction::Delete { refusals, .. } => {
            refusals.saturating_add(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(node: &str, refusals: u32) -> Step {
        Step { node: node.parse().unwrap(), action: StepAction::Create { attempt: 1, refusals } }
    }

    fn settle(node: &str) -> Step {
        let expires_at = jiff::Timestamp::UNIX_EPOCH;
        Step { node: node.parse().unwrap(), action: StepAction::Settle { attempt: 1, expires_at } }
    }

    #[track_caller]
    fn check(limit: Option<usize>, under_way: usize, expected: &[&str]) {
        let could = vec![create("a", 0), create("b", 2), settle("c"), create("d", 0)];
        let admitted = admit(limit.and_then(NonZeroUsize::new), could, under_way);
        let nodes: Vec<&str> = admitted.iter().map(|step| step.node.as_str()).collect();
        assert_eq!(nodes, expected, "limit {limit:?}, {under_way} under way");
    }

    #[test]
    fn what_is_in_flight_goes_first_and_what_was_refused_last() {
        check(None, 3, &["a", "b", "c", "d"]);
        check(Some(1), 0, &["c"]);
        check(Some(3), 0, &["c", "a", "d"]);
        check(Some(9), 2, &["c", "a", "d", "b"]);
        check(Some(2), 2, &[]);
        check(Some(1), 4, &[]);
    }
}
