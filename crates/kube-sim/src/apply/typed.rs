//! Documents as trees of fields, by the types of the API.

use super::fields::{Fields, step_text};
use crate::schema::{Field, ListKind, Schema, Type};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The differences between two documents.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Fields that are new or have another value.
    pub(crate) changed: Fields,
    pub(crate) removed: Fields,
}

/// The step to an item of a list, if its kind tells items apart.
pub(crate) fn item_key(schema: &Schema, element: &Type, kind: &ListKind, item: &Value) -> Option<String> {
    match kind {
        ListKind::Atomic => None,
        ListKind::Set => Some(format!("v:{item}")),
        ListKind::Keys(keys) => {
            let mut sorted: BTreeMap<&str, Value> = BTreeMap::new();
            for key in keys {
                let given = item.get(key).filter(|value| !value.is_null()).cloned();
                let value = given.or_else(|| schema.field_of(element, key)?.default.clone());
                if let Some(value) = value {
                    sorted.insert(key, value);
                }
            }
            let pairs: Vec<String> =
                sorted.iter().map(|(key, value)| format!("{}:{value}", Value::from(*key))).collect();
            Some(format!("k:{{{}}}", pairs.join(",")))
        }
    }
}

/// Whether a value of this type is replaced as a whole.
fn is_atomic(schema: &Schema, kind: &Type) -> bool {
    match kind {
        Type::Struct(place) => schema.structure(*place).is_none_or(|structure| structure.atomic),
        Type::List(_, ListKind::Atomic) | Type::Map(_, true) => true,
        Type::List(..) | Type::Map(..) => false,
        _ => true,
    }
}

fn child_type<'a>(schema: &'a Schema, kind: &'a Type, name: &str) -> &'a Type {
    match kind {
        Type::Struct(_) => schema.field_of(kind, name).map_or(&Type::Any, |field| &field.kind),
        Type::Map(element, _) => element,
        _ => &Type::Any,
    }
}

/// The fields of a document.
pub(crate) fn fields_of(schema: &Schema, kind: &Type, value: &Value) -> Fields {
    if is_atomic(schema, kind) {
        return Fields::leaf();
    }
    let mut fields = Fields::default();
    match (kind, value) {
        (Type::List(element, list_kind), Value::Array(items)) => {
            for item in items {
                if let Some(step) = item_key(schema, element, list_kind, item) {
                    let mut child = fields_of(schema, element, item);
                    child.own = true;
                    fields.add(step, child);
                }
            }
        }
        (_, Value::Object(map)) => {
            for (name, inner) in map {
                fields.add(format!("f:{name}"), fields_of(schema, child_type(schema, kind, name), inner));
            }
        }
        _ => return Fields::leaf(),
    }
    // An empty map is a member of its own, an empty list of items is not.
    fields.own |= value.as_object().is_some_and(Map::is_empty);
    fields
}

/// As [`fields_of`], with every structure, map and list on the way a member.
fn all_fields_of(schema: &Schema, kind: &Type, value: &Value) -> Fields {
    let mut fields = fields_of(schema, kind, value);
    mark(schema, kind, value, &mut fields);
    fields
}

fn mark(schema: &Schema, kind: &Type, value: &Value, fields: &mut Fields) {
    match (kind, value) {
        (Type::List(element, list_kind), Value::Array(items)) => {
            fields.own |= true;
            for item in items {
                let step = item_key(schema, element, list_kind, item);
                if let Some(child) = step.and_then(|step| fields.children.get_mut(&step)) {
                    mark(schema, element, item, child);
                }
            }
        }
        (Type::Map(..) | Type::Struct(_), Value::Object(map)) => {
            fields.own |= true;
            for (name, inner) in map {
                if let Some(child) = fields.children.get_mut(&format!("f:{name}")) {
                    mark(schema, child_type(schema, kind, name), inner, child);
                }
            }
        }
        _ => {}
    }
}

/// Compares two forms of a document.
pub(crate) fn compare(schema: &Schema, kind: &Type, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    if old == new {
        return comparison;
    }
    match (old, new) {
        (Value::Null, new) => comparison.changed = all_fields_of(schema, kind, new),
        (old, Value::Null) => comparison.removed = all_fields_of(schema, kind, old),
        _ if is_atomic(schema, kind) => comparison.changed = Fields::leaf(),
        (Value::Object(before), Value::Object(after)) => {
            compare_maps(schema, kind, before, after, &mut comparison);
        }
        (Value::Array(before), Value::Array(after)) => {
            compare_lists(schema, kind, before, after, &mut comparison);
        }
        _ => comparison.changed = Fields::leaf(),
    }
    comparison
}

