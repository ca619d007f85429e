//! Database users and the revealing of their passwords.

use super::{KIND, service};
use crate::rng::MIXED;
use crate::world::{Call, HandlerReply, Object, PendingOperation, Refusal, World};
use serde_json::{Value, json};

const PREFIX: &str = "user:";

/// Adds or replaces a user. Passwords stay out of the document.
pub(crate) fn add(world: &mut World, name: &str, user: &str, kind: &str, password: &str) {
    if let Some(object) = world.find_mut(KIND, name) {
        let key = format!("{PREFIX}{user}");
        object.hidden.insert(key, format!("{kind} {password}"));
    }
}

fn record<'a>(object: &'a Object, user: &str) -> Result<(&'a str, &'a str), Refusal> {
    object
        .hidden
        .get(&format!("{PREFIX}{user}"))
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| Refusal::new(404, "user not found"))
}

/// The users as the service's document shows them.
pub(crate) fn listed(object: &Object) -> Value {
    object
        .hidden
        .iter()
        .filter_map(|(key, text)| {
            let kind = text.split_once(' ')?.0;
            Some(json!({"username": key.strip_prefix(PREFIX)?, "type": kind}))
        })
        .collect()
}

fn kind_of(call: &Call) -> &'static str {
    if call.id.contains("postgres") { "pg" } else { "valkey" }
}

fn own<'a>(world: &'a World, call: &Call) -> Result<&'a Object, Refusal> {
    service(world, call.param("service-name"), kind_of(call), &call.zone)
}

pub(crate) fn list(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    HandlerReply::read(json!({"users": listed(own(world, call)?)}))
}

pub(crate) fn reveal(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let user = call.param("username");
    let (_, password) = record(own(world, call)?, user)?;
    HandlerReply::read(json!({"username": user, "password": password}))
}

pub(crate) fn reset(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let user = call.param("username");
    let object = own(world, call)?;
    let (name, kind) = (object.id.clone(), record(object, user)?.0.to_owned());
    let password = match call.text("password") {
        "" => format!("AVNS_{}", world.ids.word(MIXED, 19)),
        given => given.to_owned(),
    };
    add(world, &name, user, &kind, &password);
    PendingOperation::updated(KIND, &name).without_reference().answer()
}

pub(crate) fn create(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let object = own(world, call)?;
    let (name, user) = (object.id.clone(), call.text("username").to_owned());
    if record(object, &user).is_ok() {
        return Err(Refusal::conflict("user already exists"));
    }
    let password = format!("AVNS_{}", world.ids.word(MIXED, 19));
    add(world, &name, &user, "normal", &password);
    PendingOperation::updated(KIND, &name).without_reference().answer()
}

pub(crate) fn delete(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let user = call.param("username");
    let object = own(world, call)?;
    let (name, kind) = (object.id.clone(), record(object, user)?.0.to_owned());
    if kind == "primary" {
        return Err(Refusal::forbidden("the primary user cannot be deleted"));
    }
    if let Some(object) = world.find_mut(KIND, &name) {
        object.hidden.remove(&format!("{PREFIX}{user}"));
    }
    PendingOperation::updated(KIND, &name).without_reference().answer()
}
