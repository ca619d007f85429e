//! Comparing an object that was applied with the one in the cluster, field by
//! field. Fields that others set are no difference: exokit owns what it applied.

use exokit_model::event::Difference;
use exokit_model::ids::NodeKey;
use exokit_model::kind::Kind;
use serde_json::Value;

/// The fields of `planned` that `observed` shows otherwise. The data of a secret
/// is not compared: an observation does not have it.
pub(crate) fn differences(node: &NodeKey, kind: Kind, planned: &Value, observed: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut planned = planned.clone();
    if let (Kind::Secret, Some(fields)) = (kind, planned.as_object_mut()) {
        fields.remove("data");
    }
    descend(&mut String::new(), &planned, Some(observed), &mut |path, planned, observed| {
        let shown = |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), Value::to_string);
        found.push(Difference {
            node: node.clone(),
            field: path.into(),
            planned: shown(Some(planned)).into(),
            observed: shown(observed).into(),
        });
    });
    found
}

type Report<'a> = dyn FnMut(&str, &Value, Option<&Value>) + 'a;

fn descend(path: &mut String, planned: &Value, observed: Option<&Value>, report: &mut Report<'_>) {
    let below = path.len();
    match (planned, observed) {
        (Value::Object(planned), Some(Value::Object(observed))) => {
            for (key, planned) in planned {
                path.push('/');
                path.push_str(key);
                descend(path, planned, observed.get(key), report);
                path.truncate(below);
            }
        }
        (Value::Array(items), Some(Value::Array(others))) if items.len() == others.len() => {
            for (at, item) in items.iter().enumerate() {
                path.push('/');
                path.push_str(name(item).unwrap_or(&at.to_string()));
                descend(path, item, partner(item, others, at), report);
                path.truncate(below);
            }
        }
        (planned, observed) if observed == Some(planned) => {}
        // The API server leaves empty fields out.
        (planned, None) if is_empty(planned) => {}
        (planned, observed) => report(path, planned, observed),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// The name of an item of a list, by which the API server merges lists.
fn name(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

/// The item that stands for `item` in another list.
fn partner<'a>(item: &Value, others: &'a [Value], at: usize) -> Option<&'a Value> {
    match name(item) {
        Some(own) => others.iter().find(|other| name(other) == Some(own)),
        None => others.get(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_applied_is_compared_and_each_field_is_named() {
        let planned = json!({
            "metadata": {"labels": {"a": "b"}},
            "spec": {
                "containers": [{"name": "x", "limits": {"cpu": "500m"}}, {"name": "y"}],
                "empty": {}, "none": [], "off": false, "zero": 0,
            },
            "data": {"key": "value"},
        });
        let check = |observed: Value, fields: &[&str]| {
            let found = differences(&"workload".parse().unwrap(), Kind::ConfigMap, &planned, &observed);
            assert_eq!(found.iter().map(|difference| difference.field.raw()).collect::<Vec<_>>(), fields);
        };
        let mut same = planned.clone();
        for empty in ["empty", "none", "off", "zero"] {
            same["spec"].as_object_mut().unwrap().remove(empty);
        }
        same["metadata"]["labels"]["other"] = json!("c");
        same["spec"]["containers"] =
            json!([{"name": "y", "image": "z"}, {"name": "x", "limits": {"cpu": "500m"}}]);
        check(same.clone(), &[]);
        let secret = json!({"metadata": {"name": "s"}, "data": {"password": null}});
        let observed = json!({"metadata": {"name": "s"}});
        assert_eq!(differences(&"s".parse().unwrap(), Kind::Secret, &secret, &observed), []);
        let mut other = same.clone();
        other["spec"]["containers"][1]["limits"]["cpu"] = json!("1");
        other["metadata"]["labels"] = json!({});
        check(other, &["/metadata/labels/a", "/spec/containers/x/limits/cpu"]);
        let mut more = same;
        more["spec"]["containers"] = json!([{"name": "x"}]);
        check(more, &["/spec/containers"]);
    }
}
