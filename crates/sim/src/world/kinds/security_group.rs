//! Security groups and their rules.

use super::{Handlers, get};
use crate::world::{
    Call, Change, Effect, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World, ids_in,
    references,
};
use serde_json::{Value, json};

const KIND: Kind = Kind::SecurityGroup;

pub(crate) const HANDLERS: Handlers = &[
    ("create-security-group", create),
    ("list-security-groups", list),
    ("get-security-group", |world, call| get(world, call, KIND, value)),
    ("delete-security-group", delete),
    ("add-rule-to-security-group", add_rule),
    ("delete-rule-from-security-group", delete_rule),
    ("attach-instance-to-security-group", |world, call| membership(world, call, true)),
    ("detach-instance-from-security-group", |world, call| membership(world, call, false)),
];

/// The group `default` of every organisation and the two public ones.
pub(crate) fn plant_builtins(world: &mut World) {
    let groups = [
        ("default", "private"),
        ("public-nlb-healthcheck-sources", "public"),
        ("public-sks-apiservers", "public"),
    ];
    for (name, visibility) in groups {
        let id = new_group(world, name, &Value::Null);
        if let Some(group) = world.find_mut(KIND, &id) {
            group.builtin = true;
            group.set("visibility", visibility);
        }
    }
}

/// Adds a group at once.
pub(crate) fn new_group(world: &mut World, name: &str, description: &Value) -> String {
    // Live replies carry `visibility`, which the specification lacks.
    let doc = json!({"name": name, "description": description, "visibility": "private"});
    world.create(NewObject { kind: KIND, zone: None, parent: None, doc })
}

/// Refuses a second group of one name: uncertain on the real cloud.
pub(crate) fn check_name(world: &World, kind: Kind, name: &str) -> Result<(), Refusal> {
    let taken = world.all(kind).iter().any(|group| group.text("name") == name);
    if taken {
        return Err(Refusal::conflict(format!("{kind} '{name}' already exists")));
    }
    Ok(())
}

/// Whether a machine or pool refers to group `id` under `key`; machines being
/// destroyed count, for minutes.
pub(crate) fn used(world: &World, key: &str, id: &str) -> bool {
    [Kind::Instance, Kind::InstancePool, Kind::SksNodepool]
        .into_iter()
        .flat_map(|kind| world.all(kind))
        .any(|object| object.refers(key, id))
}

fn value(_: &mut World, group: &Object) -> Value {
    let mut doc = group.doc.clone();
    // The key is absent, not empty, when there are no rules.
    if group.items("rules").is_empty() {
        doc.remove("rules");
    }
    Value::Object(doc)
}

fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    check_name(world, KIND, call.text("name"))?;
    let description = call.body.get("description").cloned().unwrap_or(Value::Null);
    let id = new_group(world, call.text("name"), &description);
    PendingOperation::created(KIND, &id).answer()
}

fn list(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let wanted = call.query.get("visibility").map_or("private", String::as_str);
    let mut groups = world.listed(KIND, None);
    groups.retain(|group| group.text("visibility") == wanted);
    let docs: Vec<Value> = groups.iter().map(|group| value(world, group)).collect();
    HandlerReply::read(json!({"security-groups": docs}))
}

fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = call.param("id");
    let group = world.get(KIND, id, &call.zone)?;
    if group.builtin {
        return Err(Refusal::forbidden("this security group cannot be deleted"));
    }
    if used(world, "security-groups", id) {
        return Err(Refusal::conflict("security group is in use by instances"));
    }
    // That a rule of another group blocks is uncertain on the real cloud.
    let names = |rule: &Value| rule["security-group"]["id"] == id;
    let named = world.all(KIND).iter().any(|other| other.id != id && other.items("rules").iter().any(names));
    if named {
        return Err(Refusal::conflict("security group is in use by rules of other groups"));
    }
    PendingOperation::deleted(KIND, id).answer()
}

fn own_group<'a>(world: &'a World, call: &Call) -> Result<&'a Object, Refusal> {
    let group = world.get(KIND, call.param("id"), &call.zone)?;
    if group.text("visibility") == "public" {
        return Err(Refusal::forbidden("a public security group cannot be changed"));
    }
    Ok(group)
}

