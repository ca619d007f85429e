//! The difference between two forms of an object, as a strategic merge patch.
//!
//! Maps are compared key by key, lists as a whole, and finalizers one by one,
//! since other clients add and remove their own.

use crate::value::{at, items, object};
use serde_json::{Map, Value, json};

/// Fields of `metadata` that actors change.
const METADATA: [&str; 2] = ["annotations", "labels"];
/// Fields that are not compared here: the server sets the first two.
const APART: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// The patch of everything but the status; none when nothing differs.
pub(super) fn of_object(old: &Value, new: &Value) -> Option<Value> {
    let mut patch = Map::new();
    let mut metadata = Map::new();
    for field in METADATA {
        let path = format!("metadata.{field}");
        if let Some(difference) = difference(at(old, &path), at(new, &path)) {
            metadata.insert(field.to_owned(), difference);
        }
    }
    finalizers(old, new, &mut metadata);
    if !metadata.is_empty() {
        patch.insert("metadata".to_owned(), Value::Object(metadata));
    }
    let without = |whole: &Value| {
        let mut rest = whole.clone();
        object(&mut rest).retain(|key, _| !APART.contains(&key.as_str()));
        rest
    };
    if let Some(Value::Object(rest)) = difference(&without(old), &without(new)) {
        patch.extend(rest);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The patch of the status; none when nothing differs.
pub(super) fn of_status(old: &Value, new: &Value) -> Option<Value> {
    difference(at(old, "status"), at(new, "status")).map(|status| json!({"status": status}))
}

fn finalizers(old: &Value, new: &Value, metadata: &mut Map<String, Value>) {
    let list = |whole| items(whole, "metadata.finalizers");
    let missing = |from: &[Value], other: &[Value]| -> Vec<Value> {
        from.iter().filter(|finalizer| !other.contains(finalizer)).cloned().collect()
    };
    let (added, removed) = (missing(list(new), list(old)), missing(list(old), list(new)));
    if !added.is_empty() {
        metadata.insert("finalizers".to_owned(), Value::Array(added));
    }
    if !removed.is_empty() {
        metadata.insert("$deleteFromPrimitiveList/finalizers".to_owned(), Value::Array(removed));
    }
}

/// The patch from `old` to `new`; none when they are equal.
fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return Some(new.clone());
    };
    let removed = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter_map(|(key, value)| {
        let old = old.get(key).unwrap_or(&Value::Null);
        Some((key.clone(), difference(old, value)?))
    });
    Some(Value::Object(removed.chain(changed).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_names_what_differs_and_nothing_else() {
        let old = json!({
            "metadata": {"name": "a", "resourceVersion": "1", "annotations": {"a/x": "1", "b": "2"},
                "finalizers": ["mine", "theirs"]},
            "spec": {"keep": 1, "change": [1, 2]},
            "status": {"phase": "Pending", "old": {"x": 1}},
        });
        let new = json!({
            "metadata": {"name": "a", "resourceVersion": "7", "annotations": {"a/x": "3"},
                "finalizers": ["theirs", "new"]},
            "spec": {"keep": 1, "change": [2]},
            "status": {"phase": "Running", "old": {"x": 1, "y": 2}},
        });
        let object = json!({
            "metadata": {"annotations": {"a/x": "3", "b": null}, "finalizers": ["new"],
                "$deleteFromPrimitiveList/finalizers": ["mine"]},
            "spec": {"change": [2]},
        });
        assert_eq!(of_object(&old, &new), Some(object));
        let status = json!({"status": {"phase": "Running", "old": {"y": 2}}});
        assert_eq!(of_status(&old, &new), Some(status));
        assert_eq!((of_object(&old, &old), of_status(&new, &new)), (None, None));
    }
}
