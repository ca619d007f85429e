//! SKS nodepools: an instance pool with a manager.

use super::{Handlers, instance_pool, instance_type, load_balancer, quota};
use crate::codec::rfc3339;
use crate::world::{
    Call, Change, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World, ids_in,
};
use serde_json::{Value, json};

const KIND: Kind = Kind::SksNodepool;
const MAX_PER_CLUSTER: usize = 16;

pub(crate) const HANDLERS: Handlers = &[
    ("create-sks-nodepool", create),
    ("get-sks-nodepool", get),
    ("update-sks-nodepool", update),
    ("scale-sks-nodepool", scale),
    ("evict-sks-nodepool-members", evict),
    ("delete-sks-nodepool", delete),
    ("get-active-nodepool-template", template),
];

/// The templates' real ids are not stable: these stand for them.
const TEMPLATE: &str = "7e3b1a60-0000-4000-8000-00000000a0de";

/// The nodepool of the path, if it belongs to the cluster of the path.
fn own<'a>(world: &'a World, call: &Call) -> Result<&'a Object, Refusal> {
    world.get(Kind::SksCluster, call.param("id"), &call.zone)?;
    let pool = world.get(KIND, call.param("sks-nodepool-id"), &call.zone)?;
    if pool.parent.as_deref() != Some(call.param("id")) {
        return Err(Refusal::not_found(KIND));
    }
    Ok(pool)
}

fn pool_of(nodepool: &Object) -> String {
    nodepool.reference("instance-pool").unwrap_or_default().to_owned()
}

