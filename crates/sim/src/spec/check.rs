//! Checks a request body against the shape of its operation.

use super::Shape;
use serde_json::Value;

/// Refuses a body that does not fit `shape`: one line per fault found.
pub(crate) fn check_body(shape: &Shape, body: &Value) -> Result<(), Vec<String>> {
    let mut found = Vec::new();
    check(shape, body, "", &mut found);
    if found.is_empty() { Ok(()) } else { Err(found) }
}

fn at(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn check(shape: &Shape, value: &Value, path: &str, found: &mut Vec<String>) {
    if value.is_null() && (shape.nullable || path.is_empty()) && shape.required.is_empty() {
        return;
    }
    let Some(kind) = shape.kind.as_deref() else {
        return;
    };
    match (kind, value) {
        ("object", Value::Object(map)) => check_object(shape, map, path, found),
        ("array", Value::Array(items)) => {
            if let Some(inner) = &shape.items {
                for (index, item) in items.iter().enumerate() {
                    check(inner, item, &at(path, &index.to_string()), found);
                }
            }
        }
        ("string", Value::String(text)) => check_text(shape, text, path, found),
        ("integer", Value::Number(number)) => match number.as_f64() {
            Some(n) if !number.is_f64() => check_number(shape, n, path, found),
            _ => found.push(format!("'{path}' is not an integer")),
        },
        ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => {}
        _ => found.push(format!("'{path}' is not of type {kind}")),
    }
}

fn check_object(shape: &Shape, map: &serde_json::Map<String, Value>, path: &str, found: &mut Vec<String>) {
    let missing: Vec<String> = shape
        .required
        .iter()
        .filter(|key| !map.contains_key(*key))
        .map(|key| format!("'{}'", at(path, key)))
        .collect();
    if !missing.is_empty() {
        found.push(format!("missing keys {}", missing.join(", ")));
    }
    for (key, value) in map {
        match (shape.properties.get(key), &shape.values) {
            (Some(inner), _) => check(inner, value, &at(path, key), found),
            (None, Some(inner)) => check(inner, value, &at(path, key), found),
            (None, None) if !shape.properties.is_empty() => {
                found.push(format!("unknown key '{}'", at(path, key)));
            }
            (None, None) => {}
        }
    }
}

fn check_text(shape: &Shape, text: &str, path: &str, found: &mut Vec<String>) {
    let length = text.chars().count();
    if shape.min_length.is_some_and(|min| length < min) {
        found.push(format!("'{path}' is too short"));
    }
    if shape.max_length.is_some_and(|max| length > max) {
        found.push(format!("'{path}' is too long"));
    }
    if !shape.choices.is_empty() && !shape.choices.iter().any(|c| c == text) {
        found.push(format!("'{path}' has no such value as '{text}'"));
    }
    if shape.format.as_deref() == Some("uuid") && !is_uuid(text) {
        found.push(format!("'{path}' is not a UUID"));
    }
}

fn check_number(shape: &Shape, n: f64, path: &str, found: &mut Vec<String>) {
    if shape.minimum.is_some_and(|min| n < min) || shape.maximum.is_some_and(|max| n > max) {
        found.push(format!("'{path}' is out of range"));
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(i, c)| match i {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::super::operations;
    use super::*;
    use serde_json::json;

    fn verdict(id: &str, body: Value) -> Result<(), Vec<String>> {
        let op = operations().iter().find(|o| o.id == id).expect(id);
        check_body(op.body.as_ref().expect("body"), &body)
    }

    #[test]
    fn bodies_are_checked() {
        let good = json!({"name":"n","level":"starter","version":"1.35.1"});
        assert_eq!(verdict("create-sks-cluster", good), Ok(()));
        let cases = [
            (json!({"name":"n","version":"1"}), "missing keys 'level'"),
            (json!({"name":"n","version":"1","level":"gold"}), "'level' has no such value as 'gold'"),
            (json!({"name":7,"version":"1","level":"pro"}), "'name' is not of type string"),
            (json!({"name":"","version":"1","level":"pro"}), "'name' is too short"),
            (json!({"name":"n","version":"1","level":"pro","nodes":1}), "unknown key 'nodes'"),
            (
                json!({"name":"n","version":"1","level":"pro","labels":{"a":1}}),
                "'labels.a' is not of type string",
            ),
        ];
        for (body, text) in cases {
            assert_eq!(verdict("create-sks-cluster", body), Err(vec![text.to_owned()]));
        }
        assert_eq!(
            verdict("create-sks-cluster", Value::Null),
            Err(vec!["'' is not of type object".to_owned()])
        );
    }
}
