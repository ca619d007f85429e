//! The event log: the journal of mutations as the API shows it.

use super::Handlers;
use crate::codec::{parse_time, rfc3339};
use crate::world::{Call, HandlerReply, JournalEntry, Refusal, World};
use serde_json::{Value, json};

pub(crate) const HANDLERS: Handlers = &[("list-events", list)];

/// Without `from` the last 24 hours are shown: a guess.
const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

fn list(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    let bound = |name: &str, default: i64| match call.query.get(name) {
        None => Ok(default),
        Some(text) => parse_time(text).ok_or_else(|| Refusal::bad(format!("'{name}' is not a time"))),
    };
    let from = bound("from", world.now_ms() - WINDOW_MS)?;
    let to = bound("to", i64::MAX)?;
    let events: Vec<Value> = world
        .journal
        .iter()
        .filter(|entry| entry.at_ms >= from && entry.at_ms <= to)
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
        let name = world.find(crate::world::Kind::ApiKey, key).map_or("", |record| record.text("name"));
        doc["iam-api-key"] = json!({"key": key, "name": name});
    }
    doc
}
