//! What the server writes into objects itself before it stores them.

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::value::{at, name, object, place, remove, set, set_default, text};
use serde_json::{Value, json};

/// Metadata that only the server writes.
const SYSTEM: [&str; 8] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "selfLink",
    "resourceVersion",
];

/// Counts the templates of a daemon set.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Removes metadata that clients cannot set.
pub(crate) fn clear_metadata(document: &mut Value) {
    let metadata = object(place(document, "metadata"));
    metadata.retain(|name, value| !SYSTEM.contains(&name.as_str()) && !value.is_null());
}

/// Forms what its writer manages of a new object.
pub(crate) fn before_track(kind: Kind, document: &mut Value) {
    if kind.info().has_status {
        remove(document, "status");
    }
    match kind {
        Kind::Namespace => {
            let own = name(document).to_owned();
            object(place(document, "metadata.labels"))
                .insert("kubernetes.io/metadata.name".to_owned(), json!(own));
        }
        Kind::Secret => encode_strings(document),
        _ => {}
    }
}

/// Writes empty lists as the store of the real server gives them back.
pub(crate) fn as_stored(kind: Kind, document: &mut Value) {
    let field = match kind {
        Kind::Role | Kind::ClusterRole => "rules",
        Kind::LimitRange => "spec.limits",
        _ => return,
    };
    if crate::value::items(document, field).is_empty() {
        set(document, field, Value::Null);
    }
}

/// Sets what a new object starts with.
pub(crate) fn before_create(cluster: &mut Cluster, kind: Kind, document: &mut Value) {
    match kind {
        Kind::Namespace => {
            set_default(document, "spec.finalizers", json!(["kubernetes"]));
            set(document, "status.phase", "Active");
        }
        Kind::Pod => cluster.prepare_pod(document),
        Kind::PersistentVolumeClaim => {
            if at(document, "spec.storageClassName").is_null() {
                let class = cluster.default_storage_class();
                if let Some(class) = class {
                    set(document, "spec.storageClassName", class);
                }
            }
            set(document, "metadata.finalizers", {
                let mut finalizers = at(document, "metadata.finalizers").clone();
                let list = crate::value::list(&mut finalizers);
                if !list.iter().any(|item| item == "kubernetes.io/pvc-protection") {
                    list.push(json!("kubernetes.io/pvc-protection"));
                }
                finalizers
            });
            set(document, "status.phase", "Pending");
        }
        Kind::PersistentVolume => set(document, "status.phase", "Pending"),
        Kind::Service => set(document, "status", json!({"loadBalancer": {}})),
        Kind::Ingress => set(document, "status", json!({"loadBalancer": {}})),
        Kind::HorizontalPodAutoscaler => {
            set(document, "status", json!({"currentMetrics": null, "desiredReplicas": 0}));
        }
        Kind::Deployment | Kind::ResourceQuota => set(document, "status", json!({})),
        Kind::ReplicaSet => set(document, "status", json!({"replicas": 0})),
        Kind::StatefulSet => {
            set_default(document, "spec.serviceName", "");
            set(document, "status", json!({"replicas": 0, "availableReplicas": 0}));
        }
        Kind::DaemonSet => {
            object(place(document, "metadata.annotations"))
                .insert(TEMPLATE_GENERATION.to_owned(), json!("1"));
            let counts =
                ["currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"];
            counts.iter().for_each(|count| set(document, &format!("status.{count}"), 0));
        }
        Kind::PodDisruptionBudget => {
            let counts = ["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"];
            counts.iter().for_each(|count| set(document, &format!("status.{count}"), 0));
        }
        _ => {}
    }
}

/// Keeps what an update cannot change: system metadata always, and all but the
/// status through the subresource `status` or the status otherwise.
pub(crate) fn before_update(
    kind: Kind,
    old: &Value,
    new: &mut Value,
    subresource: Option<&str>,
    is_applied: bool,
) {
    let managed = at(new, "metadata.managedFields").clone();
    if subresource == Some("status") {
        let status = new.get("status").cloned();
        *new = old.clone();
        match status {
            Some(status) => set(new, "status", status),
            None => {
                remove(new, "status");
            }
        }
    } else if kind.info().has_status {
        match old.get("status") {
            Some(status) => set(new, "status", status.clone()),
            None => {
                remove(new, "status");
            }
        }
    }
    if subresource == Some("finalize") {
        let finalizers = at(new, "spec.finalizers").clone();
        *new = old.clone();
        set(new, "spec.finalizers", finalizers);
    } else if kind == Kind::Namespace {
        let finalizers = at(old, "spec.finalizers").clone();
        set(new, "spec.finalizers", finalizers);
        let own = name(new).to_owned();
        object(place(new, "metadata.labels")).insert("kubernetes.io/metadata.name".to_owned(), json!(own));
    }
    let metadata = object(place(new, "metadata"));
    for field in &SYSTEM {
        match old.get("metadata").and_then(|metadata| metadata.get(field)) {
            Some(value) => metadata.insert((*field).to_owned(), value.clone()),
            None => metadata.remove(*field),
        };
    }
    // Apply has computed the managers already; an update does so later. An
    // update with one empty entry forgets them.
    if is_applied || !managed.is_null() {
        match managed.is_null() {
            true => drop(remove(new, "metadata.managedFields")),
            false => set(new, "metadata.managedFields", managed),
        }
    }
    if kind == Kind::Secret {
        encode_strings(new);
    }
    if kind == Kind::DaemonSet && subresource.is_none() {
        count_template(old, new);
    }
    if kind == Kind::Pod {
        set_default(new, "spec.nodeName", at(old, "spec.nodeName").clone());
        if at(new, "spec.nodeName").is_null() {
            remove(new, "spec.nodeName");
        }
    }
    if kind == Kind::PersistentVolumeClaim {
        keep_binding(old, new);
    }
    drop_empty_lists(new);
}

/// Keeps class and volume of a claim where an update leaves them out.
fn keep_binding(old: &Value, new: &mut Value) {
    for field in ["spec.storageClassName", "spec.volumeName"] {
        if text(new, field).is_empty() && !text(old, field).is_empty() {
            set(new, field, text(old, field));
        }
    }
}

/// Counts a new template of a daemon set.
fn count_template(old: &Value, new: &mut Value) {
    let annotation = at(old, "metadata.annotations").get(TEMPLATE_GENERATION).and_then(Value::as_str);
    let before: u64 = annotation.and_then(|text| text.parse().ok()).unwrap_or(1);
    let is_changed = at(old, "spec.template") != at(new, "spec.template");
    let generation = (before + u64::from(is_changed)).to_string();
    object(place(new, "metadata.annotations")).insert(TEMPLATE_GENERATION.to_owned(), json!(generation));
}

/// The typed server leaves out empty finalizers and owners.
fn drop_empty_lists(document: &mut Value) {
    let metadata = object(place(document, "metadata"));
    metadata.retain(|_, value| {
        !value.as_array().is_some_and(Vec::is_empty)
            && !value.as_object().is_some_and(serde_json::Map::is_empty)
    });
}

/// Moves `stringData` into `data`, encoded.
fn encode_strings(document: &mut Value) {
    let Some(strings) = remove(document, "stringData") else {
        return;
    };
    let data = object(place(document, "data"));
    for (key, value) in strings.as_object().into_iter().flatten() {
        data.insert(key.clone(), json!(base64(value.as_str().unwrap_or_default().as_bytes())));
    }
}

/// Bytes in base64, as JSON holds them.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
            let letter = LETTERS.get(index).copied().map_or('A', char::from);
            text.push(if place > chunk.len() { '=' } else { letter });
        }
    }
    text
}
