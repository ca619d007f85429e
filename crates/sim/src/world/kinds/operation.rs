//! Asynchronous operations, as clients poll them.

use super::Handlers;
use crate::world::{Call, HandlerReply, Refusal, World};
use serde_json::json;

pub(crate) const HANDLERS: Handlers = &[("get-operation", get)];

fn get(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    match world.operations.get(call.param("id")) {
        Some(record) => HandlerReply::read(json!(record)),
        None => Err(Refusal::new(404, "operation not found")),
    }
}
