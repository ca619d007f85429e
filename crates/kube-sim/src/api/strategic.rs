//! Strategic merge patch, by the merge keys of the types.

use crate::schema::{Field, Schema, Type};
use crate::value::list;
use serde_json::{Map, Value};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Applies a strategic merge patch to a document of a type.
pub(crate) fn merge(schema: &Schema, kind: &Type, document: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *document = patch.clone();
        return;
    };
    match changes.get(DIRECTIVE).and_then(Value::as_str) {
        Some("replace") => {
            *document = Value::Object(without_directives(changes));
            return;
        }
        Some("delete") => {
            *document = Value::Object(Map::new());
            return;
        }
        _ => {}
    }
    let fields = crate::value::object(document);
    if let Some(Value::Array(keys)) = changes.get(RETAIN) {
        fields.retain(|name, _| keys.iter().any(|key| key == name));
    }
    for (name, change) in changes {
        if let Some(name) = name.strip_prefix(DELETE_PRIMITIVES) {
            delete_primitives(fields, name, change);
        } else if name.starts_with('$') {
            continue;
        } else if change.is_null() {
            fields.remove(name);
        } else {
            let known = field(schema, kind, name);
            let place = fields.entry(name.as_str()).or_insert(Value::Null);
            merge_field(schema, &known, place, change);
        }
    }
    for (name, order) in changes {
        if let (Some(name), Value::Array(order)) = (name.strip_prefix(ORDER), order)
            && let Some(Value::Array(items)) = fields.get_mut(name)
        {
            sort(items, order, field(schema, kind, name).merge_key.as_deref());
        }
    }
}

/// What is known of a field: its type and its merge key.
struct Known {
    kind: Type,
    merge_key: Option<String>,
}

fn field(schema: &Schema, kind: &Type, name: &str) -> Known {
    match kind {
        Type::Map(element, _) => Known { kind: Type::clone(element), merge_key: None },
        _ => match schema.field_of(kind, name) {
            Some(Field { kind, merge_key, .. }) => Known { kind: kind.clone(), merge_key: merge_key.clone() },
            None => Known { kind: Type::Any, merge_key: None },
        },
    }
}

fn merge_field(schema: &Schema, known: &Known, place: &mut Value, change: &Value) {
    match (&known.kind, change) {
        (Type::List(element, _), Value::Array(changes)) => match known.merge_key.as_deref() {
            Some("") => merge_primitives(list(place), changes),
            // Items are told apart by the merge key alone, as clients compute patches.
            Some(key) => merge_items(schema, element, key, list(place), changes),
            None => *place = change.clone(),
        },
        (Type::Struct(_) | Type::Map(..) | Type::Any, Value::Object(_)) => {
            merge(schema, &known.kind, place, change);
        }
        _ => *place = change.clone(),
    }
}

fn merge_primitives(items: &mut Vec<Value>, changes: &[Value]) {
    for change in changes {
        if !items.contains(change) {
            items.push(change.clone());
        }
    }
}

fn merge_items(schema: &Schema, element: &Type, key: &str, items: &mut Vec<Value>, changes: &[Value]) {
    let replaces = |change: &Value| change.get(DIRECTIVE).is_some_and(|directive| directive == "replace");
    if changes.iter().any(|change| replaces(change) && change.get(key).is_none()) {
        items.clear();
    }
    let before: Vec<Value> = items.iter().filter_map(|item| item.get(key).cloned()).collect();
    for change in changes {
        let Some(wanted) = change.get(key) else {
            continue;
        };
        let place = items.iter().position(|item| item.get(key) == Some(wanted));
        let deletes = change.get(DIRECTIVE).is_some_and(|directive| directive == "delete");
        match place {
            Some(place) if deletes => drop(items.remove(place)),
            Some(place) => {
                if let Some(item) = items.get_mut(place) {
                    merge(schema, element, item, change);
                }
            }
            None if deletes => {}
            None => {
                let mut item = Value::Object(Map::new());
                merge(schema, element, &mut item, change);
                items.push(item);
            }
        }
    }
    order_as_patched(key, items, &before, changes);
}

/// Orders the items as the real server does: those of the patch as the patch
/// has them, the others as they were. A new item comes before all others.
fn order_as_patched(key: &str, items: &mut Vec<Value>, before: &[Value], changes: &[Value]) {
    let place = |list: &[Value], item: &Value| list.iter().position(|known| Some(known) == item.get(key));
    let patched: Vec<Value> = changes.iter().filter_map(|change| change.get(key).cloned()).collect();
    let (mut right, left): (Vec<Value>, Vec<Value>) =
        std::mem::take(items).into_iter().partition(|item| place(&patched, item).is_some());
    right.sort_by_key(|item| place(&patched, item));
    let mut left = left.into_iter().peekable();
    for item in right {
        if let Some(own) = place(before, &item) {
            while let Some(other) =
                left.next_if(|other| place(before, other).is_some_and(|other| other < own))
            {
                items.push(other);
            }
        }
        items.push(item);
    }
    items.extend(left);
}

fn delete_primitives(fields: &mut Map<String, Value>, name: &str, change: &Value) {
    if let (Some(Value::Array(items)), Value::Array(gone)) = (fields.get_mut(name), change) {
        items.retain(|item| !gone.contains(item));
    }
}

fn sort(items: &mut [Value], order: &[Value], key: Option<&str>) {
    let place = |item: &Value| {
        order.iter().position(|wanted| match key {
            Some(key) if !key.is_empty() => item.get(key) == wanted.get(key),
            _ => item == wanted,
        })
    };
    items.sort_by_key(|item| place(item).unwrap_or(usize::MAX));
}

fn without_directives(changes: &Map<String, Value>) -> Map<String, Value> {
    changes
        .iter()
        .filter(|(name, _)| !name.starts_with('$'))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
