//! U01 to U10: what every environment promises.

use std::collections::BTreeSet;

use exokit_model::spec::EnvironmentSpec;
use exokit_model::verification::Check;
use serde_json::Value;

use crate::evidence::{Evidence, list, name, text};

/// The label that names the template. It has a check of its own.
const TEMPLATE_LABEL: &str = "stargate.io/template";

/// Labels that the checks of the template look at.
pub(crate) const SPECIAL_LABELS: [&str; 2] = ["stargate.io/agents", "stargate.io/clearance"];

const LOOK_AT_DRIFT: &str = "`exokit drift` shows what else differs";

pub(crate) fn checks(spec: &EnvironmentSpec, evidence: &Evidence) -> Vec<Check> {
    let succeeded = if evidence.provision.succeeded { "succeeded" } else { "did not succeed" };
    let nodes = evidence.of_kind("Node");
    let types = evidence.nodepools.iter().map(|pool| {
        let id = text(pool, "/instance-type/id");
        evidence.instance_types.get(id).map_or(id, String::as_str)
    });
    let leaked = match evidence.provision.secrets_in_ledger.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    vec![
        check("U01", "the provision succeeded", "succeeded", succeeded, "run `exokit history`"),
        check("U02", "the cluster exists", cluster(spec), seen_cluster(spec, evidence), LOOK_AT_DRIFT),
        check("U03", "all nodes are ready", "all ready", readiness(&nodes), "run `kubectl describe nodes`"),
        check(
            "U04",
            "the number of nodes",
            spec.nodes.count.to_string(),
            nodes.len().to_string(),
            LOOK_AT_DRIFT,
        ),
        check(
            "U05",
            "the type of the nodes",
            format!("{}.{}", spec.nodes.family, spec.nodes.size),
            joined(types),
            LOOK_AT_DRIFT,
        ),
        namespace(spec, evidence),
        service(spec, evidence),
        node_labels(spec, &nodes),
        template_label(spec, &nodes),
        check(
            "U10",
            "no secret stands in a record",
            "none",
            leaked,
            "rotate these secrets, and report it as a mistake in exokit",
        ),
    ]
}

fn check(
    id: &str,
    title: &str,
    expected: impl Into<String>,
    observed: impl Into<String>,
    hint: &str,
) -> Check {
    Check::new(id.to_owned(), title, expected.into(), observed.into(), hint)
}

/// Different texts, sorted; `none` when there are none.
pub(crate) fn joined<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let different: BTreeSet<&str> = texts.collect();
    match different.is_empty() {
        true => "none".to_owned(),
        false => different.into_iter().collect::<Vec<_>>().join(", "),
    }
}

fn cluster(spec: &EnvironmentSpec) -> String {
    let version = spec.cluster.version.as_deref().unwrap_or("any");
    format!("running, level {}, {}, Kubernetes {version}", spec.cluster.level, spec.cluster.cni)
}

fn seen_cluster(spec: &EnvironmentSpec, evidence: &Evidence) -> String {
    let Some(cluster) = &evidence.cluster else { return "there is no cluster".to_owned() };
    let version = text(cluster, "/version");
    // A version that is asked for may leave out the patch.
    let version = match spec.cluster.version.as_deref() {
        None => "any",
        Some(wanted) if version == wanted || version.starts_with(&format!("{wanted}.")) => wanted,
        Some(_) => version,
    };
    let field = |name: &str| text(cluster, name).to_owned();
    format!("{}, level {}, {}, Kubernetes {version}", field("/state"), field("/level"), field("/cni"))
}

fn readiness(nodes: &[&Value]) -> String {
    let is_ready = |node: &&&Value| {
        list(node, "/status/conditions")
            .iter()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    let others: Vec<&str> = nodes.iter().filter(|node| !is_ready(node)).map(|node| name(node)).collect();
    match (nodes.is_empty(), others.is_empty()) {
        (true, _) => "there are no nodes".to_owned(),
        (false, true) => "all ready".to_owned(),
        (false, false) => format!("not ready: {}", others.join(", ")),
    }
}

fn namespace(spec: &EnvironmentSpec, evidence: &Evidence) -> Check {
    let wanted = &spec.workload.namespace;
    let phase = evidence.object("Namespace", wanted).map_or("missing", |found| text(found, "/status/phase"));
    let expected = format!("{wanted}: Active");
    check("U06", "the namespace", expected, format!("{wanted}: {phase}"), LOOK_AT_DRIFT)
}

fn service(spec: &EnvironmentSpec, evidence: &Evidence) -> Check {
    let workload = &spec.workload;
    let type_ = if workload.load_balancer { "LoadBalancer" } else { "NodePort" };
    let port = if spec.hardened && workload.ingress.is_some() { 443 } else { workload.service_port };
    let expected = format!("{type_} {}, port {port}", workload.service);
    let observed = match evidence.object("Service", &workload.service) {
        None => format!("there is no Service {}", workload.service),
        Some(service) => {
            let ports = list(service, "/spec/ports");
            let found = ports.iter().find(|found| found["port"] == port).or_else(|| ports.first());
            let port = found.map_or("-".to_owned(), |found| found["port"].to_string());
            format!("{} {}, port {port}", text(service, "/spec/type"), workload.service)
        }
    };
    check("U07", "the Service and its port", expected, observed, LOOK_AT_DRIFT)
}

fn node_labels(spec: &EnvironmentSpec, nodes: &[&Value]) -> Check {
    let labels: Vec<(&String, &String)> = spec
        .nodes
        .labels
        .iter()
        .filter(|(key, _)| *key != TEMPLATE_LABEL && !SPECIAL_LABELS.contains(&key.as_str()))
        .collect();
    let expected: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let of_node = |node: &&Value| {
        let shown = labels.iter().map(|(key, _)| format!("{key}={}", label(node, key)));
        shown.collect::<Vec<_>>().join(", ")
    };
    let observed: BTreeSet<String> = nodes.iter().map(of_node).collect();
    let observed = match observed.is_empty() {
        true => "there are no nodes".to_owned(),
        false => observed.into_iter().collect::<Vec<_>>().join("; "),
    };
    check("U08", "labels of the nodes", expected.join(", "), observed, LOOK_AT_DRIFT)
}

fn template_label(spec: &EnvironmentSpec, nodes: &[&Value]) -> Check {
    let expected = spec.nodes.labels.get(TEMPLATE_LABEL).cloned().unwrap_or_default();
    let observed = joined(nodes.iter().map(|node| label(node, TEMPLATE_LABEL)));
    check("U09", "the label of the template", expected, observed, LOOK_AT_DRIFT)
}

/// A label of an object; empty when it does not have it.
pub(crate) fn label<'v>(object: &'v Value, key: &str) -> &'v str {
    object["metadata"]["labels"][key].as_str().unwrap_or_default()
}
