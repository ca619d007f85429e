//! The document of OpenAPI version 2. Clients before 1.27 check manifests by it,
//! merge lists by it and look there whether a kind has dry runs.
//!
//! Definitions have the names of the Go types without their packages, which the
//! schema leaves out, and no prose.

use crate::kind::{KINDS, KindInfo};
use crate::schema::{Field, Schema, Struct, Type};
use serde_json::{Map, Value, json};

const KIND: &str = "x-kubernetes-group-version-kind";

/// The document as JSON.
pub(super) fn document(schema: &Schema) -> Value {
    let definitions: Map<String, Value> =
        schema.structures().iter().map(|kind| (kind.name.clone(), definition(schema, kind))).collect();
    let paths: Map<String, Value> = KINDS.iter().map(path).collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1"},
        "paths": paths,
        "definitions": definitions,
    })
}

fn kind_of(info: &KindInfo) -> Value {
    json!({"group": info.group, "kind": info.name, "version": info.version})
}

/// The path of one object, with its patch.
fn path(info: &KindInfo) -> (String, Value) {
    let root = if info.group.is_empty() { "api" } else { "apis" };
    let place = if info.namespaced { "namespaces/{namespace}/" } else { "" };
    let names = ["dryRun", "fieldManager", "fieldValidation", "force"];
    let parameters = names.map(|name| json!({"name": name, "in": "query", "type": "string"}));
    let operation = json!({
        "operationId": format!("patch{}", info.name), "parameters": parameters,
        "x-kubernetes-action": "patch", KIND: kind_of(info),
    });
    (format!("/{root}/{}/{place}{}/{{name}}", info.api_version(), info.plural), json!({"patch": operation}))
}

fn definition(schema: &Schema, kind: &Struct) -> Value {
    let properties: Map<String, Value> =
        kind.fields.iter().map(|(name, field)| (name.clone(), property(schema, field))).collect();
    let mut definition = json!({"type": "object", "properties": properties});
    let required: Vec<&String> =
        kind.fields.iter().filter(|(_, field)| field.required).map(|(name, _)| name).collect();
    if !required.is_empty() {
        definition["required"] = json!(required);
    }
    let kinds: Vec<Value> = KINDS.iter().filter(|info| info.name == kind.name).map(kind_of).collect();
    if !kinds.is_empty() {
        definition[KIND] = json!(kinds);
    }
    definition
}

fn property(schema: &Schema, field: &Field) -> Value {
    let mut property = shape(schema, &field.kind);
    let key = field.merge_key.as_deref();
    let strategy = match (key, field.retains_keys) {
        (Some(_), true) => Some("merge,retainKeys"),
        (Some(_), false) => Some("merge"),
        (None, true) => Some("retainKeys"),
        (None, false) => None,
    };
    if let Some(strategy) = strategy {
        property["x-kubernetes-patch-strategy"] = json!(strategy);
    }
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        property["x-kubernetes-patch-merge-key"] = json!(key);
    }
    property
}

fn shape(schema: &Schema, kind: &Type) -> Value {
    let of_format = |name: &str, format: &str| json!({"type": name, "format": format});
    match kind {
        Type::Text | Type::Quantity => json!({"type": "string"}),
        Type::Int32 => of_format("integer", "int32"),
        Type::Int64 => of_format("integer", "int64"),
        Type::Number => of_format("number", "double"),
        Type::Bool => json!({"type": "boolean"}),
        Type::Time | Type::MicroTime => of_format("string", "date-time"),
        Type::Bytes => of_format("string", "byte"),
        Type::IntOrString => of_format("string", "int-or-string"),
        Type::Any => json!({}),
        Type::Struct(place) => {
            let name = schema.structure(*place).map_or("", |kind| kind.name.as_str());
            json!({"$ref": format!("#/definitions/{name}")})
        }
        Type::List(element, _) => json!({"type": "array", "items": shape(schema, element)}),
        Type::Map(element, _) => json!({"type": "object", "additionalProperties": shape(schema, element)}),
    }
}

