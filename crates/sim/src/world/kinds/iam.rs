//! IAM roles, API keys and the organisation policy.

use super::{Handlers, as_kept, get, list, quota};
use crate::auth::policy;
use crate::rng::MIXED;
use crate::world::{
    Call, Change, Effect, HandlerReply, KeyRecord, Kind, NewObject, PendingOperation, Refusal, World,
};
use serde_json::{Value, json};

const ROLE: Kind = Kind::IamRole;
const KEY: Kind = Kind::ApiKey;
const OWNER: &str = "Owner";

pub(crate) const HANDLERS: Handlers = &[
    ("create-iam-role", create_role),
    ("list-iam-roles", |world, _| list(world, None, ROLE, "iam-roles", as_kept)),
    ("get-iam-role", |world, call| get(world, call, ROLE, as_kept)),
    ("update-iam-role", update_role),
    ("update-iam-role-policy", update_policy),
    ("delete-iam-role", delete_role),
    ("create-api-key", create_key),
    ("list-api-keys", |world, _| list(world, None, KEY, "api-keys", as_kept)),
    ("get-api-key", |world, call| get(world, call, KEY, as_kept)),
    ("delete-api-key", delete_key),
    ("get-organization", get_organization),
    ("get-iam-organization-policy", |world, _| HandlerReply::read(world.organization_policy.clone())),
    ("update-iam-organization-policy", |world, call| set_organization_policy(world, call.body.clone())),
    ("reset-iam-organization-policy", |world, _| set_organization_policy(world, policy::allow_all())),
];

/// The owner role and the unrestricted key.
pub(crate) fn plant_builtins(world: &mut World) {
    let role = world.create(NewObject {
        kind: ROLE,
        zone: None,
        parent: None,
        doc: json!({"name": OWNER, "editable": false, "policy": policy::allow_all()}),
    });
    let (key, secret) = (world.config.api_key.clone(), world.config.api_secret.clone());
    let doc = json!({"name": "root", "key": key, "role-id": role});
    world.create_as(&key, NewObject { kind: KEY, zone: None, parent: Some(&role), doc });
    for (kind, id) in [(ROLE, &role), (KEY, &key)] {
        if let Some(object) = world.find_mut(kind, id) {
            object.builtin = true;
        }
    }
    world.keys.insert(key, KeyRecord { secret, role: None });
}

/// The id of the owner role.
pub(crate) fn owner_role(world: &World) -> String {
    world.all(ROLE).iter().find(|role| role.builtin).map(|role| role.id.clone()).unwrap_or_default()
}

fn check_policy(policy: &Value) -> Result<(), Refusal> {
    let strategy = policy.get("default-service-strategy").and_then(Value::as_str);
    if !matches!(strategy, Some("allow" | "deny")) {
        return Err(Refusal::bad("missing keys 'policy.default-service-strategy'"));
    }
    match policy::unsupported(policy) {
        None => Ok(()),
        // The real cloud knows all of CEL: refusing loudly is better than
        // allowing or denying by mistake.
        Some(why) => Err(Refusal::bad(format!("not simulated: {why}"))),
    }
}

fn create_role(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let taken = world.all(ROLE).iter().any(|r| r.text("name") == call.text("name"));
    if taken {
        // Uncertain on the real cloud.
        return Err(Refusal::conflict("a role of this name already exists"));
    }
    let mut doc = call.body.clone();
    match doc.get("policy") {
        Some(policy) => check_policy(policy)?,
        // What a role without policy may do is a guess: all.
        None => doc["policy"] = policy::allow_all(),
    }
    if doc.get("editable").is_none() {
        doc["editable"] = json!(true);
    }
    let id = world.create(NewObject { kind: ROLE, zone: None, parent: None, doc });
    PendingOperation::created(ROLE, &id).answer()
}

fn editable(world: &World, call: &Call) -> Result<String, Refusal> {
    let role = world.get(ROLE, call.param("id"), &call.zone)?;
    if role.builtin || role.doc.get("editable") == Some(&json!(false)) {
        return Err(Refusal::forbidden("role is not editable"));
    }
    Ok(role.id.clone())
}

fn update_role(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = editable(world, call)?;
    world.set_all(ROLE, &id, &call.body);
    PendingOperation::updated(ROLE, &id).answer()
}

fn update_policy(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let id = editable(world, call)?;
    check_policy(&call.body)?;
    PendingOperation::updated(ROLE, &id).then(Change::set(ROLE, &id, "policy", call.body.clone())).answer()
}

fn delete_role(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let role = world.get(ROLE, call.param("id"), &call.zone)?;
    let id = role.id.clone();
    if role.builtin {
        return Err(Refusal::forbidden("the owner role cannot be deleted"));
    }
    // Uncertain on the real cloud: refused here, so that order matters.
    if world.all(KEY).iter().any(|key| key.text("role-id") == id) {
        return Err(Refusal::conflict("role is in use by API keys"));
    }
    PendingOperation::deleted(ROLE, &id).answer()
}

fn create_key(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let role = world.get(ROLE, call.text("role-id"), &call.zone)?.id.clone();
    quota::check(world, "iam-key", 1)?;
    let key = format!("EXO{}", world.ids.word("0123456789abcdef", 24));
    let secret = world.ids.word(MIXED, 43);
    let doc = json!({"name": call.text("name"), "key": key, "role-id": role});
    world.create_as(&key, NewObject { kind: KEY, zone: None, parent: Some(&role), doc: doc.clone() });
    let record = KeyRecord { secret: secret.clone(), role: Some(role) };
    world.keys.insert(key.clone(), record);
    let mut reply = doc;
    reply["secret"] = json!(secret);
    Ok(HandlerReply::Json(reply, Effect::created(KEY, &key)))
}

fn delete_key(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let key = world.get(KEY, call.param("id"), &call.zone)?;
    let id = key.id.clone();
    if key.builtin {
        return Err(Refusal::forbidden("the root key cannot be deleted"));
    }
    // Revoked at once, listed until the operation is done.
    world.keys.remove(&id);
    // A reference is a UUID, which a key is not.
    PendingOperation::deleted(KEY, &id).without_reference().answer()
}

fn get_organization(world: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
    HandlerReply::read(json!({"id": world.config.organization_id, "name": "simulated", "currency": "CHF"}))
}

fn set_organization_policy(world: &mut World, policy: Value) -> Result<HandlerReply, Refusal> {
    check_policy(&policy)?;
    world.organization_policy = policy;
    PendingOperation::updated(ROLE, "organization").without_reference().answer()
}
