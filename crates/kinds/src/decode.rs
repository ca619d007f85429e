//! Strict reading of the fields that matter, tolerant of all others.

use exokit_model::graph::Node;
use exokit_model::ids::ResourceId;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::Accepted;

/// A reply that is not what the API promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cloud's reply has no usable {field:?}")]
pub struct DecodeError {
    /// Field that is missing or has the wrong type.
    pub field: String,
}

fn missing(field: &str) -> DecodeError {
    DecodeError { field: field.to_owned() }
}

/// The object under a value.
pub(crate) fn object<'a>(value: &'a Value, what: &str) -> Result<&'a Map<String, Value>, DecodeError> {
    value.as_object().ok_or_else(|| missing(what))
}

/// The array under `field`; the API leaves out empty ones, so absent is empty.
pub(crate) fn array<'a>(value: &'a Value, field: &str) -> Result<&'a [Value], DecodeError> {
    match object(value, field)?.get(field) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(missing(field)),
    }
}

/// A required text.
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, DecodeError> {
    value.get(field).and_then(Value::as_str).ok_or_else(|| missing(field))
}

/// A text that may be absent.
pub(crate) fn text_or_empty<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The state of a resource; empty where the reply has none.
pub(crate) fn state(value: &Value) -> &str {
    text_or_empty(value, "state")
}

/// A required id that is safe to put into a path.
pub(crate) fn id(value: &Value, field: &str) -> Result<ResourceId, DecodeError> {
    text(value, field)?.parse().map_err(|_| missing(field))
}

/// When a resource was made, where the cloud says so.
pub(crate) fn created_at(value: &Value) -> Option<Timestamp> {
    value.get("created-at").and_then(Value::as_str).and_then(|text| text.parse().ok())
}

/// The id of a resource that is called as it was asked for.
pub(crate) fn own_name(node: &Node) -> Result<ResourceId, DecodeError> {
    node.name.parse().map_err(|_| missing("name"))
}

/// Reads an operation whose `reference` names the resource.
pub(crate) fn operation_with_reference(reply: &Value) -> Result<Accepted, DecodeError> {
    let reference = reply.get("reference").ok_or_else(|| missing("reference"))?;
    let (id, operation) = (id(reference, "id")?, operation_id(reply)?);
    Ok(Accepted { id: Some(id), cloud_operation: Some(operation), ..Accepted::default() })
}

/// The id of an operation.
pub(crate) fn operation_id(reply: &Value) -> Result<String, DecodeError> {
    Ok(id(reply, "id")?.to_string())
}
