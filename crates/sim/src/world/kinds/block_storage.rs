//! Block storage volumes and snapshots.

use super::{Handlers, instance_type, quota};
use crate::codec::rfc3339;
use crate::world::{
    Call, Change, Effect, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World,
};
use serde_json::{Value, json};

const VOLUME: Kind = Kind::BlockStorageVolume;
const SNAPSHOT: Kind = Kind::BlockStorageSnapshot;

pub(crate) const HANDLERS: Handlers = &[
    ("create-block-storage-volume", create),
    ("list-block-storage-volumes", list),
    ("get-block-storage-volume", get),
    ("update-block-storage-volume", update),
    ("delete-block-storage-volume", delete),
    ("attach-block-storage-volume-to-instance", attach),
    ("detach-block-storage-volume", detach),
    ("resize-block-storage-volume", resize),
    ("create-block-storage-snapshot", create_snapshot),
    ("list-block-storage-snapshots", list_snapshots),
    ("get-block-storage-snapshot", get_snapshot),
    ("update-block-storage-snapshot", update_snapshot),
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
        .filter(|volume| instance_of(volume) == Some(instance))
        .map(|volume| volume.id.clone())
        .collect();
    for id in attached {
        if let Some(volume) = world.find_mut(VOLUME, &id) {
            volume.doc.remove("instance");
            volume.set("state", "detached");
        }
    }
}

fn instance_of(volume: &Object) -> Option<&str> {
    volume.doc.get("instance")?.get("id")?.as_str()
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

fn list(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let wanted = call.query.get("instance-id");
    let docs: Vec<Value> = world
        .listed(VOLUME, Some(&call.zone))
        .iter()
        .filter(|v| wanted.is_none_or(|id| instance_of(v) == Some(id)))
        .map(Object::value)
        .collect();
    HandlerReply::read(json!({"block-storage-volumes": docs}))
}

fn get(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    HandlerReply::read(world.get(VOLUME, call.param("id"), &call.zone)?.value())
}

fn edit(world: &mut World, call: &Call, kind: Kind) -> Result<HandlerReply, Refusal> {
    let id = world.get(kind, call.param("id"), &call.zone)?.id.clone();
    for (key, value) in call.body.as_object().into_iter().flatten() {
        world.set(kind, &id, key, value.clone());
    }
    PendingOperation::updated(kind, &id).answer()
}

fn update(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    edit(world, call, VOLUME)
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
    let vm_type = vm.doc.get("instance-type").and_then(|t| t.get("id")?.as_str());
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
    let stopped = instance_of(volume)
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

fn snapshot_refs(world: &World, volume: &str, without: &str) -> Vec<Value> {
    world
        .all(SNAPSHOT)
        .iter()
        .filter(|s| s.parent.as_deref() == Some(volume) && s.id != without)
        .map(|s| json!({"id": s.id}))
        .collect()
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

fn list_snapshots(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let all = world.listed(SNAPSHOT, Some(&call.zone));
    let docs: Vec<Value> = all.iter().map(Object::value).collect();
    HandlerReply::read(json!({"block-storage-snapshots": docs}))
}

fn get_snapshot(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    HandlerReply::read(world.get(SNAPSHOT, call.param("id"), &call.zone)?.value())
}

fn update_snapshot(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    edit(world, call, SNAPSHOT)
}

fn delete_snapshot(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let snapshot = world.get(SNAPSHOT, call.param("id"), &call.zone)?;
    let (id, volume) = (snapshot.id.clone(), snapshot.parent.clone().unwrap_or_default());
    world.set(SNAPSHOT, &id, "state", "destroying");
    let refs = snapshot_refs(world, &volume, &id);
    PendingOperation::deleted(SNAPSHOT, &id)
        .then(Change::Set {
            kind: VOLUME,
            id: volume,
            key: "block-storage-snapshots".to_owned(),
            value: Value::Array(refs),
        })
        .answer()
}