/// The document as the message `openapi.v2.Document` of gnostic.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut info = Message::default();
    info.texts(1, &document["info"]["title"]);
    info.texts(2, &document["info"]["version"]);
    let mut out = Message::default();
    out.texts(1, &document["swagger"]);
    out.message(2, &info);
    out.message(8, &named(2, &document["paths"], path_item));
    out.message(9, &named(1, &document["definitions"], schema_message));
    out.0
}

/// A message of protobuf as it is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut number: usize) {
        while number > 0x7f {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }

    fn bytes(&mut self, field: usize, bytes: &[u8]) {
        self.number(field << 3 | 2);
        self.number(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, field: usize, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// A text, each text of a list, or nothing.
    fn texts(&mut self, field: usize, value: &Value) {
        let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        texts.iter().filter_map(Value::as_str).for_each(|text| self.bytes(field, text.as_bytes()));
    }

    /// Extensions, whose values are YAML.
    fn extensions(&mut self, field: usize, value: &Value) {
        let fields = value.as_object().into_iter().flatten();
        for (name, value) in fields.filter(|(name, _)| name.starts_with("x-")) {
            let mut any = Self::default();
            any.bytes(2, value.to_string().as_bytes());
            self.message(field, &pair(name, &any));
        }
    }
}

fn pair(name: &str, value: &Message) -> Message {
    let mut pair = Message::default();
    pair.bytes(1, name.as_bytes());
    pair.message(2, value);
    pair
}

/// A map: pairs in a repeated field.
fn named(field: usize, map: &Value, value_of: impl Fn(&Value) -> Message) -> Message {
    let mut out = Message::default();
    for (name, value) in map.as_object().into_iter().flatten() {
        out.message(field, &pair(name, &value_of(value)));
    }
    out
}

/// A message that holds another in its first field.
fn wrapped(field: usize, inner: &Message) -> Message {
    let mut out = Message::default();
    out.message(field, inner);
    out
}

fn path_item(path: &Value) -> Message {
    let operation = &path["patch"];
    let mut patch = Message::default();
    patch.texts(5, &operation["operationId"]);
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let mut query = Message::default();
        query.texts(2, &parameter["in"]);
        query.texts(4, &parameter["name"]);
        query.texts(6, &parameter["type"]);
        // ParametersItem.parameter, Parameter.non_body_parameter and
        // NonBodyParameter.query_parameter_sub_schema.
        patch.message(8, &wrapped(1, &wrapped(2, &wrapped(3, &query))));
    }
    patch.extensions(13, operation);
    wrapped(8, &patch)
}

fn schema_message(schema: &Value) -> Message {
    let mut out = Message::default();
    out.texts(1, &schema["$ref"]);
    out.texts(2, &schema["format"]);
    out.texts(19, &schema["required"]);
    if let Some(element) = schema.get("additionalProperties") {
        out.message(21, &wrapped(1, &schema_message(element)));
    }
    if let Some(kind) = schema["type"].as_str() {
        let mut kinds = Message::default();
        kinds.bytes(1, kind.as_bytes());
        out.message(22, &kinds);
    }
    if let Some(element) = schema.get("items") {
        out.message(23, &wrapped(1, &schema_message(element)));
    }
    if let Some(properties) = schema.get("properties") {
        out.message(25, &named(1, properties, schema_message));
    }
    out.extensions(31, schema);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::of_version;

    #[test]
    fn every_kind_has_a_definition_and_a_path() {
        let document = document(of_version("1.35"));
        for info in &KINDS {
            let kinds = &document["definitions"][info.name][KIND];
            assert!(kinds.as_array().is_some_and(|kinds| kinds.contains(&kind_of(info))), "{}", info.name);
        }
        assert_eq!(document["paths"].as_object().map(Map::len), Some(KINDS.len()));
        let containers = &document["definitions"]["PodSpec"]["properties"]["containers"];
        assert_eq!(
            *containers,
            json!({
                "type": "array", "items": {"$ref": "#/definitions/Container"},
                "x-kubernetes-patch-merge-key": "name", "x-kubernetes-patch-strategy": "merge",
            })
        );
    }

    #[test]
    fn long_lengths_take_several_bytes() {
        let mut message = Message::default();
        message.bytes(31, &[7; 300]);
        assert_eq!(message.0[..4], [0xfa, 0x01, 0xac, 0x02]);
        assert_eq!(message.0.len(), 304);
    }
}
