//! Checks of objects beyond their types.

use crate::kind::Kind;
use crate::refusal::{Cause, Refusal};
use crate::schema::Schema;
use crate::schema::check::causes;
use crate::selector::LabelSelector;
use crate::value::{at, entries, flag, items, name, number, text};
use serde_json::{Value, json};

/// Refuses an object that is not valid, or a change that is not allowed.
pub(crate) fn check(schema: &Schema, kind: Kind, old: Option<&Value>, new: &Value) -> Result<(), Refusal> {
    let mut found = Vec::new();
    check_metadata(kind, old, new, &mut found);
    found.extend(causes(schema, kind, new));
    match kind {
        Kind::Pod => pod_spec(at(new, "spec"), "spec", &mut found),
        Kind::Deployment | Kind::ReplicaSet | Kind::DaemonSet | Kind::StatefulSet => {
            workload(kind, new, &mut found)
        }
        Kind::Service => service(new, &mut found),
        Kind::PersistentVolumeClaim => claim(new, &mut found),
        Kind::HorizontalPodAutoscaler => autoscaler(new, &mut found),
        Kind::PodDisruptionBudget => disruption_budget(new, &mut found),
        Kind::Ingress => ingress(new, &mut found),
        Kind::Namespace => check_security_labels(new, &mut found),
        _ => {}
    }
    if let Some(old) = old {
        immutable(kind, old, new, &mut found);
    }
    if found.is_empty() { Ok(()) } else { Err(Refusal::invalid(kind.info(), name(new), &found)) }
}

fn check_metadata(kind: Kind, old: Option<&Value>, new: &Value, found: &mut Vec<Cause>) {
    if old.is_none() {
        check_name(kind, name(new), found);
    }
    check_finalizers(old, new, found);
    for (key, value) in entries(new, "metadata.labels") {
        check_label("metadata.labels", key, value, found);
    }
    for (key, _) in entries(new, "metadata.annotations") {
        if !is_qualified_name(&key.to_ascii_lowercase()) {
            found.push(Cause::invalid("metadata.annotations", &json!(key), QUALIFIED));
        }
    }
}

/// Finalizers have qualified names, and none is added to what is being deleted.
fn check_finalizers(old: Option<&Value>, new: &Value, found: &mut Vec<Cause>) {
    const FIELD: &str = "metadata.finalizers";
    const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];
    let finalizers: Vec<&str> = items(new, FIELD).iter().filter_map(Value::as_str).collect();
    for (place, finalizer) in finalizers.iter().enumerate() {
        if !is_qualified_name(finalizer) {
            found.push(Cause::invalid(FIELD, &json!(finalizer), QUALIFIED));
        }
        if !finalizer.contains('/') && !STANDARD.contains(finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            found.push(Cause::invalid(&format!("{FIELD}[{place}]"), &json!(finalizer), why));
        }
    }
    if let Some(old) = old.filter(|old| crate::value::is_deleting(old)) {
        let known = items(old, FIELD);
        let added: Vec<String> = finalizers
            .iter()
            .filter(|finalizer| !known.iter().any(|item| item == *finalizer))
            .map(|finalizer| format!("{finalizer:?}"))
            .collect();
        if !added.is_empty() {
            let why = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            found.push(Cause::forbidden(FIELD, &why));
        }
    }
}

/// The labels of Pod Security have known values.
fn check_security_labels(new: &Value, found: &mut Vec<Cause>) {
    for (key, value) in entries(new, "metadata.labels") {
        let Some(mode) = key.strip_prefix("pod-security.kubernetes.io/") else {
            continue;
        };
        let field = format!("metadata.labels[{key}]");
        let text = value.as_str().unwrap_or_default();
        let is_version =
            text == "latest" || text.strip_prefix("v1.").is_some_and(|minor| minor.parse::<u32>().is_ok());
        if mode.ends_with("-version") && !is_version {
            found.push(Cause::invalid(&field, value, "must be \"latest\" or \"v1.x\""));
        } else if ["enforce", "warn", "audit"].contains(&mode)
            && !["privileged", "baseline", "restricted"].contains(&text)
        {
            found.push(Cause::invalid(&field, value, "must be one of privileged, baseline, restricted"));
        }
    }
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
    start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
    alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
    validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
    for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

fn is_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_plain_name(text: &str) -> bool {
    let is_end = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_alphanumeric());
    is_end(text.chars().next())
        && is_end(text.chars().last())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, rest)) => is_subdomain(prefix) && is_plain_name(rest) && rest.len() <= 63,
        None => is_plain_name(text) && text.len() <= 63,
    }
}

