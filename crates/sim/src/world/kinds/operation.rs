//! Asynchronous operations, as clients poll them.

use super::Handlers;
use crate::world::{Answer, Call, Refusal, World};

pub(crate) const HANDLERS: Handlers = &[("get-operation", get)];

fn get(world: &mut World, call: &Call) -> Result<Answer, Refusal> {
    match world.operations.get(call.param("id")) {
        Some(record) => Answer::read(record.value()),
        None => Err(Refusal::new(404, "operation not found")),
    }
}
