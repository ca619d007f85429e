//! JSON Schemas of all messages, for those who write clients.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::SCHEMA_VERSION;
use crate::envelope::Meta;
use crate::event::{AgentMessage, ApprovalRequested, EventMessage};
use crate::failure::Failure;
use crate::task::TaskUpdate;
use crate::verb::Verb;

/// A schema with the name of the file that it is printed to.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// For instance `infra.provision.request`.
    pub name: String,
    /// The schema, of draft 2020-12.
    pub schema: Value,
}

/// Every message, by name.
#[must_use]
pub fn all() -> Vec<Named> {
    let of_verb = |verb: &Verb| {
        let name = |part: &str| format!("{}.{part}", verb.subject());
        [
            Named { name: name("request"), schema: request(*verb) },
            Named { name: name("reply"), schema: reply(*verb) },
        ]
    };
    let published = [
        Named { name: "infra.events".to_owned(), schema: whole::<EventMessage>() },
        Named { name: "infra.approval.requested".to_owned(), schema: whole::<ApprovalRequested>() },
        Named { name: "orchestrator.agents".to_owned(), schema: whole::<AgentMessage>() },
        Named { name: "orchestrator.task.reply".to_owned(), schema: whole::<TaskUpdate>() },
    ];
    Verb::ALL.iter().flat_map(of_verb).chain(published).collect()
}

/// The request of an operation with what stands around it.
#[must_use]
pub fn request(verb: Verb) -> Value {
    let mut generator = generator();
    let body = verb.request_schema(&mut generator);
    let meta = Meta::json_schema(&mut generator);
    let definitions = definitions(&mut generator);
    let body = resolved(body, &definitions);
    merged(body, meta.to_value(), definitions)
}

/// The reply of an operation: a result, or an error.
#[must_use]
pub fn reply(verb: Verb) -> Value {
    let mut generator = generator();
    let result = verb.reply_schema(&mut generator).to_value();
    let error = generator.subschema_for::<Failure>().to_value();
    let version = json!({ "const": SCHEMA_VERSION });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": { "schema_version": version, "result": result, "error": error },
        "required": ["schema_version"],
        "oneOf": [{ "required": ["result"] }, { "required": ["error"] }],
        "additionalProperties": false,
        "$defs": definitions(&mut generator),
    })
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

fn definitions(generator: &mut SchemaGenerator) -> Map<String, Value> {
    generator.take_definitions(true)
}

fn whole<T: JsonSchema>() -> Value {
    generator().into_root_schema_for::<T>().to_value()
}

/// The schema that a reference to a definition stands for.
fn resolved(schema: Schema, definitions: &Map<String, Value>) -> Value {
    let mut value = schema.to_value();
    // A definition may stand for another; none stands for itself.
    while let Some(name) =
        value.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix("#/$defs/"))
        && let Some(definition) = definitions.get(name)
    {
        value = definition.clone();
    }
    value
}

/// One object with the fields of the body and those around it.
fn merged(body: Value, meta: Value, definitions: Map<String, Value>) -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": definitions,
    });
    let description = body.get("description").cloned().unwrap_or(Value::Null);
    schema["description"] = description;
    match body.get("oneOf") {
        // One of several bodies, each with a field of its own.
        Some(Value::Array(bodies)) => {
            let each = bodies.iter().map(|body| with_meta(body, &meta)).collect();
            schema["oneOf"] = Value::Array(each);
        }
        _ => {
            let Value::Object(fields) = with_meta(&body, &meta) else { return schema };
            fields.into_iter().for_each(|(name, value)| schema[name] = value);
        }
    }
    schema
}

fn with_meta(body: &Value, meta: &Value) -> Value {
    let part = |of: &Value, name: &str| of.get(name).cloned().unwrap_or(Value::Null);
    let mut properties = part(meta, "properties").as_object().cloned().unwrap_or_default();
    properties.extend(part(body, "properties").as_object().cloned().unwrap_or_default());
    let required = [part(meta, "required"), part(body, "required")];
    let required: Vec<Value> = required.iter().filter_map(Value::as_array).flatten().cloned().collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// How the value of a field is written in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// As it is.
    Text,
    /// `true` or `false`.
    Bool,
    /// Digits.
    Whole,
}

/// The fields of a request that has plain ones only, for a path and a query.
#[must_use]
pub fn plain_fields(verb: Verb) -> Map<String, Value> {
    let mut schema = request(verb);
    let mut fields = schema["properties"].take().as_object().cloned().unwrap_or_default();
    for name in ["schema_version", "requester", "idempotency_key"] {
        fields.remove(name);
    }
    fields
}

/// How a field of [`plain_fields`] is written.
#[must_use]
pub fn plain(field: &Value) -> Plain {
    let is = |wanted: &str| match &field["type"] {
        Value::String(found) => found == wanted,
        Value::Array(found) => found.iter().any(|found| found == wanted),
        _ => false,
    };
    match (is("boolean"), is("integer")) {
        (true, _) => Plain::Bool,
        (false, true) => Plain::Whole,
        (false, false) => Plain::Text,
    }
}
