//! Guard before a nodepool is deleted: finds load balancers and volumes that hang
//! on it and that no plan names, such as those that the cluster's controllers
//! made after the plan.
//!
//! A load balancer blocks the deletion of the pool. A volume would lose the only
//! sign of its owner with the machines and would never be removed. The pool stays
//! until a human has decided.

use std::collections::BTreeSet;

use exokit_kinds::Observed;
use exokit_model::graph::Node;
use exokit_model::ids::ResourceId;
use exokit_model::kind::Kind;
use exokit_model::needs_human::NeedsHuman;
use exokit_model::text::ForeignText;
use exokit_mutant::{Mutant, planted};

use crate::observe;
use crate::run::{Run, StepEnd};
use crate::steps::{Patience, parent_of};
use crate::survey::{Belongings, instance_pool_of};

/// Parks the operation if something hangs on a pool that it does not name.
pub(crate) async fn check(run: &Run<'_>, node: &Node, id: &ResourceId) -> Result<(), StepEnd> {
    if node.kind != Kind::SksNodepool || planted(Mutant::NoDiscovery) {
        return Ok(());
    }
    let (client, parent) = (&run.engine.parts().client, parent_of(run, node));
    let pool = Patience::insist(|| observe::get(client, node.kind, id, parent.as_ref(), &node.zone)).await?;
    let Some(pool) = pool.as_ref().and_then(instance_pool_of) else { return Ok(()) };
    let pool = BTreeSet::from([pool]);
    let mut hanging = belonging(run, Kind::LoadBalancer, node, pool.clone()).await?;
    let machines = belonging(run, Kind::Instance, node, pool).await?;
    let machines = machines.into_iter().map(|machine| machine.id.to_string()).collect();
    hanging.extend(belonging(run, Kind::BlockVolume, node, machines).await?);
    let found: Vec<ForeignText> = {
        let state = run.state();
        let named: BTreeSet<&ResourceId> =
            state.plan.graph.nodes().iter().filter_map(|node| node.existing.as_ref()).collect();
        let unplanned = hanging.iter().filter(|found| !named.contains(&found.id));
        unplanned.map(|found| format!("{} {} ({})", found.kind, found.name, found.id).into()).collect()
    };
    match found.is_empty() {
        true => Ok(()),
        false => Err(StepEnd::Park(NeedsHuman::Unplanned { node: node.key.clone(), found })),
    }
}

/// Resources of a kind that hang on one of these ids.
async fn belonging(
    run: &Run<'_>,
    kind: Kind,
    node: &Node,
    ids: BTreeSet<String>,
) -> Result<Vec<Observed>, StepEnd> {
    let belongings = Belongings { ids, tokens: Vec::new() };
    let client = &run.engine.parts().client;
    let mut listed = Patience::insist(|| observe::list(client, kind, &node.zone)).await?;
    listed.retain(|observed| belongings.include(observed));
    Ok(listed)
}
