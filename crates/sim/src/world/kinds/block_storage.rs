//! Block storage volumes and snapshots.

use super::{Handlers, as_kept, get, instance_type, list, quota, update};
use crate::codec::rfc3339;
use crate::world::{
    Call, Change, Effect, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World, references,
};
use serde_json::{Value, json};

const VOLUME: Kind = Kind::BlockStorageVolume;
const SNAPSHOT: Kind = Kind::BlockStorageSnapshot;

pub(crate) const HANDLERS: Handlers = &[
    ("create-block-storage-volume", create),
    ("list-block-storage-volumes", list_volumes),
    ("get-block-storage-volume", |world, call| get(world, call, VOLUME, as_kept)),
    ("update-block-storage-volume", |world, call| update(world, call, VOLUME)),
    ("delete-block-storage-volume", delete),
    ("attach-block-storage-volume-to-instance", attach),
    ("detach-block-storage-volume", detach),
    ("resize-block-storage-volume", resize),
    ("create-block-storage-snapshot", create_snapshot),
    ("list-block-storage-snapshots", |world, call| {
        list(world, Some(&call.zone), SNAPSHOT, "block-storage-snapshots", as_kept)
    }),
    ("get-block-storage-snapshot", |world, call| get(world, call, SNAPSHOT, as_kept)),
    ("update-block-storage-snapshot", |world, call| update(world, call, SNAPSHOT)),
    ("delete-block-storage-snapshot", delete_snapshot),
];

/// Adds a volume in state `creating`.
pub(crate) fn new_volume(world: &mut World, zone: &str, body: &Value, size: i64) -> String {
    let doc = json!({
        "name": body.get("name").cloned().unwrap_or_else(|| json!("volume")),
        "labels": body.get("labels"), "size": size, "state": "creating", "blocksize": 4096,
        "created-at": rfc3339(world.now_ms()), "block-storage-snapshots": [],
    });
    world.create(NewObject { kind: VOLUME, zone: Some(zone), parent: None, doc })
}

/// Detaches whatever hangs on a machine that goes away.
pub(crate) fn release(world: &mut World, instance: &str) {
    let attached: Vec<String> = world
        .all(VOLUME)
        .iter()
        .filter(|volume| volume.reference("instance") == Some(instance))
        .map(|volume| volume.id.clone())
        .collect();
    for id in attached {
        if let Some(volume) = world.find_mut(VOLUME, &id) {
            volume.doc.remove("instance");
            volume.set("state", "detached");
        }
    }
}

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let source = call.reference("block-storage-snapshot");
    let size = match (call.number("size"), source) {
        (Some(size), _) => size,
        (None, "") => return Err(Refusal::bad("missing keys 'size'")),
        (None, id) => world.get(SNAPSHOT, id, &call.zone)?.number("volume-size"),
    };
    quota::check(world, "block-storage-volume", 1)?;
    quota::check(world, "block-storage", size)?;
    let max = world.config.quotas.get("block-storage-max-size").copied().unwrap_or(-1);
    if max >= 0 && size > max {
        return Err(Refusal::bad("'size' is out of range"));
    }
    let id = new_volume(world, &call.zone, &call.body, size);
    PendingOperation::created(VOLUME, &id).then_state(VOLUME, &id, "detached").answer()
}

fn list_volumes(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let wanted = call.query.get("instance-id");
    let docs: Vec<Value> = world
        .listed(VOLUME, Some(&call.zone))
        .iter()
        .filter(|v| wanted.is_none_or(|id| v.reference("instance") == Some(id)))
        .map(Object::value)
        .collect();
    HandlerReply::read(json!({"block-storage-volumes": docs}))
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let volume = world.get(VOLUME, call.param("id"), &call.zone)?;
    let id = volume.id.clone();
    if volume.doc.contains_key("instance") {
        return Err(Refusal::new(412, "Volume is attached"));
    }
    world.set(VOLUME, &id, "state", "deleting");
    PendingOperation::deleted(VOLUME, &id).answer()
}

