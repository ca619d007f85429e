//! The columns of the tables and their cells.

use crate::controllers::conditions::is_true;
use crate::kind::Kind;
use crate::time;
use crate::value::{at, entries, flag, is_deleting, items, name, number, text};
use serde_json::{Value, json};

/// Name, type and priority of a column, written as `+` for priority 1, `#` for
/// integers and the name. Columns of priority 1 are wide output.
pub(crate) type Column = (&'static str, &'static str, u8);

/// The columns of a kind.
pub(crate) fn columns(kind: Kind) -> Vec<Column> {
    let middle = match kind {
        Kind::Pod => "Ready|Status|Restarts|Age|+IP|+Node|+Nominated Node|+Readiness Gates",
        Kind::Deployment => "Ready|Up-to-date|Available|Age|+Containers|+Images|+Selector",
        Kind::ReplicaSet => "#Desired|#Current|#Ready|Age|+Containers|+Images|+Selector",
        Kind::DaemonSet => "#Desired|#Current|#Ready|#Up-to-date|#Available|Node Selector|Age",
        Kind::Service => "Type|Cluster-IP|External-IP|Port(s)|Age|+Selector",
        Kind::Node => {
            "Status|Roles|Age|Version|+Internal-IP|+External-IP|+OS-Image|+Kernel-Version|+Container-Runtime"
        }
        Kind::Namespace => "Status|Age",
        Kind::PersistentVolumeClaim => {
            "Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age|+VolumeMode"
        }
        Kind::PersistentVolume => "Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|Age",
        Kind::Ingress => "Class|Hosts|Address|Ports|Age",
        Kind::HorizontalPodAutoscaler => "Reference|Targets|MinPods|MaxPods|Replicas|Age",
        Kind::ConfigMap => "Data|Age",
        Kind::Secret => "Type|Data|Age",
        Kind::ServiceAccount => "Secrets|Age",
        _ => "Age",
    };
    let column = |word: &'static str| {
        let (word, priority) = word.strip_prefix('+').map_or((word, 0), |word| (word, 1));
        let (name, kind) = word.strip_prefix('#').map_or((word, "string"), |word| (word, "integer"));
        (name, kind, priority)
    };
    std::iter::once("Name").chain(middle.split('|')).map(column).collect()
}

/// The cells of an object.
pub(crate) fn cells(kind: Kind, object: &Value, now: i64) -> Vec<Value> {
    let age = age(object, now);
    let middle = match kind {
        Kind::Pod => return pod(object, &age),
        Kind::Deployment => return deployment(object, &age),
        Kind::ReplicaSet => return replica_set(object, &age),
        Kind::DaemonSet => daemon_set(object),
        Kind::Service => return service(object, &age),
        Kind::Node => return node(object, &age),
        Kind::Namespace => vec![json!(text(object, "status.phase"))],
        Kind::PersistentVolumeClaim => return claim(object, &age),
        Kind::PersistentVolume => volume(object),
        Kind::Ingress => ingress(object),
        Kind::HorizontalPodAutoscaler => autoscaler(object),
        Kind::ConfigMap => vec![json!(count(object, "data") + count(object, "binaryData"))],
        Kind::Secret => vec![json!(text(object, "type")), json!(count(object, "data"))],
        Kind::ServiceAccount => vec![json!(items(object, "secrets").len())],
        _ => Vec::new(),
    };
    let mut cells = vec![json!(name(object))];
    cells.extend(middle);
    cells.push(json!(age));
    cells
}

fn age(object: &Value, now: i64) -> String {
    match time::parse(text(object, "metadata.creationTimestamp")) {
        Some(created) => time::age(now - created),
        None => "<unknown>".to_owned(),
    }
}

fn count(object: &Value, path: &str) -> usize {
    entries(object, path).count()
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text.to_owned() }
}

/// A map as `a=b,c=d`.
fn pairs(map: &Value) -> String {
    let pairs: Vec<String> = map
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    or_none(&pairs.join(","))
}

fn containers(spec: &Value, field: &str) -> String {
    let texts: Vec<&str> = items(spec, "containers").iter().map(|container| text(container, field)).collect();
    texts.join(",")
}

