//! Private networks: existence and labels, without traffic or leases.

use super::{Handlers, quota};
use crate::world::{Call, HandlerReply, Kind, NewObject, PendingOperation, Refusal, World};
use serde_json::{Value, json};

const KIND: Kind = Kind::PrivateNetwork;

pub(crate) const HANDLERS: Handlers = &[
    ("create-private-network", create),
    ("list-private-networks", list),
    ("get-private-network", get),
    ("update-private-network", update),
    ("delete-private-network", delete),
];

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let ends = ["start-ip", "end-ip", "netmask"];
    let given = ends.iter().filter(|key| call.body.get(**key).is_some()).count();
    if !matches!(given, 0 | 3) {
        return Err(Refusal {
            status: 400,
            message: "invalid range".to_owned(),
            errors: vec!["start-ip, end-ip and netmask go together".to_owned()],
        });
    }
    quota::check(world, "private-network", 1)?;
    let mut doc = call.body.clone();
    doc["vni"] = json!(world.ids.between(1, 1 << 24));
    let id = world.create(NewObject { kind: KIND, zone: Some(&call.zone), parent: None, doc });
    PendingOperation::created(KIND, &id).answer()
}

fn list(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let all = world.listed(KIND, Some(&call.zone));
    let docs: Vec<Value> = all.iter().map(|n| n.value()).collect();
    HandlerReply::read(json!({"private-networks": docs}))
}

fn get(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    HandlerReply::read(world.get(KIND, call.param("id"), &call.zone)?.value())
}

fn update(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = call.param("id");
    world.get(KIND, id, &call.zone)?;
    for (key, value) in call.body.as_object().into_iter().flatten() {
        world.set(KIND, id, key, value.clone());
    }
    PendingOperation::updated(KIND, id).answer()
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = call.param("id");
    world.get(KIND, id, &call.zone)?;
    let used = [Kind::Instance, Kind::InstancePool]
        .into_iter()
        .flat_map(|kind| world.all(kind))
        .any(|object| object.refers("private-networks", id));
    if used {
        // Uncertain on the real cloud.
        return Err(Refusal::conflict("private network is in use"));
    }
    PendingOperation::deleted(KIND, id).answer()
}
