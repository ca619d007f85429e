//! The oracle: judges what is left by reading the cloud's journal and the
//! durable ledger, never the engine's memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use exokit_model::canonical::{Digest, to_canonical_bytes};
use exokit_model::event::{Event, Record};
use exokit_model::ids::{NodeKey, OperationId, PersonId, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::plan::Plan;
use exokit_sim::{Effect, JournalEntry, LiveResource, World};
use serde_json::Value;

use crate::consent::consenting;
use crate::rig::Rig;

/// What the oracle judges by.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The durable ledger.
    pub records: Vec<Record>,
    /// What exists in the cloud.
    pub live: Vec<LiveResource>,
    /// Every changing request that reached the cloud.
    pub journal: Vec<Arc<JournalEntry>>,
}

impl Evidence {
    /// What a rig shows now.
    #[must_use]
    pub fn of(rig: &Rig) -> Self {
        let (live, journal) = rig.cloud(|world| (world.live(), world.journal().to_vec()));
        Self { records: rig.ledger.durable(), live, journal }
    }

    /// What is wrong, one line each; empty when all is well.
    #[must_use]
    pub fn judge(&self) -> Vec<String> {
        let plans = plans(&self.records);
        let mut wrong = registry_equals_cloud(&self.records, &plans, &self.live);
        wrong.extend(no_duplicates(&self.live));
        wrong.extend(every_change_was_intended(&self.records, &plans, &self.journal));
        wrong.extend(every_operation_was_approved(&self.records, &plans));
        wrong.extend(chain_is_whole(&self.records));
        wrong
    }
}

/// What is wrong with a rig as it is now.
#[must_use]
pub fn judge(rig: &Rig) -> Vec<String> {
    Evidence::of(rig).judge()
}

/// The plan of each operation.
#[must_use]
pub fn plans(records: &[Record]) -> BTreeMap<OperationId, Plan> {
    let plan = |record: &Record| match &record.entry.event {
        Event::PlanProposed { plan, .. } => Plan::from_bytes(plan.as_bytes()).ok(),
        _ => None,
    };
    records.iter().filter_map(plan).map(|plan| (plan.plan_id.operation(), plan)).collect()
}

/// Ids that the ledger says exist, by a fold of its own: the last word about
/// each node of each operation, without what a teardown took or what was inside
/// a cluster that is gone.
fn recorded(records: &[Record], plans: &BTreeMap<OperationId, Plan>) -> BTreeSet<String> {
    let mut by_node: BTreeMap<(OperationId, NodeKey), ResourceId> = BTreeMap::new();
    for record in records {
        let event = &record.entry.event;
        let (Some(operation), Some(node)) = (&record.entry.operation, event.node()) else { continue };
        let place = (operation.clone(), node.clone());
        match event {
            Event::ResourceReady { id, .. }
            | Event::CreateAdopted { id, .. }
            | Event::CreateAccepted { id: Some(id), .. }
            | Event::ResourceFailed { id: Some(id), .. } => {
                by_node.insert(place, id.clone());
            }
            Event::ResourceFailed { id: None, .. } => {
                by_node.remove(&place);
            }
            Event::ResourceGone { id, .. } => {
                let clusters: BTreeSet<OperationId> = by_node
                    .iter()
                    .filter(|((operation, node), own)| {
                        *own == id && kind_of(plans, operation, node) == Some(Kind::SksCluster)
                    })
                    .map(|((operation, _), _)| operation.clone())
                    .collect();
                by_node.retain(|(operation, node), own| {
                    let inside = kind_of(plans, operation, node).is_some_and(Kind::is_kubernetes);
                    own != id && !(inside && clusters.contains(operation))
                });
            }
            _ => {}
        }
    }
    by_node.into_values().map(|id| id.to_string()).collect()
}

fn kind_of(plans: &BTreeMap<OperationId, Plan>, operation: &OperationId, node: &NodeKey) -> Option<Kind> {
    Some(plans.get(operation)?.graph.node(node)?.kind)
}

/// Resources that the cloud makes on behalf of others: pools and machines of
/// nodepools, keys of the cloud controller.
pub(crate) fn is_derived(resource: &LiveResource) -> bool {
    matches!(resource.kind, exokit_sim::Kind::InstancePool | exokit_sim::Kind::Instance)
        || resource.name.starts_with("sks-ccm-")
}

