//! The oracle: judges what is left by reading the cloud's journal and the
//! durable ledger, never the engine's memory.

use std::collections::{BTreeMap, BTreeSet};

use exokit_model::event::{Event, Record};
use exokit_model::plan::Plan;
use exokit_sim::{Effect, JournalEntry, LiveResource, World};

use crate::rig::Rig;

/// What is wrong, one line each; empty when all is well.
#[must_use]
pub fn judge(rig: &Rig) -> Vec<String> {
    let records = rig.ledger.durable();
    let read = rig.world.with(|world: &mut World| (world.live(), world.journal().to_vec()));
    let (live, journal) = match read {
        Ok(read) => read,
        Err(error) => return vec![format!("the cloud cannot be read: {error}")],
    };
    let mut wrong = registry_equals_cloud(&records, &live);
    wrong.extend(no_duplicates(&live));
    wrong.extend(every_change_was_intended(&records, &journal));
    wrong.extend(chain_is_whole(&records));
    wrong
}

/// Ids that the ledger says exist, by a fold of its own: the last word about
/// each node of each operation, and ids that a teardown took.
fn recorded(records: &[Record]) -> BTreeSet<String> {
    let mut by_node: BTreeMap<(String, String), String> = BTreeMap::new();
    for record in records {
        let event = &record.entry.event;
        let (Some(operation), Some(node)) = (&record.entry.operation, event.node()) else { continue };
        let place = (operation.to_string(), node.to_string());
        match event {
            Event::ResourceReady { id, .. }
            | Event::CreateAdopted { id, .. }
            | Event::CreateAccepted { id: Some(id), .. }
            | Event::ResourceFailed { id: Some(id), .. } => {
                by_node.insert(place, id.to_string());
            }
            Event::ResourceFailed { id: None, .. } => {
                by_node.remove(&place);
            }
            Event::ResourceGone { id, .. } => by_node.retain(|_, own| own != id.as_str()),
            _ => {}
        }
    }
    by_node.into_values().collect()
}

/// Resources that the cloud makes on behalf of others: pools and machines of
/// nodepools, keys of the cloud controller.
fn is_derived(resource: &LiveResource) -> bool {
    matches!(resource.kind, exokit_sim::Kind::InstancePool | exokit_sim::Kind::Instance)
        || resource.name.starts_with("sks-ccm-")
}

/// Invariant 2: the cloud and the registry hold the same, both ways.
fn registry_equals_cloud(records: &[Record], live: &[LiveResource]) -> Vec<String> {
    let recorded = recorded(records);
    let exists: BTreeMap<&str, &LiveResource> =
        live.iter().filter(|resource| !is_derived(resource)).map(|r| (r.id.as_str(), r)).collect();
    let orphans = exists.values().filter(|resource| !recorded.contains(&resource.id));
    let orphans = orphans.map(|r| format!("orphan: {:?} {} {} is not in the registry", r.kind, r.id, r.name));
    let ghosts = recorded.iter().filter(|id| !exists.contains_key(id.as_str()));
    orphans.chain(ghosts.map(|id| format!("ghost: {id} is in the registry and not in the cloud"))).collect()
}

/// Invariant 3: at most one live resource per owner token.
fn no_duplicates(live: &[LiveResource]) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for resource in live.iter().filter(|resource| !is_derived(resource)) {
        let label = resource.labels.get("exokit-token").cloned();
        let words = resource.description.strip_prefix("exokit ").and_then(|text| text.rsplit(' ').next());
        let mark = label.or_else(|| words.map(str::to_owned)).unwrap_or_else(|| resource.name.clone());
        *seen.entry(format!("{:?} {mark}", resource.kind)).or_default() += 1;
    }
    seen.into_iter()
        .filter(|(_, n)| *n > 1)
        .map(|(mark, n)| format!("duplicate: {mark} exists {n} times"))
        .collect()
}

/// Invariants 1 and 4: every change that took effect has the body of the
/// approved plan, and an intent that was durable before it.
fn every_change_was_intended(records: &[Record], journal: &[JournalEntry]) -> Vec<String> {
    let mut wrong = Vec::new();
    let plans: Vec<Plan> = records
        .iter()
        .filter_map(|record| match &record.entry.event {
            Event::PlanProposed { plan, .. } => Plan::from_bytes(plan.as_bytes()).ok(),
            _ => None,
        })
        .collect();
    for entry in journal.iter().filter(|entry| entry.effect != Effect::None) {
        let millis = entry.at_ms;
        let intended = records.iter().any(|record| {
            let intent =
                matches!(record.entry.event, Event::CreateIntended { .. } | Event::DeleteIntended { .. });
            intent && record.entry.at.as_millisecond() <= millis
        });
        if !intended {
            wrong.push(format!("unintended: {} {} at {millis}", entry.method, entry.path));
        }
        if let Effect::Created { .. } = entry.effect
            && !body_is_planned(&plans, entry)
        {
            wrong.push(format!("unapproved: {} {} has a body that no plan holds", entry.method, entry.path));
        }
    }
    wrong
}

/// Whether some plan holds this body, apart from its declared slots.
fn body_is_planned(plans: &[Plan], entry: &JournalEntry) -> bool {
    if entry.body.is_empty() {
        // Object storage: the path is the whole request.
        return plans.iter().flat_map(|plan| plan.graph.nodes()).any(|node| entry.path.contains(&node.name));
    }
    let Ok(sent) = serde_json::from_str::<serde_json::Value>(&entry.body) else { return false };
    plans.iter().flat_map(|plan| plan.graph.nodes()).filter_map(|node| node.create.as_ref()).any(|template| {
        let mut sent = sent.clone();
        for pointer in template.slots.keys() {
            if let Some(slot) = sent.pointer_mut(pointer) {
                *slot = serde_json::Value::Null;
            }
        }
        template.body.as_ref() == Some(&sent) && template.operation == entry.operation
    })
}

/// Invariant 20: the chain verifies.
fn chain_is_whole(records: &[Record]) -> Vec<String> {
    match exokit_ledger::verify::verify(records) {
        Ok(_) => Vec::new(),
        Err(bad) => vec![format!("chain: {bad}")],
    }
}

/// Whether nothing at all is left in the account.
#[must_use]
pub fn leftovers(rig: &Rig) -> Vec<String> {
    match rig.world.with(|world: &mut World| world.live()) {
        Ok(live) => live
            .iter()
            .map(|resource| format!("{:?} {} {}", resource.kind, resource.id, resource.name))
            .collect(),
        Err(error) => vec![format!("the cloud cannot be read: {error}")],
    }
}