fn attach(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let volume = world.get(VOLUME, call.param("id"), &call.zone)?;
    let id = volume.id.clone();
    if volume.state() != "detached" {
        return Err(Refusal::conflict(format!("Volume is {}", volume.state())));
    }
    let vm = world.get(Kind::Instance, call.reference("instance"), &call.zone)?;
    let vm_id = vm.id.clone();
    let vm_type = vm.reference("instance-type");
    if !vm_type.and_then(instance_type::by_id).is_some_and(|t| t.at_least_small()) {
        return Err(Refusal::conflict("instance type must be at least small"));
    }
    world.set(VOLUME, &id, "state", "attaching");
    world.set(VOLUME, &id, "instance", json!({"id": vm_id}));
    PendingOperation::updated(VOLUME, &id).then_state(VOLUME, &id, "attached").answer()
}

fn detach(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let volume = world.get(VOLUME, call.param("id"), &call.zone)?;
    let id = volume.id.clone();
    if !volume.doc.contains_key("instance") {
        return Err(Refusal::new(412, "Volume not attached"));
    }
    if let Some(volume) = world.find_mut(VOLUME, &id) {
        volume.doc.remove("instance");
        volume.set("state", "detaching");
    }
    PendingOperation::updated(VOLUME, &id).then_state(VOLUME, &id, "detached").answer()
}

/// Synchronous, and it only grows: detached, or on a stopped machine.
fn resize(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let volume = world.get(VOLUME, call.param("id"), &call.zone)?;
    let (id, before) = (volume.id.clone(), volume.number("size"));
    let size = call.number("size").unwrap_or(0);
    let stopped = volume
        .reference("instance")
        .is_none_or(|vm| world.find(Kind::Instance, vm).is_some_and(|vm| vm.state() == "stopped"));
    if !stopped {
        return Err(Refusal::new(412, "Volume is attached to a running instance"));
    }
    if size <= before {
        return Err(Refusal::bad("'size' must grow"));
    }
    quota::check(world, "block-storage", size - before)?;
    world.set(VOLUME, &id, "size", size);
    let doc = world.get(VOLUME, &id, &call.zone)?.value();
    Ok(HandlerReply::Json(doc, Effect::updated(VOLUME, &id)))
}

fn snapshot_refs(world: &World, volume: &str, without: &str) -> Value {
    let snapshots = world.children(SNAPSHOT, volume);
    references(snapshots.into_iter().map(|snapshot| snapshot.id.as_str()).filter(|id| *id != without))
}

fn create_snapshot(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let volume = world.get(VOLUME, call.param("id"), &call.zone)?;
    let (volume_id, size) = (volume.id.clone(), volume.number("size"));
    let doc = json!({
        "name": call.body.get("name").cloned().unwrap_or_else(|| json!("snapshot")),
        "labels": call.body.get("labels"), "size": size, "volume-size": size,
        "state": "creating", "created-at": rfc3339(world.now_ms()),
        "block-storage-volume": {"id": volume_id},
    });
    let id =
        world.create(NewObject { kind: SNAPSHOT, zone: Some(&call.zone), parent: Some(&volume_id), doc });
    let refs = snapshot_refs(world, &volume_id, "");
    world.set(VOLUME, &volume_id, "block-storage-snapshots", refs);
    PendingOperation::created(SNAPSHOT, &id).then_state(SNAPSHOT, &id, "created").answer()
}

fn delete_snapshot(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let snapshot = world.get(SNAPSHOT, call.param("id"), &call.zone)?;
    let (id, volume) = (snapshot.id.clone(), snapshot.parent.clone().unwrap_or_default());
    world.set(SNAPSHOT, &id, "state", "destroying");
    let refs = snapshot_refs(world, &volume, &id);
    PendingOperation::deleted(SNAPSHOT, &id)
        .then(Change::set(VOLUME, &volume, "block-storage-snapshots", refs))
        .answer()
}
