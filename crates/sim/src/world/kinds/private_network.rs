//! Private networks: existence and labels, without traffic or leases.

use super::{Handlers, as_kept, get, list, quota, update};
use crate::world::{Call, HandlerReply, Kind, NewObject, PendingOperation, Refusal, World};
use serde_json::json;

const KIND: Kind = Kind::PrivateNetwork;

pub(crate) const HANDLERS: Handlers = &[
    ("create-private-network", create),
    ("list-private-networks", |world, call| list(world, Some(&call.zone), KIND, "private-networks", as_kept)),
    ("get-private-network", |world, call| get(world, call, KIND, as_kept)),
    ("update-private-network", |world, call| update(world, call, KIND)),
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
