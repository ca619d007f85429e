//! Access to JSON documents by dotted paths.
//!
//! A path cannot name a key with a dot in it, such as most label keys; use
//! [`entry`] for these.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// The value at a dotted path, null when absent.
pub(crate) fn at<'a>(document: &'a Value, path: &str) -> &'a Value {
    let mut here = document;
    for key in path.split('.') {
        match here.get(key) {
            Some(next) => here = next,
            None => return &NULL,
        }
    }
    here
}

/// The text at a path, empty when absent.
pub(crate) fn text<'a>(document: &'a Value, path: &str) -> &'a str {
    at(document, path).as_str().unwrap_or_default()
}

/// The whole number at a path, zero when absent.
pub(crate) fn number(document: &Value, path: &str) -> i64 {
    at(document, path).as_i64().unwrap_or(0)
}

/// Whether the flag at a path is set.
pub(crate) fn flag(document: &Value, path: &str) -> bool {
    at(document, path).as_bool().unwrap_or(false)
}

/// The items of the list at a path, none when absent.
pub(crate) fn items<'a>(document: &'a Value, path: &str) -> &'a [Value] {
    at(document, path).as_array().map_or(&[], Vec::as_slice)
}

/// The entries of the map at a path, none when absent.
pub(crate) fn entries<'a>(document: &'a Value, path: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    at(document, path).as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// The text of one key of the map at a path. The key may contain dots.
pub(crate) fn entry<'a>(document: &'a Value, path: &str, key: &str) -> Option<&'a str> {
    at(document, path).get(key)?.as_str()
}

/// The place at a path; missing or unsuitable parents become objects.
pub(crate) fn place<'a>(document: &'a mut Value, path: &str) -> &'a mut Value {
    let mut here = document;
    for key in path.split('.') {
        here = object(here).entry(key).or_insert(Value::Null);
    }
    here
}

/// The value as an object; anything else becomes an empty one.
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        // The line above has made it an object.
        _ => unreachable!("value is an object"),
    }
}

/// The value as a list; anything else becomes an empty one.
pub(crate) fn list(value: &mut Value) -> &mut Vec<Value> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    match value {
        Value::Array(items) => items,
        // The line above has made it a list.
        _ => unreachable!("value is a list"),
    }
}

/// Writes the value at a path.
pub(crate) fn set(document: &mut Value, path: &str, value: impl Into<Value>) {
    *place(document, path) = value.into();
}

/// Writes the value at a path unless one is there.
pub(crate) fn set_default(document: &mut Value, path: &str, value: impl Into<Value>) {
    if at(document, path).is_null() {
        set(document, path, value);
    }
}

/// Removes the value at a path and returns it.
pub(crate) fn remove(document: &mut Value, path: &str) -> Option<Value> {
    match path.rsplit_once('.') {
        None => document.as_object_mut()?.remove(path),
        Some((parent, key)) => {
            let mut here = document;
            for step in parent.split('.') {
                here = here.get_mut(step)?;
            }
            here.as_object_mut()?.remove(key)
        }
    }
}

/// The name of an object.
pub(crate) fn name(document: &Value) -> &str {
    text(document, "metadata.name")
}

/// The namespace of an object, empty when it has none.
pub(crate) fn namespace(document: &Value) -> &str {
    text(document, "metadata.namespace")
}

/// The uid of an object.
pub(crate) fn uid(document: &Value) -> &str {
    text(document, "metadata.uid")
}

/// Whether an object is being deleted.
pub(crate) fn is_deleting(document: &Value) -> bool {
    !at(document, "metadata.deletionTimestamp").is_null()
}
