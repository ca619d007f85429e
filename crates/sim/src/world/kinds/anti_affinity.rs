//! Anti-affinity groups.

use super::{Handlers, get, list, security_group};
use crate::world::{
    Call, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World, references,
};
use serde_json::{Value, json};

const KIND: Kind = Kind::AntiAffinityGroup;

pub(crate) const HANDLERS: Handlers = &[
    ("create-anti-affinity-group", create),
    ("list-anti-affinity-groups", |world, _| list(world, None, KIND, "anti-affinity-groups", value)),
    ("get-anti-affinity-group", |world, call| get(world, call, KIND, value)),
    ("delete-anti-affinity-group", delete),
];

fn value(world: &mut World, group: &Object) -> Value {
    let mut doc = group.value();
    let machines = world.all(Kind::Instance);
    let members: Vec<&str> = machines
        .iter()
        .filter(|vm| vm.refers("anti-affinity-groups", &group.id))
        .map(|vm| vm.id.as_str())
        .collect();
    if !members.is_empty() {
        doc["instances"] = references(members);
    }
    doc
}

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    security_group::check_name(world, KIND, call.text("name"))?;
    let doc = json!({"name": call.text("name"), "description": call.body.get("description")});
    let id = world.create(NewObject { kind: KIND, zone: None, parent: None, doc });
    PendingOperation::created(KIND, &id).answer()
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = call.param("id");
    world.get(KIND, id, &call.zone)?;
    if security_group::used(world, "anti-affinity-groups", id) {
        // Uncertain on the real cloud: taken to be as for security groups.
        return Err(Refusal::conflict("anti-affinity group is in use"));
    }
    PendingOperation::deleted(KIND, id).answer()
}
