//! What the API (not S3) tells about buckets.

use super::Handlers;
use crate::codec::rfc3339;
use crate::world::{Call, HandlerReply, Refusal, World};
use serde_json::{Value, json};

pub(crate) const HANDLERS: Handlers = &[("list-sos-buckets-usage", list)];

fn list(world: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
    let docs: Vec<Value> = world
        .sos
        .live()
        .iter()
        .map(|bucket| {
            json!({
                "name": bucket.id, "zone-name": bucket.zone,
                "size": world.sos.size_of(&bucket.id),
                "created-at": rfc3339(bucket.created_at_ms),
            })
        })
        .collect();
    HandlerReply::read(json!({"sos-buckets-usage": docs}))
}