fn pod_status(pod: &Value) -> String {
    if is_deleting(pod) {
        return "Terminating".to_owned();
    }
    let phase = text(pod, "status.phase");
    let statuses = items(pod, "status.containerStatuses");
    let waiting =
        statuses.iter().map(|status| text(status, "state.waiting.reason")).find(|reason| !reason.is_empty());
    let ended = statuses.iter().map(|s| text(s, "state.terminated.reason")).find(|reason| !reason.is_empty());
    waiting.or(ended).unwrap_or(phase).to_owned()
}

fn pod(object: &Value, age: &str) -> Vec<Value> {
    let statuses = items(object, "status.containerStatuses");
    let ready = statuses.iter().filter(|status| flag(status, "ready")).count();
    let restarts: i64 = statuses.iter().map(|status| number(status, "restartCount")).sum();
    vec![
        json!(name(object)),
        json!(format!("{ready}/{}", items(object, "spec.containers").len())),
        json!(pod_status(object)),
        json!(restarts.to_string()),
        json!(age),
        json!(or_none(text(object, "status.podIP"))),
        json!(or_none(text(object, "spec.nodeName"))),
        json!("<none>"),
        json!("<none>"),
    ]
}

fn deployment(object: &Value, age: &str) -> Vec<Value> {
    let spec = at(object, "spec.template.spec");
    vec![
        json!(name(object)),
        json!(format!("{}/{}", number(object, "status.readyReplicas"), number(object, "spec.replicas"))),
        json!(number(object, "status.updatedReplicas").to_string()),
        json!(number(object, "status.availableReplicas").to_string()),
        json!(age),
        json!(containers(spec, "name")),
        json!(containers(spec, "image")),
        json!(pairs(at(object, "spec.selector.matchLabels"))),
    ]
}

fn replica_set(object: &Value, age: &str) -> Vec<Value> {
    let spec = at(object, "spec.template.spec");
    vec![
        json!(name(object)),
        json!(number(object, "spec.replicas")),
        json!(number(object, "status.replicas")),
        json!(number(object, "status.readyReplicas")),
        json!(age),
        json!(containers(spec, "name")),
        json!(containers(spec, "image")),
        json!(pairs(at(object, "spec.selector.matchLabels"))),
    ]
}

fn daemon_set(object: &Value) -> Vec<Value> {
    let counts = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let mut cells: Vec<Value> =
        counts.iter().map(|field| json!(number(object, &format!("status.{field}")))).collect();
    cells.push(json!(pairs(at(object, "spec.template.spec.nodeSelector"))));
    cells
}

fn service(object: &Value, age: &str) -> Vec<Value> {
    let kind = text(object, "spec.type");
    let addresses: Vec<&str> =
        items(object, "status.loadBalancer.ingress").iter().map(|ingress| text(ingress, "ip")).collect();
    let external = match kind {
        "LoadBalancer" if addresses.is_empty() => "<pending>".to_owned(),
        "LoadBalancer" => addresses.join(","),
        "ExternalName" => text(object, "spec.externalName").to_owned(),
        _ => "<none>".to_owned(),
    };
    let ports: Vec<String> = items(object, "spec.ports")
        .iter()
        .map(|port| match number(port, "nodePort") {
            0 => format!("{}/{}", number(port, "port"), text(port, "protocol")),
            node_port => format!("{}:{node_port}/{}", number(port, "port"), text(port, "protocol")),
        })
        .collect();
    vec![
        json!(name(object)),
        json!(kind),
        json!(or_none(text(object, "spec.clusterIP"))),
        json!(external),
        json!(or_none(&ports.join(","))),
        json!(age),
        json!(pairs(at(object, "spec.selector"))),
    ]
}