fn compare_maps(
    schema: &Schema,
    kind: &Type,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    comparison: &mut Comparison,
) {
    for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
        let (old, new) = (before.get(name).unwrap_or(&Value::Null), after.get(name).unwrap_or(&Value::Null));
        let inner = match (schema.field_of(kind, name), old) {
            (Some(field), Value::Null) if !field.omitted || field.embedded => {
                compare_zero(schema, field, new)
            }
            _ => compare(schema, child_type(schema, kind, name), old, new),
        };
        comparison.changed.add(format!("f:{name}"), inner.changed);
        comparison.removed.add(format!("f:{name}"), inner.removed);
    }
}

/// Compares a value with the zero value that Go has for a field which is
/// never absent: the field itself is not new.
fn compare_zero(schema: &Schema, field: &Field, new: &Value) -> Comparison {
    let mut comparison = match (&field.kind, new) {
        (_, Value::Null) => Comparison::default(),
        (Type::Struct(_), new) if field.embedded => {
            compare(schema, &field.kind, &Value::Object(Map::new()), new)
        }
        _ => compare(schema, &field.kind, &Value::Null, new),
    };
    if matches!(field.kind, Type::List(..) | Type::Map(..)) && !is_atomic(schema, &field.kind) {
        comparison.changed.own = false;
    }
    comparison
}

fn compare_lists(
    schema: &Schema,
    kind: &Type,
    before: &[Value],
    after: &[Value],
    comparison: &mut Comparison,
) {
    let Type::List(element, list_kind) = kind else {
        return;
    };
    let keyed = |items: &[Value]| -> BTreeMap<String, Value> {
        items
            .iter()
            .filter_map(|item| Some((item_key(schema, element, list_kind, item)?, item.clone())))
            .collect()
    };
    let (before, after) = (keyed(before), keyed(after));
    for (step, new) in &after {
        let old = before.get(step).unwrap_or(&Value::Null);
        let mut inner = compare(schema, element, old, new);
        inner.changed.own |= old.is_null();
        comparison.changed.add(step.clone(), inner.changed);
        comparison.removed.add(step.clone(), inner.removed);
    }
    for (step, old) in before.iter().filter(|(step, _)| !after.contains_key(*step)) {
        let mut removed = all_fields_of(schema, element, old);
        removed.own = true;
        comparison.removed.add(step.clone(), removed);
    }
}

/// The first list in which two items have the same keys, as messages show it.
pub(crate) fn duplicate(schema: &Schema, kind: &Type, value: &Value) -> Option<String> {
    match (kind, value) {
        (Type::List(element, list_kind), Value::Array(items)) => {
            let mut seen = BTreeMap::new();
            for item in items {
                let step = item_key(schema, element, list_kind, item)?;
                if let Some(below) = duplicate(schema, element, item) {
                    return Some(format!("{}{below}", step_text(&step)));
                }
                if seen.insert(step.clone(), ()).is_some() {
                    return Some(format!(": duplicate entries for key {}", step_text(&step)));
                }
            }
            None
        }
        (_, Value::Object(map)) if !is_atomic(schema, kind) => map.iter().find_map(|(name, inner)| {
            let below = duplicate(schema, child_type(schema, kind, name), inner)?;
            Some(format!(".{name}{below}"))
        }),
        _ => None,
    }
}

/// Merges an applied document into a live one.
pub(crate) fn merge(schema: &Schema, kind: &Type, live: &mut Value, applied: &Value) {
    if live.is_null() || is_atomic(schema, kind) {
        *live = applied.clone();
        return;
    }
    match (kind, live, applied) {
        (Type::List(element, list_kind), Value::Array(items), Value::Array(wanted)) => {
            merge_lists(schema, element, list_kind, items, wanted);
        }
        (_, Value::Object(map), Value::Object(wanted)) => {
            for (name, value) in wanted {
                let place = map.entry(name.as_str()).or_insert(Value::Null);
                merge(schema, child_type(schema, kind, name), place, value);
            }
        }
        (_, live, applied) => *live = applied.clone(),
    }
}

