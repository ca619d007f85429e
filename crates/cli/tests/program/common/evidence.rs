//! What a place and its cloud hold, read from their files and not through the
//! program: the ledger from a copy, the cloud from what the server saved.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use exokit_ledger::{Filter, Ledger as _, SqliteLedger};
use exokit_model::event::{Event, Record};
use exokit_sim::{Effect, Kind, LiveResource, World};

/// The records of a state directory in which no process works. They are read
/// from a copy, so that the program itself must recover what a killed process
/// left behind.
pub(crate) fn records(state: &Path) -> Vec<Record> {
    let copy = tempfile::tempdir().unwrap();
    for name in ["ledger.db", "ledger.db-wal"] {
        if state.join(name).exists() {
            std::fs::copy(state.join(name), copy.path().join(name)).unwrap();
        }
    }
    let ledger = SqliteLedger::open(copy.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let records = runtime.block_on(ledger.read(Filter::All, 0)).unwrap();
    exokit_ledger::verify::verify(&records).unwrap();
    records
}

/// The cloud as the server last saved it, at the present time.
pub(crate) fn world(file: &Path) -> World {
    let mut world: World = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    world.advance(jiff_now());
    world
}

#[expect(clippy::disallowed_methods, reason = "the simulated cloud follows the host's clock")]
fn jiff_now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Ids that exist because a plan asked for them; machines and keys that the
/// cloud makes for a cluster are not among them, nor load balancers and volumes
/// that the cluster's controllers make for an object that exists.
pub(crate) fn asked_for(live: &[LiveResource]) -> BTreeSet<String> {
    let objects: BTreeSet<&str> = live
        .iter()
        .filter(|resource| resource.kind == Kind::KubernetesObject)
        .map(|resource| resource.id.as_str())
        .collect();
    let of_object = |resource: &LiveResource| {
        let uid = match resource.kind {
            Kind::LoadBalancer => resource.name.strip_prefix("k8s-"),
            Kind::LoadBalancerService => resource.name.get(..36),
            Kind::BlockStorageVolume => resource.name.strip_prefix("pvc-"),
            _ => None,
        };
        uid.is_some_and(|uid| objects.contains(uid))
    };
    let derived = |resource: &LiveResource| {
        matches!(resource.kind, Kind::InstancePool | Kind::Instance)
            || resource.name.starts_with("sks-ccm-")
            || of_object(resource)
    };
    live.iter().filter(|resource| !derived(resource)).map(|resource| resource.id.clone()).collect()
}

/// What was ever made twice, one line each. Every attempt at a resource sends
/// the same bytes, and these hold its owner token; so of one request at most
/// one thing may exist at any time.
pub(crate) fn duplicates(world: &World) -> Vec<String> {
    let mut made: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in world.journal() {
        match &entry.effect {
            Effect::Created { id, .. } => {
                let own = made.entry((&entry.path, &entry.body)).or_default();
                own.push(id);
                if own.len() > 1 {
                    wrong.push(format!("{} {} {}: {own:?}", entry.method, entry.path, entry.body));
                }
            }
            Effect::Deleted { id, .. } => made.values_mut().for_each(|ids| ids.retain(|own| own != id)),
            Effect::Updated { .. } | Effect::None => {}
        }
    }
    wrong
}

/// How many things were ever made.
pub(crate) fn made(world: &World) -> usize {
    world.journal().iter().filter(|entry| matches!(entry.effect, Effect::Created { .. })).count()
}

/// Nodes of which nobody knows whether their request took effect.
pub(crate) fn in_doubt(records: &[Record]) -> BTreeSet<String> {
    let mut doubtful = BTreeSet::new();
    for record in records {
        let Some(node) = record.entry.event.node() else { continue };
        let node = format!("{:?} {node}", record.entry.operation);
        match &record.entry.event {
            Event::CreateIntended { .. } | Event::CreateInDoubt { .. } => doubtful.insert(node),
            _ => doubtful.remove(&node),
        };
    }
    doubtful
}
