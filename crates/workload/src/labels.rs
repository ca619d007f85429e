//! Labels of objects and the selectors that find pods by them.

use std::collections::BTreeMap;

use exokit_model::spec::EnvironmentSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::app::App;

/// Labels by key.
pub(crate) type Labels = BTreeMap<String, String>;

const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";

/// Labels of the platform that objects share with nodes.
const PROJECT: &str = "stargate.io/project";
const TEMPLATE: &str = "stargate.io/template";

/// Longest value of a label.
const VALUE_CHARS_MAX: usize = 63;

/// All labels of an object that belongs to `name`.
pub(crate) fn labels(spec: &EnvironmentSpec, name: &str) -> Labels {
    let project = label_value(&spec.project);
    let own =
        |key: &str, default: &str| spec.nodes.labels.get(key).cloned().unwrap_or_else(|| default.to_owned());
    let mut labels = Labels::from([
        (NAME.to_owned(), name.to_owned()),
        (INSTANCE.to_owned(), spec.environment.to_string()),
        ("app.kubernetes.io/part-of".to_owned(), project.clone()),
        ("app.kubernetes.io/managed-by".to_owned(), "exokit".to_owned()),
        (PROJECT.to_owned(), own(PROJECT, &project)),
        (TEMPLATE.to_owned(), own(TEMPLATE, &spec.template.to_string())),
    ]);
    // A project name without letters and digits has no valid label value.
    labels.retain(|_, value| !value.is_empty());
    labels
}

/// The labels that identify the pods of an app. They are stable, because the
/// selector of a Deployment is immutable.
pub(crate) fn pod_labels(spec: &EnvironmentSpec, app: App) -> Labels {
    Labels::from([(NAME.to_owned(), app.name(spec)), (INSTANCE.to_owned(), spec.environment.to_string())])
}

/// The selector of the pods of an app.
pub(crate) fn pod_selector(spec: &EnvironmentSpec, app: App) -> LabelSelector {
    LabelSelector { match_labels: Some(pod_labels(spec, app)), ..LabelSelector::default() }
}

/// Name, namespace and labels of an object of an app.
pub(crate) fn metadata(spec: &EnvironmentSpec, app: App, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(spec.workload.namespace.clone()),
        labels: Some(labels(spec, &app.name(spec))),
        ..ObjectMeta::default()
    }
}

/// Name, namespace and labels of an object that belongs to the environment as
/// a whole.
pub(crate) fn shared_metadata(spec: &EnvironmentSpec, name: &str) -> ObjectMeta {
    ObjectMeta { labels: Some(labels(spec, name)), ..metadata(spec, App::Workload, name) }
}

/// Converts a text to a valid label value; empty if it has no letter or digit.
fn label_value(text: &str) -> String {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let mapped: String =
        text.chars().map(|c| if is_inner(c) { c } else { '-' }).take(VALUE_CHARS_MAX).collect();
    mapped.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_label_value() {
        let long = "x".repeat(80);
        for (text, expected) in
            [("Star gate!", "Star-gate"), ("--a_b--", "a_b"), ("ÄÖ", ""), (&long, &long[..63])]
        {
            assert_eq!(label_value(text), expected);
        }
    }
}