fn merge_lists(schema: &Schema, element: &Type, kind: &ListKind, items: &mut Vec<Value>, wanted: &[Value]) {
    let keys = |items: &[Value]| -> Vec<Option<String>> {
        items.iter().map(|item| item_key(schema, element, kind, item)).collect()
    };
    let wanted_keys = keys(wanted);
    let live_keys = keys(items);
    let mut merged: Vec<Value> = Vec::new();
    for (value, key) in wanted.iter().zip(&wanted_keys) {
        let place = live_keys.iter().position(|known| known == key);
        let mut item = place.and_then(|place| items.get(place)).cloned().unwrap_or(Value::Null);
        merge(schema, element, &mut item, value);
        merged.push(item);
    }
    // Items that are not applied keep their place before the next item that is.
    let mut result: Vec<Value> = Vec::new();
    let mut taken = 0;
    for (item, key) in std::mem::take(items).into_iter().zip(live_keys) {
        match wanted_keys.iter().position(|wanted| *wanted == key) {
            None => result.push(item),
            Some(place) => {
                while taken <= place {
                    result.extend(merged.get(taken).cloned());
                    taken += 1;
                }
            }
        }
    }
    result.extend(merged.into_iter().skip(taken));
    *items = result;
}

/// Removes the members of a set from a document. Maps and lists that become
/// empty go as well.
pub(crate) fn remove(schema: &Schema, kind: &Type, value: &mut Value, fields: &Fields) {
    match (kind, value) {
        (Type::List(element, list_kind), Value::Array(items)) => {
            items.retain_mut(|item| {
                let step = item_key(schema, element, list_kind, item);
                match step.and_then(|step| fields.children.get(&step)) {
                    Some(child) if child.own => false,
                    Some(child) => {
                        remove(schema, element, item, child);
                        true
                    }
                    None => true,
                }
            });
        }
        (_, Value::Object(map)) => {
            for (step, child) in &fields.children {
                let Some(name) = step.strip_prefix("f:") else {
                    continue;
                };
                let Some(inner) = map.get_mut(name) else {
                    continue;
                };
                if !child.own {
                    remove(schema, child_type(schema, kind, name), inner, child);
                }
                if child.own || is_hollow(inner) {
                    map.remove(name);
                }
            }
        }
        _ => {}
    }
}

fn is_hollow(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// The metadata that the server itself manages.
const SYSTEM: [&str; 10] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "selfLink",
    "managedFields",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

/// The fields of an object that are managed through a subresource, or directly
/// when it is empty.
fn managed<'a>(object: &'a Value, subresource: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.as_str(), value)).filter(move |(name, _)| match *name {
        "apiVersion" | "kind" => false,
        "status" => subresource == "status",
        _ => subresource != "status",
    })
}

fn user_metadata(metadata: &Value) -> Map<String, Value> {
    let fields = metadata.as_object().into_iter().flatten();
    fields
        .filter(|(name, _)| !SYSTEM.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The managed fields of an object.
pub(crate) fn object_fields(schema: &Schema, root: &Type, object: &Value, subresource: &str) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in managed(object, subresource) {
        let kind = child_type(schema, root, name);
        if name == "metadata" {
            let metadata = user_metadata(value);
            if !metadata.is_empty() {
                fields.add("f:metadata".to_owned(), fields_of(schema, kind, &Value::Object(metadata)));
            }
        } else {
            fields.add(format!("f:{name}"), fields_of(schema, kind, value));
        }
    }
    fields
}

/// Compares the managed fields of two forms of an object.
pub(crate) fn compare_objects(
    schema: &Schema,
    root: &Type,
    old: Option<&Value>,
    new: &Value,
    subresource: &str,
) -> Comparison {
    let mut comparison = Comparison::default();
    let missing = Value::Null;
    let old = old.unwrap_or(&missing);
    let gone = managed(old, subresource).map(|(name, _)| name).filter(|name| new.get(name).is_none());
    let names: Vec<&str> = managed(new, subresource).map(|(name, _)| name).chain(gone).collect();
    for name in names {
        let kind = child_type(schema, root, name);
        let (before, after) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
        let inner = if name == "metadata" {
            let (before, after) = (user_metadata(before), user_metadata(after));
            compare(schema, kind, &Value::Object(before), &Value::Object(after))
        } else {
            match (schema.field_of(root, name), before) {
                (Some(field), Value::Null) if !field.omitted || field.embedded => {
                    compare_zero(schema, field, after)
                }
                _ => compare(schema, kind, before, after),
            }
        };
        comparison.changed.add(format!("f:{name}"), inner.changed);
        comparison.removed.add(format!("f:{name}"), inner.removed);
    }
    comparison
}
