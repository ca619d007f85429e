//! Operations that only read: zones, asynchronous operations, the usage of buckets and
//! the event log.

use super::Handlers;
use crate::codec::{parse_time, rfc3339};
use crate::world::{Call, HandlerReply, JournalEntry, Kind, Refusal, World};
use serde_json::{Value, json};

pub(crate) const HANDLERS: Handlers = &[
    ("list-zones", list_zones),
    ("get-operation", get_operation),
    ("list-sos-buckets-usage", list_usage),
    ("list-events", list_events),
];

fn list_zones(world: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
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

fn get_operation(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    match world.operations.get(call.param("id")) {
        Some(record) => HandlerReply::read(json!(record)),
        None => Err(Refusal::new(404, "operation not found")),
    }
}

/// The buckets as the API, not S3, lists them.
fn list_usage(world: &mut World, _: &Call) -> Result<HandlerReply, Refusal> {
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

/// Without `from` the last 24 hours are shown: a guess.
const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

/// The journal of mutations as the API shows it.
fn list_events(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let bound = |name: &str, default: i64| match call.query.get(name) {
        None => Ok(default),
        Some(text) => parse_time(text).ok_or_else(|| Refusal::bad(format!("'{name}' is not a time"))),
    };
    let from = bound("from", world.now_ms() - WINDOW_MS)?;
    let to = bound("to", i64::MAX)?;
    let events: Vec<Value> = world
        .journal
        .iter()
        .filter(|entry| entry.at_ms >= from && entry.at_ms <= to && !entry.in_cluster)
        .map(|entry| event(world, entry))
        .collect();
    HandlerReply::read(Value::Array(events))
}

fn event(world: &World, entry: &JournalEntry) -> Value {
    let mut doc = json!({
        "request-id": entry.request_id,
        "handler": entry.operation,
        "message": entry.operation,
        "status": entry.status,
        "zone": entry.zone,
        "uri": entry.path,
        "timestamp": rfc3339(entry.at_ms),
        "source-ip": "127.0.0.1",
        "path-params": entry.params,
        "body-params": serde_json::from_str::<Value>(&entry.body).unwrap_or_else(|_| json!({})),
    });
    if let Some(key) = &entry.key {
        let name = world.find(Kind::ApiKey, key).map_or("", |record| record.text("name"));
        doc["iam-api-key"] = json!({"key": key, "name": name});
    }
    doc
}
