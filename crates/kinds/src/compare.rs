//! Comparing what was planned with what the cloud shows.

use exokit_model::event::Difference;
use exokit_model::ids::NodeKey;
use serde_json::Value;

/// Compares the fields at `pointers`. A planned object must be contained in
/// the observed one, because the cloud adds fields of its own; a planned array
/// must hold the same elements in any order.
pub(crate) fn differences(
    node: &NodeKey,
    planned: &Value,
    observed: &Value,
    pointers: &[&str],
) -> Vec<Difference> {
    let differs = |pointer: &&&str| match (planned.pointer(pointer), observed.pointer(pointer)) {
        (None, _) => false,
        (Some(want), Some(have)) => !contains(have, want),
        // The API leaves empty collections out of its replies.
        (Some(want), None) => !is_empty(want),
    };
    let describe = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
    pointers
        .iter()
        .filter(differs)
        .map(|pointer| Difference {
            node: node.clone(),
            field: (*pointer).into(),
            planned: describe(planned.pointer(pointer)).into(),
            observed: describe(observed.pointer(pointer)).into(),
        })
        .collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(_) => false,
    }
}

fn contains(have: &Value, want: &Value) -> bool {
    match (have, want) {
        (Value::Object(have), Value::Object(want)) => {
            want.iter().all(|(key, want)| have.get(key).map_or(is_empty(want), |have| contains(have, want)))
        }
        (Value::Array(have), Value::Array(want)) => {
            have.len() == want.len() && want.iter().all(|want| have.iter().any(|have| contains(have, want)))
        }
        _ => have == want,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn additions_of_the_cloud_are_no_difference_and_changes_are() {
        let planned =
            json!({"size": 2, "labels": {"a": "b"}, "groups": [{"id": "x"}, {"id": "y"}], "none": []});
        let check = |observed: Value, fields: &[&str]| {
            let pointers = ["/size", "/labels", "/groups", "/none", "/never-planned"];
            let found = differences(&"cluster".parse().unwrap(), &planned, &observed, &pointers);
            assert_eq!(found.iter().map(|d| d.field.raw()).collect::<Vec<_>>(), fields);
        };
        let same = json!({"size": 2, "labels": {"a": "b", "c": "d"}, "groups": [{"id": "y", "n": 1}, {"id": "x"}], "id": 1});
        check(same, &[]);
        check(json!({"size": 3, "labels": {}, "groups": [{"id": "x"}]}), &["/size", "/labels", "/groups"]);
        check(json!({}), &["/size", "/labels", "/groups"]);
    }
}
