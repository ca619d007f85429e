//! Instance pools: machines made and destroyed to keep a size.

use super::{Handlers, get, instance, instance_type, list, load_balancer, quota};
use crate::rng::LOWER;
use crate::world::{
    Call, Change, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World, references,
};
use serde_json::{Value, json};

const KIND: Kind = Kind::InstancePool;

/// Fields that machines take over from their pool, and a pool from its nodepool.
pub(crate) const MEMBER_KEYS: [&str; 6] =
    ["instance-type", "template", "disk-size", "security-groups", "anti-affinity-groups", "private-networks"];

pub(crate) const HANDLERS: Handlers = &[
    ("create-instance-pool", create),
    ("list-instance-pools", |world, call| list(world, Some(&call.zone), KIND, "instance-pools", value)),
    ("get-instance-pool", |world, call| get(world, call, KIND, value)),
    ("update-instance-pool", update),
    ("scale-instance-pool", scale),
    ("evict-instance-pool-members", evict_members),
    ("delete-instance-pool", delete),
];

fn value(world: &mut World, pool: &Object) -> Value {
    let mut doc = pool.value();
    doc["instances"] = references(instance::members(world, &pool.id).map(|vm| vm.id.as_str()));
    doc
}

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    instance_type::required(call.reference("instance-type"))?;
    quota::check(world, "instance", call.number("size").unwrap_or(0))?;
    let mut doc = call.body.clone();
    doc["state"] = json!("creating");
    if doc.get("instance-prefix").is_none() {
        doc["instance-prefix"] = json!("pool");
    }
    let id = world.create(NewObject { kind: KIND, zone: Some(&call.zone), parent: None, doc });
    PendingOperation::created(KIND, &id).then(Change::Resize { pool: id.clone() }).answer()
}

/// Pools behind a nodepool are the nodepool's to change.
fn free(world: &World, call: &Call) -> Result<String, Refusal> {
    let pool = world.get(KIND, call.param("id"), &call.zone)?;
    if pool.doc.contains_key("manager") {
        return Err(Refusal::forbidden("instance pool is managed by SKS"));
    }
    Ok(pool.id.clone())
}

fn update(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = free(world, call)?;
    world.set_all(KIND, &id, &call.body);
    PendingOperation::updated(KIND, &id).answer()
}

fn scale(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = free(world, call)?;
    let size = call.number("size").unwrap_or(0);
    let before = world.get(KIND, &id, &call.zone)?.number("size");
    quota::check(world, "instance", size - before)?;
    let state = if size >= before { "scaling-up" } else { "scaling-down" };
    world.set(KIND, &id, "state", state);
    world.set(KIND, &id, "size", size);
    PendingOperation::updated(KIND, &id).then(Change::Resize { pool: id.clone() }).answer()
}

/// The members a request names; all must belong to the pool.
pub(crate) fn members_named(world: &World, pool: &str, body: &Value) -> Result<Vec<String>, Refusal> {
    let named = body.get("instances").and_then(Value::as_array).into_iter().flatten();
    named
        .filter_map(Value::as_str)
        .map(|id| {
            let own = instance::members(world, pool).any(|vm| vm.id == id);
            own.then(|| id.to_owned()).ok_or_else(|| Refusal::not_found(Kind::Instance))
        })
        .collect()
}

fn evict_members(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = free(world, call)?;
    let members = members_named(world, &id, &call.body)?;
    let count = i64::try_from(members.len()).unwrap_or(0);
    let size = (world.get(KIND, &id, &call.zone)?.number("size") - count).max(0);
    world.set(KIND, &id, "size", size);
    PendingOperation::updated(KIND, &id).then(Change::Evict { pool: id, members }).answer()
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = free(world, call)?;
    if let Some(locked) = load_balancer::lock_of(world, &id) {
        return locked.map(HandlerReply::Operation);
    }
    world.set(KIND, &id, "state", "destroying");
    PendingOperation::deleted(KIND, &id).answer()
}

/// Makes or destroys members until the pool has its size. The oldest go first.
pub(crate) fn resize(world: &mut World, pool: &str) {
    let Some(object) = world.find(KIND, pool).cloned() else {
        return;
    };
    let wanted = usize::try_from(object.number("size")).unwrap_or(0);
    let have: Vec<String> = instance::members(world, pool).map(|vm| vm.id.clone()).collect();
    let surplus = have.len().saturating_sub(wanted);
    for vm in &have[..surplus] {
        instance::destroy(world, vm);
    }
    if have.len() < wanted {
        // Members of one wave share the middle of their names.
        let wave = world.ids.word(LOWER, 5);
        for _ in have.len()..wanted {
            add_member(world, &object, &wave);
        }
    }
    world.set(KIND, pool, "state", "running");
}

fn add_member(world: &mut World, pool: &Object, wave: &str) {
    let prefix = match pool.text("instance-prefix") {
        "" => "pool",
        prefix => prefix,
    };
    let name = format!("{prefix}-{wave}-{}", world.ids.word(LOWER, 5));
    let mut doc = json!({"name": name, "manager": {"id": pool.id, "type": "instance-pool"}});
    pool.copy_to(&mut doc, &MEMBER_KEYS);
    pool.copy_to(&mut doc, &["labels", "user-data"]);
    let zone = pool.zone.clone().unwrap_or_default();
    let vm = instance::boot(world, &zone, Some(&pool.id), doc);
    let delay = world.delay("instance-boot");
    world.schedule(delay, Change::state(Kind::Instance, &vm, "running"));
    let joins = world.delay("node-ready");
    world.schedule(joins, Change::NodeJoins { machine: vm });
}

/// Destroys the named members; the size was already lowered.
pub(crate) fn evict(world: &mut World, pool: &str, named: &[String]) {
    for vm in named {
        instance::destroy(world, vm);
    }
    resize(world, pool);
}

pub(crate) fn before_removal(world: &mut World, id: &str) {
    let all: Vec<String> = instance::members(world, id).map(|vm| vm.id.clone()).collect();
    for vm in all {
        instance::destroy(world, &vm);
    }
}
