//! Network load balancers, their services, and the lock on target pools.

use super::{Handlers, get, instance, list, quota};
use crate::codec::rfc3339;
use crate::world::{Call, Effect, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World};
use serde_json::{Value, json};

const KIND: Kind = Kind::LoadBalancer;
const SERVICE: Kind = Kind::LoadBalancerService;

pub(crate) const HANDLERS: Handlers = &[
    ("create-load-balancer", create),
    ("list-load-balancers", |world, call| list(world, Some(&call.zone), KIND, "load-balancers", value)),
    ("get-load-balancer", |world, call| get(world, call, KIND, value)),
    ("update-load-balancer", update),
    ("delete-load-balancer", delete),
    ("add-service-to-load-balancer", add_service),
    ("get-load-balancer-service", get_service),
    ("update-load-balancer-service", update_service),
    ("delete-load-balancer-service", delete_service),
];

/// Adds a balancer in state `creating`.
pub(crate) fn new_balancer(world: &mut World, name: &str, zone: &str, body: &Value) -> String {
    let (a, b) = (world.ids.between(1, 254), world.ids.between(1, 254));
    let doc = json!({
        "name": name, "state": "creating", "services": [],
        "description": body.get("description"), "labels": body.get("labels"),
        // A documentation address: nothing listens there.
        "ip": format!("198.18.{a}.{b}"), "created-at": rfc3339(world.now_ms()),
    });
    world.create(NewObject { kind: KIND, zone: Some(zone), parent: None, doc })
}

fn targets(balancer: &Object, pool: &str) -> bool {
    balancer.items("services").iter().any(|service| service["instance-pool"]["id"] == pool)
}

/// What deleting a pool meets while a balancer targets it: a refusal or, if
/// so configured, an operation that fails. `None`: not locked.
pub(crate) fn lock_of(world: &World, pool: &str) -> Option<Result<PendingOperation, Refusal>> {
    let locked = world.all(KIND).into_iter().find(|nlb| targets(nlb, pool))?;
    let message = format!("destroyInstancePool: forbidden: locked by NLB {}", locked.id);
    Some(if world.config.policies.pool_lock_refuses {
        Err(Refusal::conflict(message))
    } else {
        Ok(PendingOperation::new(Effect::None, Kind::InstancePool, pool).failing("conflict", message))
    })
}

fn check_name(world: &World, name: &str, zone: &str, own: &str) -> Result<(), Refusal> {
    let taken = world
        .all(KIND)
        .iter()
        .any(|nlb| nlb.id != own && nlb.text("name") == name && nlb.zone.as_deref() == Some(zone));
    if taken {
        return Err(Refusal::conflict(format!("load balancer '{name}' already exists")));
    }
    Ok(())
}

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    check_name(world, call.text("name"), &call.zone, "")?;
    quota::check(world, "network-load-balancer", 1)?;
    let id = new_balancer(world, call.text("name"), &call.zone, &call.body);
    PendingOperation::created(KIND, &id).then_state(KIND, &id, "running").answer()
}

/// Health of the targets: whatever runs is healthy.
fn with_health(world: &World, service: &Value) -> Value {
    let mut doc = service.clone();
    let pool = doc["instance-pool"]["id"].as_str().unwrap_or_default();
    let status: Vec<Value> = instance::members(world, pool)
        .map(|vm| {
            let up = vm.state() == "running";
            json!({"public-ip": vm.text("public-ip"), "status": if up { "success" } else { "failure" }})
        })
        .collect();
    doc["healthcheck-status"] = Value::Array(status);
    doc
}

fn value(world: &mut World, balancer: &Object) -> Value {
    let mut doc = balancer.value();
    doc["services"] = balancer.items("services").iter().map(|service| with_health(world, service)).collect();
    doc
}

fn update(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = world.get(KIND, call.param("id"), &call.zone)?.id.clone();
    if call.body.get("name").is_some() {
        check_name(world, call.text("name"), &call.zone, &id)?;
    }
    world.set_all(KIND, &id, &call.body);
    PendingOperation::updated(KIND, &id).answer()
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = world.get(KIND, call.param("id"), &call.zone)?.id.clone();
    world.set(KIND, &id, "state", "deleting");
    PendingOperation::deleted(KIND, &id).answer()
}

fn check_health(check: &Value) -> Result<(), Refusal> {
    let number = |key: &str| check.get(key).and_then(Value::as_i64);
    if let (Some(interval), Some(timeout)) = (number("interval"), number("timeout"))
        && timeout > interval
    {
        return Err(Refusal::bad("'healthcheck.timeout' is longer than the interval"));
    }
    Ok(())
}

fn add_service(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let balancer = world.get(KIND, call.param("id"), &call.zone)?;
    let (id, mut list) = (balancer.id.clone(), balancer.items("services").to_vec());
    world.get(Kind::InstancePool, call.reference("instance-pool"), &call.zone)?;
    check_health(&call.body["healthcheck"])?;
    let clash = list.iter().any(|s| s["port"] == call.body["port"] && s["protocol"] == call.body["protocol"]);
    if clash {
        return Err(Refusal::conflict("port is already in use"));
    }
    let service = world.ids.uuid();
    let mut doc = call.body.clone();
    doc["id"] = json!(service);
    doc["state"] = json!("running");
    doc["instance-pool"] = json!({"id": call.reference("instance-pool")});
    list.push(doc);
    world.set(KIND, &id, "services", list);
    // The operation refers to the balancer, not to the service.
    PendingOperation::new(Effect::created(SERVICE, &service), KIND, &id).answer()
}

fn own_service(world: &World, call: &Call) -> Result<(String, Vec<Value>, usize), Refusal> {
    let balancer = world.get(KIND, call.param("id"), &call.zone)?;
    let list = balancer.items("services").to_vec();
    let place = list
        .iter()
        .position(|s| s["id"] == call.param("service-id"))
        .ok_or_else(|| Refusal::not_found(SERVICE))?;
    Ok((balancer.id.clone(), list, place))
}

fn get_service(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let (_, list, place) = own_service(world, call)?;
    HandlerReply::read(with_health(world, &list[place]))
}

fn update_service(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let (id, mut list, place) = own_service(world, call)?;
    check_health(&call.body["healthcheck"])?;
    for (key, value) in call.body.as_object().into_iter().flatten() {
        list[place][key] = value.clone();
    }
    world.set(KIND, &id, "services", list);
    PendingOperation::new(Effect::updated(SERVICE, call.param("service-id")), KIND, &id).answer()
}

fn delete_service(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let (id, mut list, place) = own_service(world, call)?;
    list.remove(place);
    world.set(KIND, &id, "services", list);
    PendingOperation::new(Effect::deleted(SERVICE, call.param("service-id")), KIND, &id).answer()
}
