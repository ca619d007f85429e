//! What a pod demands of a node: selectors, taints and affinities.

use crate::selector::{LabelSelector, label, labels};
use crate::value::{at, entries, flag, items, name, namespace, text};
use serde_json::Value;

/// Whether the selector and the required node affinity of a pod accept a node.
pub(crate) fn accepts_node(pod: &Value, node: &Value) -> bool {
    let is_selected =
        entries(pod, "spec.nodeSelector").all(|(key, value)| label(node, key) == value.as_str());
    let affinity = at(pod, "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
    let terms = items(affinity, "nodeSelectorTerms");
    is_selected && (affinity.is_null() || terms.iter().any(|term| accepts_term(term, node)))
}

fn accepts_term(term: &Value, node: &Value) -> bool {
    let (expressions, fields) = (items(term, "matchExpressions"), items(term, "matchFields"));
    let has_any = !expressions.is_empty() || !fields.is_empty();
    has_any
        && expressions.iter().all(|expression| accepts(expression, label(node, text(expression, "key"))))
        && fields.iter().all(|expression| accepts(expression, Some(name(node))))
}

fn accepts(expression: &Value, actual: Option<&str>) -> bool {
    let values = items(expression, "values");
    let is_listed = actual.is_some_and(|actual| values.iter().any(|value| value == actual));
    let number = |value: Option<&str>| value.and_then(|value| value.parse::<i64>().ok());
    let bound = number(values.first().and_then(Value::as_str));
    match text(expression, "operator") {
        "In" => is_listed,
        "NotIn" => !is_listed,
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => number(actual).zip(bound).is_some_and(|(actual, bound)| actual > bound),
        "Lt" => number(actual).zip(bound).is_some_and(|(actual, bound)| actual < bound),
        _ => false,
    }
}

/// The first taint of a node that keeps a pod away, as `key: value`.
pub(crate) fn repelling_taint(pod: &Value, node: &Value) -> Option<String> {
    let unschedulable =
        serde_json::json!({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"});
    if flag(node, "spec.unschedulable") && !is_tolerated(pod, &unschedulable) {
        return Some("node.kubernetes.io/unschedulable: ".to_owned());
    }
    let repels = |taint: &&Value| text(taint, "effect") != "PreferNoSchedule" && !is_tolerated(pod, taint);
    let taint = items(node, "spec.taints").iter().find(repels)?;
    Some(format!("{}: {}", text(taint, "key"), text(taint, "value")))
}

fn is_tolerated(pod: &Value, taint: &Value) -> bool {
    items(pod, "spec.tolerations").iter().any(|toleration| {
        let key = text(toleration, "key");
        let effect = text(toleration, "effect");
        let is_key = key.is_empty() || key == text(taint, "key");
        let is_effect = effect.is_empty() || effect == text(taint, "effect");
        let is_value =
            text(toleration, "operator") == "Exists" || text(toleration, "value") == text(taint, "value");
        is_key && is_effect && is_value
    })
}

/// Whether the required affinities to other pods allow a node. `others` are the
/// pods on nodes, each with its node.
pub(crate) fn accepts_neighbors(pod: &Value, node: &Value, others: &[(&Value, &Value)]) -> bool {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let near = items(pod, &format!("spec.affinity.podAffinity.{required}"));
    let far = items(pod, &format!("spec.affinity.podAntiAffinity.{required}"));
    let is_near = near.iter().all(|term| {
        let any_anywhere = others.iter().any(|(other, _)| concerns(term, pod, other));
        has_neighbor(term, pod, node, others) || (!any_anywhere && concerns(term, pod, pod))
    });
    let is_far = far.iter().all(|term| !has_neighbor(term, pod, node, others));
    // An affinity of another pod keeps this one away as well.
    let is_welcome = others.iter().all(|(other, place)| {
        items(other, &format!("spec.affinity.podAntiAffinity.{required}"))
            .iter()
            .all(|term| !(concerns(term, other, pod) && is_same_domain(term, node, place)))
    });
    is_near && is_far && is_welcome
}

fn has_neighbor(term: &Value, pod: &Value, node: &Value, others: &[(&Value, &Value)]) -> bool {
    others.iter().any(|(other, place)| is_same_domain(term, node, place) && concerns(term, pod, other))
}

fn is_same_domain(term: &Value, node: &Value, place: &Value) -> bool {
    let key = text(term, "topologyKey");
    label(node, key).is_some_and(|domain| label(place, key) == Some(domain))
}

/// Whether a term of an affinity of `pod` is about `other`.
fn concerns(term: &Value, pod: &Value, other: &Value) -> bool {
    let spaces = items(term, "namespaces");
    let is_space = match spaces.is_empty() {
        true => namespace(pod) == namespace(other),
        false => spaces.iter().any(|space| space == namespace(other)),
    };
    is_space && LabelSelector::of(at(term, "labelSelector")).selects(labels(other))
}