fn node(object: &Value, age: &str) -> Vec<Value> {
    let mut status = if is_true(object, "Ready") { "Ready" } else { "NotReady" }.to_owned();
    if flag(object, "spec.unschedulable") {
        status.push_str(",SchedulingDisabled");
    }
    let roles: Vec<&str> = entries(object, "metadata.labels")
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    let address = |kind: &str| {
        let found = items(object, "status.addresses").iter().find(|address| text(address, "type") == kind);
        or_none(found.map_or("", |address| text(address, "address")))
    };
    let info = at(object, "status.nodeInfo");
    vec![
        json!(name(object)),
        json!(status),
        json!(or_none(&roles.join(","))),
        json!(age),
        json!(text(info, "kubeletVersion")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(text(info, "osImage")),
        json!(text(info, "kernelVersion")),
        json!(text(info, "containerRuntimeVersion")),
    ]
}

fn access_modes(list: &[Value]) -> String {
    let short = |mode: &Value| match mode.as_str().unwrap_or_default() {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => "",
    };
    let modes: Vec<&str> = list.iter().map(short).collect();
    modes.join(",")
}

fn claim(object: &Value, age: &str) -> Vec<Value> {
    let status = if is_deleting(object) { "Terminating" } else { text(object, "status.phase") };
    vec![
        json!(name(object)),
        json!(status),
        json!(text(object, "spec.volumeName")),
        json!(text(object, "status.capacity.storage")),
        json!(access_modes(items(object, "status.accessModes"))),
        json!(text(object, "spec.storageClassName")),
        json!("<unset>"),
        json!(age),
        json!(text(object, "spec.volumeMode")),
    ]
}

fn volume(object: &Value) -> Vec<Value> {
    let claim = at(object, "spec.claimRef");
    let status = if is_deleting(object) { "Terminating" } else { text(object, "status.phase") };
    let claim = match claim.is_null() {
        true => String::new(),
        false => format!("{}/{}", text(claim, "namespace"), text(claim, "name")),
    };
    vec![
        json!(text(object, "spec.capacity.storage")),
        json!(access_modes(items(object, "spec.accessModes"))),
        json!(text(object, "spec.persistentVolumeReclaimPolicy")),
        json!(status),
        json!(claim),
        json!(text(object, "spec.storageClassName")),
    ]
}

fn ingress(object: &Value) -> Vec<Value> {
    let hosts: Vec<&str> = items(object, "spec.rules")
        .iter()
        .map(|rule| match text(rule, "host") {
            "" => "*",
            host => host,
        })
        .collect();
    let addresses: Vec<&str> =
        items(object, "status.loadBalancer.ingress").iter().map(|ingress| text(ingress, "ip")).collect();
    let ports = if items(object, "spec.tls").is_empty() { "80" } else { "80, 443" };
    let hosts = if hosts.is_empty() { "*".to_owned() } else { hosts.join(",") };
    vec![
        json!(or_none(text(object, "spec.ingressClassName"))),
        json!(hosts),
        json!(addresses.join(",")),
        json!(ports),
    ]
}

fn autoscaler(object: &Value) -> Vec<Value> {
    let reference = at(object, "spec.scaleTargetRef");
    let targets: Vec<String> = items(object, "spec.metrics")
        .iter()
        .map(|metric| {
            let resource = text(metric, "resource.name");
            let current = items(object, "status.currentMetrics")
                .iter()
                .find(|current| text(current, "resource.name") == resource)
                .map(|current| at(current, "resource.current"));
            let shown = |value: Option<&Value>, field: &str| match value.map(|value| at(value, field)) {
                Some(Value::Number(number)) => format!("{number}%"),
                Some(Value::String(text)) => text.clone(),
                _ => "<unknown>".to_owned(),
            };
            let target = at(metric, "resource.target");
            let field = if at(target, "averageUtilization").is_null() {
                "averageValue"
            } else {
                "averageUtilization"
            };
            format!("{resource}: {}/{}", shown(current, field), shown(Some(target), field))
        })
        .collect();
    vec![
        json!(format!("{}/{}", text(reference, "kind"), text(reference, "name"))),
        json!(or_none(&targets.join(", "))),
        json!(number(object, "spec.minReplicas").to_string()),
        json!(number(object, "spec.maxReplicas").to_string()),
        json!(number(object, "status.currentReplicas").to_string()),
    ]
}
