//! Conditions in the status of objects.

use crate::time::rfc3339;
use crate::value::{at, items, list, place, set, text};
use serde_json::{Value, json};

/// The condition of a type.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(object, "status.conditions").iter().find(|condition| text(condition, "type") == kind)
}

/// Whether the condition of a type has status `True`.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| text(condition, "status") == "True")
}

/// Sets a condition. Its time of transition changes with its status only.
pub(crate) fn set_condition(
    object: &mut Value,
    now: i64,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
) {
    let status = if status { "True" } else { "False" };
    let conditions = list(place(object, "status.conditions"));
    let old = conditions.iter().position(|condition| text(condition, "type") == kind);
    let mut new =
        old.and_then(|place| conditions.get(place)).cloned().unwrap_or_else(|| json!({"type": kind}));
    if text(&new, "status") != status {
        set(&mut new, "status", status);
        set(&mut new, "lastTransitionTime", rfc3339(now));
    }
    for (field, value) in [("reason", reason), ("message", message)] {
        if value.is_empty() {
            crate::value::remove(&mut new, field);
        } else {
            set(&mut new, field, value);
        }
    }
    match old.and_then(|place| conditions.get_mut(place)) {
        Some(place) => *place = new,
        None => conditions.push(new),
    }
}

/// Removes the condition of a type.
pub(crate) fn remove_condition(object: &mut Value, kind: &str) {
    if !at(object, "status.conditions").is_null() {
        list(place(object, "status.conditions")).retain(|condition| text(condition, "type") != kind);
    }
}