fn check_name(kind: Kind, own: &str, found: &mut Vec<Cause>) {
    const FIELD: &str = "metadata.name";
    if own.is_empty() {
        found.push(Cause::required(FIELD, "name or generateName is required"));
        return;
    }
    let (most, is_good, why) = match kind {
        Kind::Namespace => (63, is_label(own), LABEL),
        Kind::Service => (63, is_label(own) && own.starts_with(|l: char| l.is_ascii_lowercase()), DNS_1035),
        Kind::Role | Kind::RoleBinding | Kind::ClusterRole | Kind::ClusterRoleBinding => {
            (253, !own.contains(['/', '%']) && own != "." && own != "..", "may not contain '/' or '%'")
        }
        _ => (253, is_subdomain(own), SUBDOMAIN),
    };
    if !is_good {
        found.push(Cause::invalid(FIELD, &json!(own), why));
    }
    if own.len() > most {
        found.push(Cause::invalid(FIELD, &json!(own), &format!("must be no more than {most} characters")));
    }
}

fn check_label(field: &str, key: &str, value: &Value, found: &mut Vec<Cause>) {
    if !is_qualified_name(key) {
        found.push(Cause::invalid(field, &json!(key), QUALIFIED));
    }
    let text = value.as_str().unwrap_or_default();
    if text.len() > 63 {
        found.push(Cause::invalid(field, value, "must be no more than 63 characters"));
    } else if !text.is_empty() && !is_plain_name(text) {
        found.push(Cause::invalid(field, value, LABEL_VALUE));
    }
}

fn at_least_zero(document: &Value, path: &str, found: &mut Vec<Cause>) {
    if number(document, path) < 0 {
        found.push(Cause::invalid(path, at(document, path), "must be greater than or equal to 0"));
    }
}

fn workload(kind: Kind, new: &Value, found: &mut Vec<Cause>) {
    at_least_zero(new, "spec.replicas", found);
    let selector = at(new, "spec.selector");
    let labels = at(new, "spec.template.metadata.labels");
    for (key, value) in entries(new, "spec.template.metadata.labels") {
        check_label("spec.template.labels", key, value, found);
    }
    if selector.is_object() {
        let parsed = LabelSelector::of(selector);
        if parsed.is_empty() {
            found.push(Cause::invalid(
                "spec.selector",
                selector,
                &format!("empty selector is invalid for {}", kind.info().name.to_lowercase()),
            ));
        } else if !parsed.selects(labels) {
            let why = "`selector` does not match template `labels`";
            found.push(Cause::invalid("spec.template.metadata.labels", labels, why));
        }
    }
    let policy = at(new, "spec.template.spec.restartPolicy");
    if policy.is_string() && policy != "Always" {
        found.push(Cause::unsupported("spec.template.spec.restartPolicy", policy, &["Always".to_owned()]));
    }
    if at(new, "spec.template.spec").is_object() {
        pod_spec(at(new, "spec.template.spec"), "spec.template.spec", found);
    }
}

fn pod_spec(spec: &Value, path: &str, found: &mut Vec<Cause>) {
    let volumes: Vec<&str> = items(spec, "volumes").iter().map(|volume| text(volume, "name")).collect();
    if items(spec, "containers").is_empty() && !at(spec, "containers").is_null() {
        found.push(Cause::required(&format!("{path}.containers"), ""));
    }
    let mut names: Vec<&str> = Vec::new();
    for field in ["initContainers", "containers"] {
        for (place, container) in items(spec, field).iter().enumerate() {
            let path = format!("{path}.{field}[{place}]");
            let own = text(container, "name");
            if names.contains(&own) && !own.is_empty() {
                found.push(Cause::duplicate(&format!("{path}.name"), &json!(own)));
            }
            names.push(own);
            self::container(container, &path, &volumes, found);
        }
    }
}