/// Groups and networks must exist; an unknown id was seen to answer 500.
fn check_references(world: &World, call: &Call) -> Result<(), Refusal> {
    let kinds = [
        ("security-groups", Kind::SecurityGroup),
        ("anti-affinity-groups", Kind::AntiAffinityGroup),
        ("private-networks", Kind::PrivateNetwork),
    ];
    for (key, kind) in kinds {
        for id in ids_in(call.body.get(key).unwrap_or(&Value::Null)) {
            if world.get(kind, id, &call.zone).is_err() {
                return Err(Refusal::new(500, format!("{kind} {id} cannot be used")));
            }
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let good = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if good {
        Ok(())
    } else {
        Err(Refusal::bad("'name' may hold lower case letters, digits and hyphens only"))
    }
}

fn check_type(id: &str) -> Result<(), Refusal> {
    if instance_type::required(id)?.at_least_small() {
        Ok(())
    } else {
        Err(Refusal::conflict("instance type must be at least small"))
    }
}

/// Nodepool labels become node labels, which the kubelet sets on itself: it
/// refuses all of `kubernetes.io` and `k8s.io` but two domains.
fn check_labels(body: &Value) -> Result<(), Refusal> {
    let labels = body.get("labels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        let domain = key.split_once('/').map_or("", |(domain, _)| domain);
        let under = |top: &str| domain == top || domain.ends_with(&format!(".{top}"));
        let own = under("kubelet.kubernetes.io") || under("node.kubernetes.io");
        if (under("kubernetes.io") || under("k8s.io")) && !own {
            return Err(Refusal::bad(format!("label '{key}' is reserved")));
        }
        if !is_label_value(value.as_str().unwrap_or_default()) {
            return Err(Refusal::bad(format!("label '{key}' has an invalid value")));
        }
    }
    Ok(())
}

fn is_label_value(value: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    value.is_empty()
        || (value.len() <= 63
            && value.starts_with(edge)
            && value.ends_with(edge)
            && value.chars().all(|c| edge(c) || matches!(c, '-' | '_' | '.')))
}

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let cluster = world.get(Kind::SksCluster, call.param("id"), &call.zone)?;
    if cluster.state() != "running" {
        return Err(Refusal::conflict(format!("cluster is {}", cluster.state())));
    }
    let (cluster_id, version) = (cluster.id.clone(), cluster.text("version").to_owned());
    let default_group = cluster.text("default-security-group-id").to_owned();
    if world.children(KIND, &cluster_id).len() >= MAX_PER_CLUSTER {
        return Err(Refusal::conflict("cluster has too many nodepools"));
    }
    check_name(call.text("name"))?;
    check_labels(&call.body)?;
    check_type(call.reference("instance-type"))?;
    check_references(world, call)?;
    let size = call.number("size").unwrap_or(0);
    quota::check(world, "instance", size)?;
    let mut doc = call.body.clone();
    let mut groups: Vec<Value> = ids_in(doc.get("security-groups").unwrap_or(&Value::Null))
        .iter()
        .map(|id| json!({"id": id}))
        .collect();
    if !default_group.is_empty() {
        groups.push(json!({"id": default_group}));
    }
    if !groups.is_empty() {
        doc["security-groups"] = Value::Array(groups);
    }
    if doc.get("instance-prefix").is_none() {
        doc["instance-prefix"] = json!("pool");
    }
    doc["state"] = json!("creating");
    doc["version"] = json!(version);
    doc["template"] = json!({"id": TEMPLATE});
    doc["created-at"] = json!(rfc3339(world.now_ms()));
    let id = world.create(NewObject { kind: KIND, zone: Some(&call.zone), parent: Some(&cluster_id), doc });
    let pool = behind(world, &id, &call.zone);
    PendingOperation::created(KIND, &id)
        .under(&cluster_id)
        .then_state(KIND, &id, "running")
        .then(Change::Resize { pool })
        .answer()
}

/// The instance pool behind a nodepool.
fn behind(world: &mut World, nodepool: &str, zone: &str) -> String {
    let mut doc = json!({"state": "creating", "manager": {"id": nodepool, "type": "sks-nodepool"}});
    if let Some(object) = world.find(KIND, nodepool) {
        object.copy_to(&mut doc, &["size", "instance-prefix"]);
        object.copy_to(&mut doc, &instance_pool::MEMBER_KEYS);
        doc["name"] = json!(format!("nodepool-{}-{nodepool}", object.text("name")));
    }
    let pool =
        world.create(NewObject { kind: Kind::InstancePool, zone: Some(zone), parent: Some(nodepool), doc });
    world.set(KIND, nodepool, "instance-pool", json!({"id": pool}));
    pool
}

fn get(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    HandlerReply::read(own(world, call)?.value())
}

fn settled(world: &World, call: &Call) -> Result<(String, String), Refusal> {
    let nodepool = own(world, call)?;
    match nodepool.state() {
        "running" | "error" | "degraded" => Ok((nodepool.id.clone(), pool_of(nodepool))),
        state => Err(Refusal::bad(format!("nodepool is {state}"))),
    }
}

fn update(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let (id, pool) = settled(world, call)?;
    if let Some(name) = call.body.get("name").and_then(Value::as_str) {
        check_name(name)?;
    }
    check_labels(&call.body)?;
    if call.body.get("instance-type").is_some() {
        check_type(call.reference("instance-type"))?;
    }
    check_references(world, call)?;
    for (key, value) in call.body.as_object().into_iter().flatten() {
        world.set(KIND, &id, key, value.clone());
        // Only nodes made from now on are concerned.
        if !matches!(key.as_str(), "name" | "labels" | "description" | "taints") {
            world.set(Kind::InstancePool, &pool, key, value.clone());
        }
    }
    world.set(KIND, &id, "state", "updating");
    PendingOperation::updated(KIND, &id).under(call.param("id")).then_state(KIND, &id, "running").answer()
}

fn scale(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let (id, pool) = settled(world, call)?;
    let size = call.number("size").unwrap_or(0);
    let before = world.get(KIND, &id, &call.zone)?.number("size");
    quota::check(world, "instance", size - before)?;
    resized(world, call, (&id, &pool), size, Change::Resize { pool: pool.clone() })
}

/// Gives a nodepool and the pool behind it another size.
fn resized(
    world: &mut World,
    call: &Call,
    (id, pool): (&str, &str),
    size: i64,
    change: Change,
) -> Result<HandlerReply, Refusal> {
    world.set(KIND, id, "size", size);
    world.set(KIND, id, "state", "scaling");
    world.set(Kind::InstancePool, pool, "size", size);
    PendingOperation::updated(KIND, id)
        .under(call.param("id"))
        .then(change)
        .then_state(KIND, id, "running")
        .answer()
}

fn evict(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let (id, pool) = settled(world, call)?;
    let members = instance_pool::members_named(world, &pool, &call.body)?;
    let count = i64::try_from(members.len()).unwrap_or(0);
    let size = (world.get(KIND, &id, &call.zone)?.number("size") - count).max(0);
    resized(world, call, (&id, &pool), size, Change::Evict { pool: pool.clone(), members })
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let nodepool = own(world, call)?;
    let (id, pool) = (nodepool.id.clone(), pool_of(nodepool));
    let state = nodepool.state();
    if matches!(state, "scaling" | "updating") {
        return Err(Refusal::conflict(format!("nodepool is {state}")));
    }
    if let Some(locked) = load_balancer::lock_of(world, &pool) {
        return locked.map(|plan| HandlerReply::Operation(plan.about(KIND, &id).under(call.param("id"))));
    }
    world.set(KIND, &id, "state", "deleting");
    PendingOperation::deleted(KIND, &id).under(call.param("id")).answer()
}

pub(crate) fn before_removal(world: &mut World, id: &str) {
    let pool = world.find(KIND, id).map(pool_of).unwrap_or_default();
    world.remove(Kind::InstancePool, &pool, 0);
}

fn template(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let version = call.param("kube-version");
    let known =
        world.config.sks_versions.iter().any(|v| v == version || v.starts_with(&format!("{version}.")));
    if known {
        HandlerReply::read(json!({"active-template": TEMPLATE}))
    } else {
        Err(Refusal::new(404, "no template for this version"))
    }
}
