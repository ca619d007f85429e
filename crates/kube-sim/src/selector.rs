//! Label and field selectors.

use crate::kind::Kind;
use crate::refusal::Refusal;
use crate::value::{at, entries, entry, items, text};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A conjunction of requirements on labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Reads the text form: `a=b,c!=d,e in (f,g),h,!i`.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if !part.is_empty() {
                let requirement = parse_requirement(part).ok_or_else(|| {
                    let message = format!("unable to parse requirement: found '{part}'");
                    Refusal::bad_request(message)
                })?;
                requirements.push(requirement);
            }
        }
        Ok(Self { requirements })
    }

    /// Reads the form of the API: `matchLabels` and `matchExpressions`.
    pub(crate) fn of(selector: &Value) -> Self {
        let mut requirements: Vec<Requirement> =
            entries(selector, "matchLabels").map(|(key, value)| equals(key, value)).collect();
        for expression in items(selector, "matchExpressions") {
            let operator = match text(expression, "operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                _ => Operator::DoesNotExist,
            };
            let values =
                items(expression, "values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
            requirements.push(Requirement { key: text(expression, "key").to_owned(), operator, values });
        }
        Self { requirements }
    }

    /// Reads a plain map of labels, as services have it.
    pub(crate) fn of_map(labels: &Value) -> Self {
        let requirements =
            labels.as_object().into_iter().flatten().map(|(key, value)| equals(key, value)).collect();
        Self { requirements }
    }

    /// Whether it has no requirement and so selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether it selects an object with these labels.
    pub(crate) fn selects(&self, labels: &Value) -> bool {
        self.requirements.iter().all(|requirement| {
            let label = labels.get(&requirement.key).and_then(Value::as_str);
            let is_listed = label.is_some_and(|label| requirement.values.iter().any(|value| value == label));
            match requirement.operator {
                Operator::In => is_listed,
                Operator::NotIn => !is_listed,
                Operator::Exists => label.is_some(),
                Operator::DoesNotExist => label.is_none(),
            }
        })
    }
}

fn equals(key: &str, value: &Value) -> Requirement {
    let values = vec![value.as_str().unwrap_or_default().to_owned()];
    Requirement { key: key.to_owned(), operator: Operator::In, values }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_u32, 0);
    for (place, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(start..place).unwrap_or_default());
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn parse_requirement(part: &str) -> Option<Requirement> {
    let make = |key: &str, operator, values: Vec<String>| {
        let key = key.trim();
        let is_key =
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
        let is_value = |text: &String| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        (is_key && values.iter().all(is_value)).then(|| Requirement { key: key.to_owned(), operator, values })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some(key) = part.strip_prefix('!') {
        return make(key, Operator::DoesNotExist, Vec::new());
    }
    if let Some((key, value)) = part.split_once("!=") {
        return make(key, Operator::NotIn, one(value));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return make(key, Operator::In, one(value));
    }
    if let Some((head, list)) = part.split_once('(') {
        let values = list.strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        let (key, operator) = (words.next()?, words.next()?);
        let operator = match operator {
            "in" => Operator::In,
            "notin" => Operator::NotIn,
            _ => return None,
        };
        return make(key, operator, values);
    }
    make(part, Operator::Exists, Vec::new())
}

/// A conjunction of comparisons of fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FieldSelector {
    /// Path, value, and whether they must be equal.
    comparisons: Vec<(String, String, bool)>,
}

impl FieldSelector {
    /// Reads the text form: `metadata.name=x,status.phase!=Running`.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, Refusal> {
        let mut comparisons = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let (path, value, equal) = match part.split_once("!=") {
                Some((path, value)) => (path, value, false),
                None => match part.split_once("==").or_else(|| part.split_once('=')) {
                    Some((path, value)) => (path, value, true),
                    None => {
                        let message = format!("invalid selector: '{text}'; can't understand '{part}'");
                        return Err(Refusal::bad_request(message));
                    }
                },
            };
            let path = path.trim();
            if !is_selectable(kind, path) {
                return Err(Refusal::bad_request(format!("field label not supported: {path}")));
            }
            comparisons.push((path.to_owned(), value.trim().to_owned(), equal));
        }
        Ok(Self { comparisons })
    }

    /// Whether it selects the object.
    pub(crate) fn selects(&self, object: &Value) -> bool {
        self.comparisons.iter().all(|(path, value, equal)| (field_text(object, path) == *value) == *equal)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.comparisons.is_empty()
    }
}

fn field_text(object: &Value, path: &str) -> String {
    match at(object, path) {
        Value::String(text) => text.clone(),
        Value::Null if path == "spec.unschedulable" => "false".to_owned(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn is_selectable(kind: Kind, path: &str) -> bool {
    if path == "metadata.name" {
        return true;
    }
    if path == "metadata.namespace" {
        return kind.info().namespaced;
    }
    let more: &[&str] = match kind {
        Kind::Pod => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Kind::Node => &["spec.unschedulable"],
        Kind::Namespace => &["status.phase"],
        Kind::Secret => &["type"],
        Kind::Service => &["spec.clusterIP", "spec.type"],
        Kind::ReplicaSet => &["status.replicas"],
        Kind::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    };
    more.contains(&path)
}

/// The labels of an object.
pub(crate) fn labels(object: &Value) -> &Value {
    at(object, "metadata.labels")
}

/// One label of an object.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    entry(object, "metadata.labels", key)
}
