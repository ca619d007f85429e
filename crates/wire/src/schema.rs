//! JSON Schemas of all messages, for those who write clients, and the OpenAPI
//! document of the HTTP routes.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::decode::META;
use crate::envelope::Meta;
use crate::event::{AgentMessage, ApprovalRequested, EventMessage, TaskUpdate};
use crate::failure::{Class, Failure};
use crate::verb::{HttpMethod, Verb};
use crate::{MESSAGE_BYTES_MAX, SCHEMA_VERSION};

/// The schemas of all messages, of draft 2020-12, each with its name, such as
/// `infra.provision.request`.
#[must_use]
pub fn all() -> Vec<(String, Value)> {
    let of_verb = |verb: &Verb| {
        let name = |part: &str| format!("{}.{part}", verb.subject());
        [(name("request"), whole(|g| request(*verb, g))), (name("reply"), whole(|g| reply(*verb, g)))]
    };
    let published = [
        ("infra.events", root::<EventMessage>()),
        ("infra.approval.requested", root::<ApprovalRequested>()),
        ("orchestrator.agents", root::<AgentMessage>()),
        ("orchestrator.task.reply", root::<TaskUpdate>()),
    ];
    let published = published.map(|(name, schema)| (name.to_owned(), schema));
    Verb::ALL.iter().flat_map(of_verb).chain(published).collect()
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().into_generator()
}

fn root<T: JsonSchema>() -> Value {
    generator().into_root_schema_for::<T>().to_value()
}

/// A schema with the definitions that it refers to.
fn whole(make: impl FnOnce(&mut SchemaGenerator) -> Value) -> Value {
    let mut generator = generator();
    let mut schema = make(&mut generator);
    schema["$schema"] = json!(generator.settings().meta_schema);
    schema["$defs"] = generator.take_definitions(true).into();
    schema
}

/// The request of an operation with what stands around it: one object with the
/// fields of both.
fn request(verb: Verb, generator: &mut SchemaGenerator) -> Value {
    let body = verb.request_schema(generator);
    let meta = Meta::json_schema(generator).to_value();
    let body = resolved(body, generator);
    let mut schema = match body.get("oneOf") {
        // One of several bodies, each with a field of its own.
        Some(Value::Array(bodies)) => {
            let each: Vec<Value> = bodies.iter().map(|body| with_meta(body, &meta)).collect();
            json!({ "type": "object", "oneOf": each })
        }
        _ => with_meta(&body, &meta),
    };
    schema["description"] = body["description"].clone();
    schema
}

/// The schema that a reference to a definition stands for.
fn resolved(schema: Schema, generator: &SchemaGenerator) -> Value {
    let mut value = schema.to_value();
    // A definition may stand for another; none stands for itself.
    while let Some(definition) = value["$ref"]
        .as_str()
        .and_then(|to| to.rsplit('/').next())
        .and_then(|name| generator.definitions().get(name))
    {
        value = definition.clone();
    }
    value
}

fn with_meta(body: &Value, meta: &Value) -> Value {
    let mut properties = meta["properties"].as_object().cloned().unwrap_or_default();
    properties.extend(body["properties"].as_object().cloned().unwrap_or_default());
    let required = [&meta["required"], &body["required"]];
    let required: Vec<&Value> = required.into_iter().filter_map(Value::as_array).flatten().collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// The reply of an operation: a result, or an error.
fn reply(verb: Verb, generator: &mut SchemaGenerator) -> Value {
    let result = verb.reply_schema(generator);
    let error = generator.subschema_for::<Failure>();
    let version = json!({ "const": SCHEMA_VERSION });
    json!({
        "type": "object",
        "properties": { "schema_version": version, "result": result, "error": error },
        "required": ["schema_version"],
        "oneOf": [{ "required": ["result"] }, { "required": ["error"] }],
        "additionalProperties": false,
    })
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
pub fn plain_fields(verb: Verb) -> BTreeMap<String, Plain> {
    let request = request(verb, &mut generator());
    own_fields(&request).map(|(name, schema)| (name.clone(), plain(schema))).collect()
}

/// The fields of a request without those around its body.
fn own_fields(request: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let fields = request["properties"].as_object().into_iter().flatten();
    fields.filter(|(name, _)| !META.contains(&name.as_str()))
}

fn plain(field: &Value) -> Plain {
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

/// The OpenAPI document of the HTTP routes, of OpenAPI 3.1, from the table of
/// operations.
#[must_use]
pub fn openapi(version: &str) -> Value {
    let settings = SchemaSettings::draft2020_12();
    let mut generator =
        settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator();
    let mut paths = Map::new();
    for verb in Verb::ALL {
        let operation = operation(*verb, &mut generator);
        let method = match verb.method() {
            HttpMethod::Get => "get",
            HttpMethod::Post => "post",
        };
        let path = paths.entry(verb.path()).or_insert_with(|| json!({}));
        path[method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "exokit",
            "version": version,
            "description": "The infra-provisioner agent AZ-INFRA-001: the same operations as on NATS.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "token": [] }],
    })
}

fn operation(verb: Verb, generator: &mut SchemaGenerator) -> Value {
    let request = request(verb, generator);
    let reply = reply(verb, generator);
    let answer = |description: &str| json!({ "description": description, "content": { "application/json": { "schema": reply } } });
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answer("Done."));
    for class in Class::ALL {
        responses.insert(class.status().to_string(), answer(class.words()));
    }
    let mut operation = json!({
        "operationId": verb.name(),
        "summary": request["description"],
        "x-scope": verb.scope().as_str(),
        "x-subject": verb.subject(),
        "parameters": parameters(verb, &request),
        "responses": responses,
    });
    if verb.method() == HttpMethod::Post {
        let schema = without_path_parameters(verb, request);
        operation["requestBody"] = json!({
            "required": true,
            "description": format!("At most {MESSAGE_BYTES_MAX} bytes."),
            "content": { "application/json": { "schema": schema } },
        });
    }
    operation
}

fn parameters(verb: Verb, request: &Value) -> Value {
    let required = request["required"].as_array().cloned().unwrap_or_default();
    let in_path: Vec<&str> = verb.path_parameters().collect();
    let parameters = own_fields(request).filter_map(|(name, schema)| {
        let place = match (in_path.contains(&name.as_str()), verb.method()) {
            (true, _) => "path",
            (false, HttpMethod::Get) => "query",
            (false, HttpMethod::Post) => return None,
        };
        let needed = place == "path" || required.iter().any(|field| *field == name.as_str());
        Some(json!({ "name": name, "in": place, "required": needed, "schema": schema }))
    });
    parameters.collect()
}

/// A field that stands in the path does not stand in the body.
fn without_path_parameters(verb: Verb, mut request: Value) -> Value {
    for name in verb.path_parameters() {
        if let Some(fields) = request["properties"].as_object_mut() {
            fields.remove(name);
        }
        if let Some(required) = request["required"].as_array_mut() {
            required.retain(|field| field != name);
        }
    }
    request
}