fn add_rule(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let group = own_group(world, call)?;
    let (group_id, mut rules) = (group.id.clone(), group.items("rules").to_vec());
    let mut rule = call.body.clone();
    check_rule(&rule)?;
    if let Some(peer) = call.body.get("security-group") {
        rule["security-group"] = resolve_peer(world, peer)?;
    }
    if let Some(network) = rule.get("network").and_then(Value::as_str)
        && !is_cidr(network)
    {
        return Err(Refusal::bad("'network' is not a CIDR"));
    }
    let id = world.ids.uuid();
    rule["id"] = json!(id);
    rules.push(rule);
    world.set(KIND, &group_id, "rules", rules);
    // The operation refers to the group, not to the rule.
    PendingOperation::new(Effect::created(Kind::SecurityGroupRule, &id), KIND, &group_id).answer()
}

fn check_rule(rule: &Value) -> Result<(), Refusal> {
    let has = |key: &str| rule.get(key).is_some();
    if has("network") == has("security-group") {
        return Err(Refusal::bad("exactly one of 'network' and 'security-group' is needed"));
    }
    let protocol = rule.get("protocol").and_then(Value::as_str).unwrap_or_default();
    let ports = (rule.get("start-port"), rule.get("end-port"));
    match (protocol, ports) {
        ("tcp" | "udp", (Some(start), Some(end))) if start.as_i64() > end.as_i64() => {
            Err(Refusal::bad("'end-port' is below 'start-port'"))
        }
        ("tcp" | "udp", (Some(_), Some(_))) => Ok(()),
        ("tcp" | "udp", _) => Err(Refusal::bad("missing keys 'start-port', 'end-port'")),
        (_, (None, None)) => Ok(()),
        _ => Err(Refusal::bad("ports are for tcp and udp only")),
    }
}

fn resolve_peer(world: &World, peer: &Value) -> Result<Value, Refusal> {
    let field = |key: &str| peer.get(key).and_then(Value::as_str);
    let found = world.all(KIND).into_iter().find(|group| match field("id") {
        Some(id) => group.id == id,
        None => field("name").is_some_and(|name| group.text("name") == name),
    });
    let group = found.ok_or_else(|| Refusal::not_found(KIND))?;
    let mut doc = json!({"id": group.id, "name": group.text("name")});
    if group.text("visibility") == "public" {
        doc["visibility"] = json!("public");
    }
    Ok(doc)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    match (address.parse::<std::net::IpAddr>(), bits.parse::<u8>()) {
        (Ok(std::net::IpAddr::V4(_)), Ok(bits)) => bits <= 32,
        (Ok(std::net::IpAddr::V6(_)), Ok(bits)) => bits <= 128,
        _ => false,
    }
}

fn delete_rule(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let group = own_group(world, call)?;
    let rule_id = call.param("rule-id");
    let (group_id, before) = (group.id.clone(), group.items("rules").to_vec());
    let kept: Vec<Value> = before.iter().filter(|r| r["id"] != rule_id).cloned().collect();
    if kept.len() == before.len() {
        return Err(Refusal::not_found(Kind::SecurityGroupRule));
    }
    world.set(KIND, &group_id, "rules", kept);
    PendingOperation::new(Effect::deleted(Kind::SecurityGroupRule, rule_id), KIND, &group_id).answer()
}

fn membership(world: &mut World, call: &Call, join: bool) -> Result<HandlerReply, Refusal> {
    let group = world.get(KIND, call.param("id"), &call.zone)?.id.clone();
    let vm = world.get(Kind::Instance, call.reference("instance"), &call.zone)?;
    let list = vm.doc.get("security-groups").cloned().unwrap_or_else(|| json!([]));
    let mut ids: Vec<&str> = ids_in(&list).into_iter().filter(|id| *id != group).collect();
    if join {
        ids.push(&group);
    }
    let groups = references(ids);
    let vm = vm.id.clone();
    PendingOperation::updated(KIND, &group)
        .then(Change::set(Kind::Instance, &vm, "security-groups", groups))
        .answer()
}