/// The UID of the service or claim for which the controllers of a cluster made a
/// load balancer or a volume. They name it so.
pub(crate) fn uid_in_name(resource: &LiveResource) -> Option<&str> {
    use exokit_sim::Kind as Cloud;
    match resource.kind {
        Cloud::LoadBalancer => resource.name.strip_prefix("k8s-"),
        Cloud::LoadBalancerService => resource.name.get(..36),
        Cloud::BlockStorageVolume => resource.name.strip_prefix("pvc-"),
        _ => None,
    }
}

/// Whether it was made for an object that is recorded.
fn is_of_object(resource: &LiveResource, recorded: &BTreeSet<String>) -> bool {
    uid_in_name(resource).is_some_and(|uid| recorded.contains(uid))
}

/// Invariant 2: the cloud and the registry hold the same, both ways.
pub(crate) fn registry_equals_cloud(
    records: &[Record],
    plans: &BTreeMap<OperationId, Plan>,
    live: &[LiveResource],
) -> Vec<String> {
    let recorded = recorded(records, plans);
    let own = |resource: &&LiveResource| !is_derived(resource) && !is_of_object(resource, &recorded);
    let exists: BTreeMap<&str, &LiveResource> = live.iter().filter(own).map(|r| (r.id.as_str(), r)).collect();
    let orphans = exists.values().filter(|resource| !recorded.contains(&resource.id));
    let orphans = orphans.map(|r| format!("orphan: {:?} {} {} is not in the registry", r.kind, r.id, r.name));
    let ghosts = recorded.iter().filter(|id| !exists.contains_key(id.as_str()));
    orphans.chain(ghosts.map(|id| format!("ghost: {id} is in the registry and not in the cloud"))).collect()
}

