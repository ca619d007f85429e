//! The OpenAPI document of the HTTP routes, from the table of operations.

use serde_json::{Map, Value, json};

use crate::MESSAGE_BYTES_MAX;
use crate::failure::Class;
use crate::schema;
use crate::verb::{HttpMethod, Verb};

/// The document, of OpenAPI 3.1.
#[must_use]
pub fn document(version: &str) -> Value {
    let mut schemas = Map::new();
    let mut paths = Map::new();
    for verb in Verb::ALL {
        let operation = operation(*verb, &mut schemas);
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
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "token": [] }],
    })
}

fn operation(verb: Verb, schemas: &mut Map<String, Value>) -> Value {
    let request = referring(schema::request(verb), schemas);
    let reply = referring(schema::reply(verb), schemas);
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
    let fields = schema::plain_fields(verb);
    let required = request["required"].as_array().cloned().unwrap_or_default();
    let in_path: Vec<&str> = verb.path_parameters().collect();
    let parameters = fields.into_iter().filter_map(|(name, schema)| {
        let place = match (in_path.contains(&name.as_str()), verb.method()) {
            (true, _) => "path",
            (false, HttpMethod::Get) => "query",
            (false, HttpMethod::Post) => return None,
        };
        let needed = place == "path" || required.iter().any(|field| *field == name.as_str());
        Some(json!({ "name": name, "in": place, "required": needed, "schema": moved(schema) }))
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

/// Moves the definitions of a schema to those of the document.
fn referring(mut schema: Value, schemas: &mut Map<String, Value>) -> Value {
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("$schema");
        if let Some(Value::Object(definitions)) = fields.remove("$defs") {
            schemas.extend(definitions.into_iter().map(|(name, schema)| (name, moved(schema))));
        }
    }
    moved(schema)
}

fn moved(schema: Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| match (name.as_str(), value) {
                ("$ref", Value::String(to)) => {
                    (name, Value::String(to.replace("#/$defs/", "#/components/schemas/")))
                }
                (_, value) => (name, moved(value)),
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(moved).collect()),
        other => other,
    }
}
