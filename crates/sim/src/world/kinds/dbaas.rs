//! Databases: PostgreSQL and Valkey services, their users and plans.

mod plans;
mod users;

use super::{Handlers, quota};
use crate::codec::rfc3339;
use crate::rng::MIXED;
use crate::world::{Call, HandlerReply, Kind, NewObject, Object, PendingOperation, Refusal, World};
use serde_json::{Value, json};

pub(crate) const KIND: Kind = Kind::DbaasService;

pub(crate) const HANDLERS: Handlers = &[
    ("list-dbaas-services", list),
    ("delete-dbaas-service", |world, call| delete(world, call, "")),
    ("create-dbaas-service-pg", |world, call| create(world, call, "pg")),
    ("get-dbaas-service-pg", |world, call| get(world, call, "pg")),
    ("update-dbaas-service-pg", |world, call| update(world, call, "pg")),
    ("delete-dbaas-service-pg", |world, call| delete(world, call, "pg")),
    ("create-dbaas-service-valkey", |world, call| create(world, call, "valkey")),
    ("get-dbaas-service-valkey", |world, call| get(world, call, "valkey")),
    ("update-dbaas-service-valkey", |world, call| update(world, call, "valkey")),
    ("delete-dbaas-service-valkey", |world, call| delete(world, call, "valkey")),
    ("list-dbaas-service-types", plans::list),
    ("get-dbaas-service-type", plans::get),
    ("get-dbaas-ca-certificate", certificate),
    ("reveal-dbaas-postgres-user-password", users::reveal),
    ("reveal-dbaas-valkey-user-password", users::reveal),
    ("reset-dbaas-postgres-user-password", users::reset),
    ("reset-dbaas-valkey-user-password", users::reset),
    ("create-dbaas-postgres-user", users::create),
    ("create-dbaas-valkey-user", users::create),
    ("list-dbaas-valkey-users", users::list),
    ("delete-dbaas-postgres-user", users::delete),
    ("delete-dbaas-valkey-user", users::delete),
];

/// The user every service starts with. That of Valkey is uncertain.
fn admin_of(kind: &str) -> &'static str {
    if kind == "pg" { "avnadmin" } else { "default" }
}

/// The service of a name, of a type if one is asked for.
pub(crate) fn service<'a>(
    world: &'a World,
    name: &str,
    kind: &str,
    zone: &str,
) -> Result<&'a Object, Refusal> {
    let found = world.get(KIND, name, zone)?;
    if kind.is_empty() || found.text("type") == kind { Ok(found) } else { Err(Refusal::not_found(KIND)) }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let shape = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if shape && !name.is_empty() && name.len() <= 63 {
        Ok(())
    } else {
        Err(Refusal::bad("'name' has an invalid form"))
    }
}

fn create(world: &mut World, call: &Call, kind: &'static str) -> Result<HandlerReply, Refusal> {
    let name = call.param("name").to_owned();
    check_name(&name)?;
    // Unique per organisation: a service of another zone blocks it as well.
    if world.find(KIND, &name).is_some() {
        return Err(Refusal::conflict("Service name is already taken"));
    }
    let plan = plans::plan(call.text("plan")).ok_or_else(|| denied("plan"))?;
    let version = match call.text("version") {
        "" => plans::default_version(kind).to_owned(),
        version if plans::versions(kind).contains(&version) => version.to_owned(),
        _ => return Err(denied("version")),
    };
    quota::check(world, "database", 1)?;
    let doc = document(world, call, kind, &plan, &version);
    world.create_as(&name, NewObject { kind: KIND, zone: Some(&call.zone), parent: None, doc });
    let password = match call.text("admin-password") {
        "" => format!("AVNS_{}", world.ids.word(MIXED, 19)),
        given => given.to_owned(),
    };
    let admin = match call.text("admin-username") {
        "" => admin_of(kind),
        given => given,
    };
    users::add(world, &name, admin, "primary", &password);
    PendingOperation::created(KIND, &name)
        .without_reference()
        .lasting("dbaas-running")
        .then_state(KIND, &name, "running")
        .answer()
}

/// Unsupported versions and plans are worded as a lack of permission.
fn denied(what: &str) -> Refusal {
    Refusal::forbidden(format!("Access denied: {what} is not available"))
}

fn document(world: &mut World, call: &Call, kind: &str, plan: &plans::DbPlan, version: &str) -> Value {
    let letter = world.ids.word("abcdefghij", 1);
    let organization = &world.config.organization_id;
    let host = format!("{}-exoscale-{organization}.{letter}.aivencloud.com", call.param("name"));
    let protected = call.flag("termination-protection").unwrap_or(false);
    let mut doc = shown(&call.body);
    let now = rfc3339(world.now_ms());
    let common = json!({
        "name": call.param("name"), "type": kind, "state": "rebuilding", "version": version,
        "zone": call.zone, "termination-protection": protected, "created-at": now,
        "updated-at": now, "node-count": plan.nodes, "node-cpu-count": plan.cpus,
        "node-memory": plan.memory_bytes(), "disk-size": plan.disk_bytes(), "node-states": [],
        "notifications": [], "integrations": [], "backups": [],
        "prometheus-uri": {"host": host, "port": 9273},
    });
    for part in [common, connection(kind, &host)] {
        for (key, value) in part.as_object().into_iter().flatten() {
            doc[key] = value.clone();
        }
    }
    if doc.get("ip-filter").is_none() {
        // Uncertain on the real cloud: absent means open to all.
        doc["ip-filter"] = json!(["0.0.0.0/0"]);
    }
    doc
}