/// Invariant 3: at most one live resource per owner token.
pub(crate) fn no_duplicates(live: &[LiveResource]) -> Vec<String> {
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

/// Invariants 1, 4 and 18: every change that took effect is byte for byte a
/// request that was intended before it and whose signature had not expired;
/// what was created has a body that a plan holds.
fn every_change_was_intended(
    records: &[Record],
    plans: &BTreeMap<OperationId, Plan>,
    journal: &[Arc<JournalEntry>],
) -> Vec<String> {
    let mut wrong = Vec::new();
    for entry in journal.iter().filter(|entry| entry.effect != Effect::None) {
        if !records.iter().any(|record| intends(record, plans, entry)) {
            wrong.push(format!("unintended: {} {} at {}", entry.method, entry.path, entry.at_ms));
        }
        if let Effect::Created { .. } = entry.effect
            && !body_is_planned(plans, entry)
        {
            wrong.push(format!("unplanned: {} {} has a body that no plan holds", entry.method, entry.path));
        }
    }
    wrong
}

/// Whether a record is the intent behind a change.
fn intends(record: &Record, plans: &BTreeMap<OperationId, Plan>, entry: &JournalEntry) -> bool {
    let (node, request, expires_at) = match &record.entry.event {
        Event::CreateIntended { node, request, expires_at, .. }
        | Event::DeleteIntended { node, request, expires_at, .. } => (node, request, expires_at),
        _ => return false,
    };
    let in_time =
        record.entry.at.as_millisecond() <= entry.at_ms && entry.at_ms <= expires_at.as_millisecond();
    let plan = record.entry.operation.as_ref().and_then(|operation| plans.get(operation));
    let planned = plan.and_then(|plan| plan.graph.node(node));
    // Only the few intents of that time are worth a digest.
    let same = || match entry.path.starts_with("/v2/") || entry.in_cluster {
        true => intended_digest(plans, entry) == *request,
        // Emptying a bucket is one intent for as many calls as it needs, and
        // the journal keeps no bodies of object storage: the bucket counts.
        false => planned.is_some_and(|node| node.kind == Kind::SosBucket && bucket(entry) == node.name),
    };
    in_time && same()
}

/// The digest of a request to the API, computed here from what arrived.
#[must_use]
pub fn digest(entry: &JournalEntry) -> Digest {
    request_digest(&entry.method, &entry.path, entry.body.as_bytes())
}

/// The digest of a request to the API or to a cluster, computed here.
#[must_use]
pub(crate) fn request_digest(method: &str, path: &str, body: &[u8]) -> Digest {
    let api = if path.starts_with("/v2/") { "Exoscale" } else { "Kubernetes" };
    let mut bytes = format!("{api} {method} {path}\n").into_bytes();
    bytes.extend_from_slice(body);
    Digest::of("exokit-request/v1", &bytes)
}

/// The digest by which an intent names a request that arrived. An intent does
/// not know the values of secrets: they are taken out where the plan says that
/// they stand.
#[must_use]
pub fn intended_digest(plans: &BTreeMap<OperationId, Plan>, entry: &JournalEntry) -> Digest {
    let path_inside =
        |path: &str| path.trim_start_matches('/').split_once('/').map(|(_, path)| path.to_owned());
    let templates =
        plans.values().flat_map(|plan| plan.graph.nodes()).filter_map(|node| node.create.as_ref());
    let mut with_secrets = templates.filter(|template| !template.secrets.is_empty());
    let template = with_secrets.find(|template| path_inside(&template.path) == path_inside(&entry.path));
    let (Some(template), Ok(mut body)) = (template, serde_json::from_str::<Value>(&entry.body)) else {
        return digest(entry);
    };
    for pointer in template.secrets.keys() {
        if let Some(value) = body.pointer_mut(pointer) {
            *value = Value::Null;
        }
    }
    let mut bytes = to_canonical_bytes("a body", &body).unwrap_or_default();
    for (pointer, slot) in &template.secrets {
        bytes.extend_from_slice(format!("\n{pointer} {} {}", slot.node, slot.value).as_bytes());
    }
    request_digest(&entry.method, &entry.path, &bytes)
}

pub(crate) fn bucket(entry: &JournalEntry) -> &str {
    entry.path.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default()
}

/// Whether some plan holds this body, apart from its declared slots.
pub(crate) fn body_is_planned(plans: &BTreeMap<OperationId, Plan>, entry: &JournalEntry) -> bool {
    let nodes = || plans.values().flat_map(|plan| plan.graph.nodes());
    if !entry.path.starts_with("/v2/") && !entry.in_cluster {
        return nodes().any(|node| node.kind == Kind::SosBucket && bucket(entry) == node.name);
    }
    let Ok(sent) = serde_json::from_str::<serde_json::Value>(&entry.body) else { return false };
    nodes().filter_map(|node| node.create.as_ref()).any(|template| {
        let mut sent = sent.clone();
        for pointer in template.slots.keys().chain(template.secrets.keys()) {
            if let Some(slot) = sent.pointer_mut(pointer) {
                *slot = serde_json::Value::Null;
            }
        }
        template.body.as_ref() == Some(&sent) && template.operation == entry.operation
    })
}

/// Invariant 13: an operation starts only after as many distinct persons, none
/// of them the requester, as the plan's level demands.
fn every_operation_was_approved(records: &[Record], plans: &BTreeMap<OperationId, Plan>) -> Vec<String> {
    let mut voters: BTreeMap<&OperationId, BTreeSet<&PersonId>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (place, record) in records.iter().enumerate() {
        let Some(operation) = &record.entry.operation else { continue };
        match &record.entry.event {
            Event::ApprovalRecorded { person, .. } => {
                voters.entry(operation).or_default().insert(person);
            }
            Event::OperationStarted { .. } => {
                let votes = |(id, plan): (&OperationId, &Plan)| {
                    let counted = voters.get(id).into_iter().flatten();
                    (counted.filter(|person| ***person != plan.requester).count(), plan.level.persons())
                };
                let (counted, needed) = plans.get_key_value(operation).map_or((0, usize::MAX), votes);
                let consent = consenting(&records[..place], record, plans).map(votes);
                if counted < needed && consent.is_none_or(|(counted, needed)| counted < needed) {
                    wrong.push(format!("unapproved: {operation} started with {counted} of {needed} votes"));
                }
            }
            _ => {}
        }
    }
    wrong
}

/// Invariant 20: the chain verifies.
pub(crate) fn chain_is_whole(records: &[Record]) -> Vec<String> {
    match exokit_ledger::verify::verify(records) {
        Ok(_) => Vec::new(),
        Err(bad) => vec![format!("chain: {bad}")],
    }
}

/// Whether nothing at all is left in the account.
#[must_use]
pub fn leftovers(rig: &Rig) -> Vec<String> {
    let live = rig.cloud(World::live);
    live.iter().map(|resource| format!("{:?} {} {}", resource.kind, resource.id, resource.name)).collect()
}