fn container(container: &Value, path: &str, volumes: &[&str], found: &mut Vec<Cause>) {
    let own = text(container, "name");
    if !own.is_empty() && !is_label(own) {
        found.push(Cause::invalid(&format!("{path}.name"), &json!(own), LABEL));
    }
    if text(container, "image").is_empty() {
        found.push(Cause::required(&format!("{path}.image"), ""));
    }
    for (place, port) in items(container, "ports").iter().enumerate() {
        port_number(at(port, "containerPort"), &format!("{path}.ports[{place}].containerPort"), found);
    }
    for (place, mount) in items(container, "volumeMounts").iter().enumerate() {
        let wanted = text(mount, "name");
        if !volumes.contains(&wanted) {
            found.push(Cause::not_found(&format!("{path}.volumeMounts[{place}].name"), &json!(wanted)));
        }
    }
    for (resource, request) in entries(container, "resources.requests") {
        let Some(limit) = at(container, "resources.limits").get(resource) else {
            continue;
        };
        if crate::quantity::milli(request) > crate::quantity::milli(limit) {
            let shown = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
            let why = format!("must be less than or equal to {resource} limit of {shown}");
            found.push(Cause::invalid(&format!("{path}.resources.requests"), request, &why));
        }
    }
}

fn port_number(value: &Value, path: &str, found: &mut Vec<Cause>) {
    if let Some(port) = value.as_i64()
        && !(1..=65_535).contains(&port)
    {
        found.push(Cause::invalid(path, value, "must be between 1 and 65535, inclusive"));
    }
}

fn service(new: &Value, found: &mut Vec<Cause>) {
    let ports = items(new, "spec.ports");
    let needs_ports = text(new, "spec.type") != "ExternalName" && text(new, "spec.clusterIP") != "None";
    if ports.is_empty() && needs_ports {
        found.push(Cause::required("spec.ports", ""));
    }
    if text(new, "spec.type") == "ExternalName" && text(new, "spec.externalName").is_empty() {
        found.push(Cause::required("spec.externalName", ""));
    }
    let mut seen: Vec<(i64, &str)> = Vec::new();
    for (place, port) in ports.iter().enumerate() {
        let path = format!("spec.ports[{place}]");
        if text(port, "name").is_empty() && ports.len() > 1 {
            found.push(Cause::required(&format!("{path}.name"), ""));
        }
        port_number(at(port, "port"), &format!("{path}.port"), found);
        if number(port, "targetPort") != 0 {
            port_number(at(port, "targetPort"), &format!("{path}.targetPort"), found);
        }
        let own = (number(port, "port"), text(port, "protocol"));
        if seen.contains(&own) {
            let value = json!({"port": own.0, "protocol": own.1});
            found.push(Cause::duplicate(&path, &value));
        }
        seen.push(own);
        if number(port, "nodePort") != 0 && text(new, "spec.type") == "ClusterIP" {
            let why = "may not be used when `type` is 'ClusterIP'";
            found.push(Cause::forbidden(&format!("{path}.nodePort"), why));
        }
    }
}

