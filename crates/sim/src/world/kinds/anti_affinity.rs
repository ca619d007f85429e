//! Anti-affinity groups.

use super::{Handlers, security_group};
use crate::world::{Call, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World};
use serde_json::{Value, json};

const KIND: Kind = Kind::AntiAffinityGroup;

pub(crate) const HANDLERS: Handlers = &[
    ("create-anti-affinity-group", create),
    ("list-anti-affinity-groups", list),
    ("get-anti-affinity-group", get),
    ("delete-anti-affinity-group", delete),
];

fn value(world: &World, group: &Object) -> Value {
    let mut doc = group.value();
    let members: Vec<Value> = world
        .all(Kind::Instance)
        .iter()
        .filter(|vm| vm.refers("anti-affinity-groups", &group.id))
        .map(|vm| json!({"id": vm.id}))
        .collect();
    if !members.is_empty() {
        doc["instances"] = Value::Array(members);
    }
    doc
}

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    security_group::check_name(world, KIND, call.text("name"))?;
    let doc = json!({"name": call.text("name"), "description": call.body.get("description")});
    let id = world.create(NewObject { kind: KIND, zone: None, parent: None, doc });
    PendingOperation::created(KIND, &id).answer()
}

fn list(world: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
    let groups = world.listed(KIND, None);
    let docs: Vec<Value> = groups.iter().map(|g| value(world, g)).collect();
    HandlerReply::read(json!({"anti-affinity-groups": docs}))
}

fn get(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let group = world.get(KIND, call.param("id"), &call.zone)?;
    HandlerReply::read(value(world, group))
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = call.param("id");
    world.get(KIND, id, &call.zone)?;
    if security_group::used(world, "anti-affinity-groups", id) {
        // Uncertain on the real cloud: taken to be as for security groups.
        return Err(Refusal::new(world.config.policies.busy_group_status, "anti-affinity group is in use"));
    }
    PendingOperation::deleted(KIND, id).answer()
}
