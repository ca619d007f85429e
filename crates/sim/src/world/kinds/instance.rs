//! Instances: machines that boot, stop, and take minutes to disappear.

use super::{Handlers, as_kept, get, instance_type, quota, update};
use crate::codec::rfc3339;
use crate::world::{
    Call, Change, Effect, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World,
};
use serde_json::{Value, json};

const KIND: Kind = Kind::Instance;

pub(crate) const HANDLERS: Handlers = &[
    ("create-instance", create),
    ("list-instances", list),
    ("get-instance", |world, call| get(world, call, KIND, as_kept)),
    ("update-instance", |world, call| update(world, call, KIND)),
    ("start-instance", |world, call| action(world, call, ("stopped", "starting", "running"))),
    ("stop-instance", |world, call| action(world, call, ("running", "stopping", "stopped"))),
    ("reboot-instance", |world, call| action(world, call, ("running", "running", "running"))),
    ("delete-instance", delete),
];

/// Adds a machine in state `starting`.
pub(crate) fn boot(world: &mut World, zone: &str, pool: Option<&str>, mut doc: Value) -> String {
    let (a, b) = (world.ids.between(1, 254), world.ids.between(1, 254));
    doc["state"] = json!("starting");
    doc["created-at"] = json!(rfc3339(world.now_ms()));
    // A documentation address: nothing listens there.
    doc["public-ip"] = json!(format!("198.19.{a}.{b}"));
    doc["public-ip-assignment"] = json!("inet4");
    world.create(NewObject { kind: KIND, zone: Some(zone), parent: pool, doc })
}

/// The members of a pool that are not on their way out, oldest first.
pub(crate) fn members<'a>(world: &'a World, pool: &str) -> impl Iterator<Item = &'a Object> {
    world.children(KIND, pool).into_iter().filter(|vm| vm.state() != "destroying")
}

/// Starts the destruction of a machine: for minutes it still exists, shown as
/// `destroying`, and keeps its groups busy.
pub(crate) fn destroy(world: &mut World, id: &str) {
    world.leave_node(id);
    world.set(KIND, id, "state", "destroying");
    super::block_storage::release(world, id);
    let linger = world.delay("vm-linger");
    world.schedule(linger, Change::remove(KIND, id));
}

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    instance_type::required(call.reference("instance-type"))?;
    quota::check(world, "instance", 1)?;
    let mut doc = call.body.clone();
    for asked_only in ["auto-start", "ipv6-enabled"] {
        doc.as_object_mut().map(|fields| fields.remove(asked_only));
    }
    let id = boot(world, &call.zone, None, doc);
    let done = if call.flag("auto-start") == Some(false) { "stopped" } else { "running" };
    PendingOperation::created(KIND, &id).then_state(KIND, &id, done).answer()
}

fn shows(vm: &Object, call: &Call) -> bool {
    let manager = |key: &str| vm.doc.get("manager").and_then(|m| m.get(key)?.as_str());
    call.query.iter().all(|(name, wanted)| match name.as_str() {
        "manager-id" => manager("id") == Some(wanted),
        "manager-type" => manager("type") == Some(wanted),
        "ip-address" => vm.text("public-ip") == wanted,
        _ => true,
    })
}

/// What a list does not show of a machine.
const ONLY_ALONE: [&str; 6] = [
    "anti-affinity-groups",
    "application-consistent-snapshot-enabled",
    "disk-size",
    "secureboot-enabled",
    "tpm-enabled",
    "user-data",
];

fn in_list(vm: &Object) -> Value {
    let mut doc = vm.value();
    if let Some(fields) = doc.as_object_mut() {
        fields.retain(|key, _| !ONLY_ALONE.contains(&key.as_str()));
    }
    doc
}

fn list(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let machines = world.listed(KIND, Some(&call.zone));
    let docs: Vec<Value> = machines.iter().filter(|vm| shows(vm, call)).map(in_list).collect();
    HandlerReply::read(json!({"instances": docs}))
}

fn action(
    world: &mut World,
    call: &Call,
    (from, during, then): (&str, &str, &str),
) -> Result<HandlerReply, Refusal> {
    let vm = world.get(KIND, call.param("id"), &call.zone)?;
    let (id, state) = (vm.id.clone(), vm.state());
    if state != from {
        return Err(Refusal::conflict(format!("instance is {state}, not {from}")));
    }
    world.set(KIND, &id, "state", during);
    PendingOperation::updated(KIND, &id).then_state(KIND, &id, then).answer()
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let vm = world.get(KIND, call.param("id"), &call.zone)?;
    let id = vm.id.clone();
    if vm.doc.contains_key("manager") {
        return Err(Refusal::forbidden("instance is managed by a pool"));
    }
    world.set(KIND, &id, "state", "destroying");
    let linger = world.delay("vm-linger") + world.delay("delete-instance");
    world.schedule(linger, Change::remove(KIND, &id));
    PendingOperation::new(Effect::deleted(KIND, &id), KIND, &id).answer()
}