fn claim(new: &Value, found: &mut Vec<Cause>) {
    if items(new, "spec.accessModes").is_empty() {
        found.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    let size = at(new, "spec.resources.requests.storage");
    if size.is_null() {
        found.push(Cause::required("spec.resources[storage]", ""));
    } else if crate::quantity::milli(size) <= 0 {
        found.push(Cause::invalid("spec.resources[storage]", size, "must be greater than zero"));
    }
}

fn autoscaler(new: &Value, found: &mut Vec<Cause>) {
    let (least, most) = (number(new, "spec.minReplicas"), number(new, "spec.maxReplicas"));
    if least < 1 {
        let why = "must be greater than or equal to 1";
        found.push(Cause::invalid("spec.minReplicas", at(new, "spec.minReplicas"), why));
    }
    if most < 1 && !at(new, "spec.maxReplicas").is_null() {
        found.push(Cause::invalid("spec.maxReplicas", at(new, "spec.maxReplicas"), "must be greater than 0"));
    } else if most < least && !at(new, "spec.maxReplicas").is_null() {
        let why = "must be greater than or equal to `minReplicas`";
        found.push(Cause::invalid("spec.maxReplicas", at(new, "spec.maxReplicas"), why));
    }
}

fn disruption_budget(new: &Value, found: &mut Vec<Cause>) {
    if !at(new, "spec.minAvailable").is_null() && !at(new, "spec.maxUnavailable").is_null() {
        let why = "minAvailable and maxUnavailable cannot be both set";
        found.push(Cause::invalid("spec", at(new, "spec"), why));
    }
}

fn ingress(new: &Value, found: &mut Vec<Cause>) {
    if items(new, "spec.rules").is_empty() && at(new, "spec.defaultBackend").is_null() {
        let why = "either `defaultBackend` or `rules` must be specified";
        found.push(Cause::invalid("spec", at(new, "spec"), why));
    }
}

/// Changes that the server does not allow.
fn immutable(kind: Kind, old: &Value, new: &Value, found: &mut Vec<Cause>) {
    let fixed: &[&str] = match kind {
        Kind::Deployment | Kind::ReplicaSet | Kind::DaemonSet => &["spec.selector"],
        Kind::Secret => &["type"],
        Kind::StorageClass => &["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"],
        Kind::RoleBinding | Kind::ClusterRoleBinding => &["roleRef"],
        _ => &[],
    };
    for path in fixed {
        if at(old, path) != at(new, path) {
            let why = if *path == "roleRef" { "cannot change roleRef" } else { "field is immutable" };
            found.push(Cause::invalid(path, at(new, path), why));
        }
    }
    match kind {
        Kind::ConfigMap | Kind::Secret if flag(old, "immutable") && at(old, "data") != at(new, "data") => {
            found.push(Cause::forbidden("data", "field is immutable when `immutable` is set"));
        }
        Kind::PersistentVolumeClaim => immutable_claim(old, new, found),
        Kind::Pod => immutable_pod(old, new, found),
        Kind::StatefulSet => {
            for path in
                ["spec.serviceName", "spec.selector", "spec.podManagementPolicy", "spec.volumeClaimTemplates"]
            {
                if at(old, path) != at(new, path) {
                    let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
                               'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
                               'minReadySeconds' are forbidden";
                    found.push(Cause::forbidden("spec", why));
                    break;
                }
            }
        }
        _ => {}
    }
}

fn immutable_claim(old: &Value, new: &Value, found: &mut Vec<Cause>) {
    let rest = |claim: &Value| {
        let mut spec = at(claim, "spec").clone();
        for field in ["resources", "volumeName", "volumeAttributesClassName"] {
            crate::value::remove(&mut spec, field);
        }
        spec
    };
    let size = |claim: &Value| crate::quantity::milli(at(claim, "spec.resources.requests.storage"));
    if rest(old) != rest(new) {
        let why = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                   bound claims";
        found.push(Cause::forbidden("spec", why));
    } else if size(new) < size(old) {
        let why = "field can not be less than status.capacity";
        found.push(Cause::forbidden("spec.resources.requests.storage", why));
    }
}

fn immutable_pod(old: &Value, new: &Value, found: &mut Vec<Cause>) {
    let rest = |pod: &Value| {
        let mut spec = at(pod, "spec").clone();
        for field in
            ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"]
        {
            crate::value::remove(&mut spec, field);
        }
        for field in ["containers", "initContainers"] {
            if let Some(containers) = spec.get_mut(field).and_then(Value::as_array_mut) {
                for container in containers {
                    crate::value::remove(container, "image");
                }
            }
        }
        spec
    };
    if rest(old) != rest(new) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,\
                   `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
                   existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                   previously negative)";
        found.push(Cause::forbidden("spec", why));
    }
}