/// What a request says and no reply shows again.
const ASKED_ONLY: [&str; 7] = [
    "admin-password",
    "admin-username",
    "fork-from-service",
    "migration",
    "recovery-backup-name",
    "recovery-backup-time",
    "variant",
];

/// The part of a request's body that replies show. The window for updates
/// always comes with those that wait for it.
fn shown(body: &Value) -> Value {
    let mut doc = body.clone();
    if let Some(fields) = doc.as_object_mut() {
        fields.retain(|key, _| !ASKED_ONLY.contains(&key.as_str()));
    }
    if let Some(window) = doc.get_mut("maintenance").and_then(Value::as_object_mut) {
        window.insert("updates".to_owned(), json!([]));
    }
    doc
}

/// Passwords are not part of it: they are revealed on request.
fn connection(kind: &str, host: &str) -> Value {
    let admin = admin_of(kind);
    if kind == "pg" {
        let uri = format!("postgres://{admin}@{host}:21699/defaultdb?sslmode=require");
        json!({
            "uri": uri, "databases": ["defaultdb"], "connection-pools": [], "max-connections": 100,
            "uri-params": {"dbname": "defaultdb", "host": host, "port": "21699",
                "user": admin, "sslmode": "require"},
            "connection-info": {"uri": [uri], "params": [{"host": host, "port": "21699",
                "user": admin, "dbname": "defaultdb", "sslmode": "require"}],
                "standby": [], "syncing": []},
            "components": [{"component": "pg", "host": host, "port": 21699,
                "route": "dynamic", "usage": "primary"}],
        })
    } else {
        let uri = format!("valkeys://{admin}@{host}:21700");
        json!({
            "uri": uri,
            "uri-params": {"host": host, "port": "21700", "user": admin},
            "connection-info": {"uri": [uri], "slave": []},
            "components": [{"component": "valkey", "host": host, "port": 21700, "ssl": true,
                "route": "dynamic", "usage": "primary"}],
        })
    }
}

const COMMON: [&str; 14] = [
    "name",
    "type",
    "plan",
    "state",
    "zone",
    "termination-protection",
    "node-count",
    "node-cpu-count",
    "node-memory",
    "disk-size",
    "created-at",
    "updated-at",
    "notifications",
    "integrations",
];

fn list(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let docs: Vec<Value> = world
        .listed(KIND, Some(&call.zone))
        .iter()
        .map(|service| {
            let mut doc = service.doc.clone();
            doc.retain(|key, _| COMMON.contains(&key.as_str()));
            Value::Object(doc)
        })
        .collect();
    HandlerReply::read(json!({"dbaas-services": docs}))
}

fn get(world: &World, call: &Call, kind: &str) -> Result<HandlerReply, Refusal> {
    let found = service(world, call.param("name"), kind, &call.zone)?;
    let mut doc = found.value();
    doc["users"] = users::listed(found);
    HandlerReply::read(doc)
}

fn update(world: &mut World, call: &Call, kind: &'static str) -> Result<HandlerReply, Refusal> {
    let found = service(world, call.param("name"), kind, &call.zone)?;
    let (name, old_plan) = (found.id.clone(), found.text("plan").to_owned());
    let version = call.text("version");
    if !version.is_empty() && !plans::versions(kind).contains(&version) {
        return Err(denied("version"));
    }
    let new_plan = call.text("plan");
    let moves = !new_plan.is_empty() && new_plan != old_plan;
    if moves {
        let plan = plans::plan(new_plan).ok_or_else(|| denied("plan"))?;
        world.set(KIND, &name, "node-count", plan.nodes);
        world.set(KIND, &name, "node-memory", plan.memory_bytes());
        world.set(KIND, &name, "disk-size", plan.disk_bytes());
        world.set(KIND, &name, "state", "rebalancing");
    }
    world.set_all(KIND, &name, &shown(&call.body));
    let now = rfc3339(world.now_ms());
    world.set(KIND, &name, "updated-at", now);
    let plan = PendingOperation::updated(KIND, &name).without_reference();
    if moves {
        return plan.lasting("dbaas-running").then_state(KIND, &name, "running").answer();
    }
    plan.answer()
}

fn delete(world: &mut World, call: &Call, kind: &str) -> Result<HandlerReply, Refusal> {
    let found = service(world, call.param("name"), kind, &call.zone)?;
    let name = found.id.clone();
    if found.doc.get("termination-protection") == Some(&json!(true)) {
        return Err(Refusal::forbidden("Service is protected against termination"));
    }
    PendingOperation::deleted(KIND, &name).without_reference().lasting("dbaas-gone").answer()
}

fn certificate(_: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
    let body = crate::codec::base64(b"simulated project certificate authority");
    let text = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    HandlerReply::read(json!({"certificate": text}))
}
