//! Quotas: what is used, and the refusal of what would exceed them.

use super::{Handlers, instance_type};
use crate::world::{Call, HandlerReply, Kind, Refusal, World};
use serde_json::{Value, json};

pub(crate) const HANDLERS: Handlers = &[("list-quotas", list), ("get-quota", get)];

fn entry(world: &World, resource: &str, limit: i64) -> Value {
    json!({"resource": resource, "usage": usage(world, resource), "limit": limit})
}

fn list(world: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
    let quotas: Vec<Value> =
        world.config.quotas.iter().map(|(resource, limit)| entry(world, resource, *limit)).collect();
    HandlerReply::read(json!({"quotas": quotas}))
}

fn get(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let resource = call.param("entity");
    match world.config.quotas.get(resource) {
        Some(limit) => HandlerReply::read(entry(world, resource, *limit)),
        None => Err(Refusal::new(404, "quota not found")),
    }
}

fn count(world: &World, kind: Kind) -> i64 {
    let found = world.all(kind).iter().filter(|o| !o.builtin).count();
    i64::try_from(found).unwrap_or(i64::MAX)
}

/// Pools count with the size asked for, so that two requests at once cannot
/// both fit; machines being destroyed no longer count. Both are guesses.
fn instances(world: &World) -> i64 {
    let pools: i64 = world.all(Kind::InstancePool).iter().map(|pool| pool.number("size")).sum();
    let single = world
        .all(Kind::Instance)
        .iter()
        .filter(|vm| vm.parent.is_none() && vm.state() != "destroying")
        .count();
    pools + i64::try_from(single).unwrap_or(i64::MAX)
}

fn usage(world: &World, resource: &str) -> i64 {
    match resource {
        "instance" => instances(world),
        "cpu" => sum_of_types(world, |t| t.cpus),
        "memory" => sum_of_types(world, |t| t.memory_bytes()),
        "sks-cluster" => count(world, Kind::SksCluster),
        "network-load-balancer" => count(world, Kind::LoadBalancer),
        "private-network" => count(world, Kind::PrivateNetwork),
        "database" => count(world, Kind::DbaasService),
        "iam-key" => count(world, Kind::ApiKey),
        "bucket" => i64::try_from(world.sos.live().len()).unwrap_or(i64::MAX),
        "block-storage-volume" => count(world, Kind::BlockStorageVolume),
        "block-storage" => {
            world.all(Kind::BlockStorageVolume).iter().map(|volume| volume.number("size")).sum()
        }
        _ => 0,
    }
}

fn sum_of_types(world: &World, part: fn(&instance_type::InstanceType) -> i64) -> i64 {
    world
        .all(Kind::Instance)
        .iter()
        .filter_map(|vm| instance_type::by_id(vm.reference("instance-type")?))
        .map(|t| part(&t))
        .sum()
}

/// Refuses what would take `resource` over its limit. The status is a guess.
pub(crate) fn check(world: &World, resource: &str, more: i64) -> Result<(), Refusal> {
    let limit = world.config.quotas.get(resource).copied().unwrap_or(-1);
    if limit < 0 || usage(world, resource) + more <= limit {
        return Ok(());
    }
    Err(Refusal::new(
        world.config.policies.quota_status,
        format!("quota exceeded: at most {limit} of {resource}"),
    ))
}
