//! Zones.

use super::Handlers;
use crate::world::{Call, HandlerReply, Refusal, World};
use serde_json::{Value, json};

pub(crate) const HANDLERS: Handlers = &[("list-zones", list)];

fn list(world: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
    let config = &world.config;
    let zones: Vec<Value> = config
        .zones
        .iter()
        .enumerate()
        .map(|(index, zone)| {
            json!({
                // Live replies carry an id that the specification lacks.
                "id": format!("10000000-0000-4000-8000-{index:012x}"),
                "name": zone,
                "api-endpoint": config.api_url(zone),
                "sos-endpoint": config.sos_url(zone),
            })
        })
        .collect();
    HandlerReply::read(json!({"zones": zones}))
}
