//! JSON merge patch and JSON patch.

use crate::refusal::Refusal;
use serde_json::Value;

/// Applies an RFC 7386 merge patch.
pub(crate) fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *document = patch.clone();
        return;
    };
    let fields = crate::value::object(document);
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.as_str()).or_insert(Value::Null), change);
        }
    }
}

/// Applies an RFC 6902 patch.
pub(crate) fn json_patch(document: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let Value::Array(operations) = patch else {
        let message =
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch";
        return Err(Refusal::bad_request(message));
    };
    for operation in operations {
        let field = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
        let (verb, path, from) = (field("op"), field("path"), field("from"));
        match verb {
            "add" | "replace" | "test" => {
                let value = operation.get("value").cloned().unwrap_or_default();
                match verb {
                    "add" => add(document, path, value).ok_or_else(Refusal::json_patch)?,
                    "replace" => *document.pointer_mut(path).ok_or_else(Refusal::json_patch)? = value,
                    _ if document.pointer(path).unwrap_or(&Value::Null) == &value => {}
                    _ => return Err(Refusal::json_patch()),
                }
            }
            "remove" => drop(take(document, path).ok_or_else(Refusal::json_patch)?),
            "move" => {
                let value = take(document, from).ok_or_else(Refusal::json_patch)?;
                add(document, path, value).ok_or_else(Refusal::json_patch)?;
            }
            "copy" => {
                let value = document.pointer(from).cloned().ok_or_else(Refusal::json_patch)?;
                add(document, path, value).ok_or_else(Refusal::json_patch)?;
            }
            _ => return Err(Refusal::json_patch()),
        }
    }
    Ok(())
}

fn split(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *document = value;
        return Some(());
    }
    let (parent, last) = split(path)?;
    match document.pointer_mut(parent)? {
        Value::Object(map) => {
            map.insert(last, value);
        }
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => {
            let place = last.parse::<usize>().ok().filter(|place| *place <= items.len())?;
            items.insert(place, value);
        }
        _ => return None,
    }
    Some(())
}

fn take(document: &mut Value, path: &str) -> Option<Value> {
    let (parent, last) = split(path)?;
    match document.pointer_mut(parent)? {
        Value::Object(map) => map.remove(&last),
        Value::Array(items) => {
            let place = last.parse::<usize>().ok().filter(|place| *place < items.len())?;
            Some(items.remove(place))
        }
        _ => None,
    }
}
