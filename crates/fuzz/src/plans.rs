//! Plans as they stand in the ledger.

use exokit_core::node_state::Facts;
use exokit_core::predict::{critical_path, critical_path_seconds};
use exokit_core::walk::{frontier, verdict};
use exokit_model::fixed_plan::FixedPlan;
use exokit_model::ids::ResourceId;
use exokit_model::phase::Phase;
use exokit_model::plan::Plan;

use crate::{check_refusal, recorded};

/// A plan that is accepted is its own canonical form, and the pure parts of
/// exokit can go on with it.
pub(crate) fn run(data: &[u8]) -> bool {
    let plan = match FixedPlan::from_bytes(data) {
        Ok(plan) => plan,
        Err(error) => {
            check_refusal(&error.to_string(), "a plan");
            return false;
        }
    };
    assert_eq!(plan.to_bytes().expect("an accepted plan can be written"), data);
    assert_eq!(plan.digest(), Plan::digest_of(data));
    assert_eq!(FixedPlan::new(Plan::clone(&plan)).expect("an accepted plan has a digest"), plan);
    assert!(critical_path(&plan.graph).len() <= plan.graph.nodes().len());
    let _ = critical_path_seconds(&plan.graph);
    let facts = Facts::new(&plan.graph);
    let steps = frontier(&plan.graph, &facts, false);
    assert!(steps.iter().all(|step| plan.graph.node(&step.node).is_some()));
    let _ = frontier(&plan.graph, &facts, true);
    let _ = verdict(plan.action, &plan.graph, &facts, &Phase::AwaitingApproval);
    let id: ResourceId = "a".parse().expect("a letter is an id");
    for request in plan.graph.nodes().iter().flat_map(|node| node.create.iter().chain(&node.delete)) {
        if let Ok(concrete) = request.resolve(Some(&id), &|_| Some(id.clone())) {
            assert_eq!(concrete.digest(), concrete.digest());
        }
    }
    true
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    recorded::plans().into_iter().map(String::into_bytes).collect()
}
