//! Default values that the server writes into objects.

use crate::kind::Kind;
use crate::value::{at, flag, items, list, number, place, set, set_default, text};
use serde_json::{Value, json};

/// Fills in the defaults of a kind.
pub(crate) fn apply(kind: Kind, object: &mut Value) {
    match kind {
        Kind::Pod => {
            set_default(object, "spec.enableServiceLinks", true);
            pod_spec(place(object, "spec"));
        }
        Kind::Deployment => deployment(object),
        Kind::ReplicaSet => {
            set_default(object, "spec.replicas", 1);
            template(object);
        }
        Kind::DaemonSet => daemon_set(object),
        Kind::StatefulSet => stateful_set(object),
        Kind::Service => service(object),
        Kind::PersistentVolumeClaim => set_default(object, "spec.volumeMode", "Filesystem"),
        Kind::PersistentVolume => {
            set_default(object, "spec.volumeMode", "Filesystem");
            set_default(object, "spec.persistentVolumeReclaimPolicy", "Retain");
        }
        Kind::HorizontalPodAutoscaler => autoscaler(object),
        Kind::Secret => set_default(object, "type", "Opaque"),
        Kind::StorageClass => {
            set_default(object, "reclaimPolicy", "Delete");
            set_default(object, "volumeBindingMode", "Immediate");
        }
        Kind::IngressClass if at(object, "spec.parameters").is_object() => {
            set_default(object, "spec.parameters.scope", "Cluster");
        }
        Kind::NetworkPolicy => network_policy(object),
        Kind::RoleBinding | Kind::ClusterRoleBinding => binding(object),
        Kind::LimitRange => crate::admission::limit_range::defaults(object),
        Kind::CsiDriver => csi_driver(object),
        Kind::PodDisruptionBudget if at(object, "spec.minAvailable").is_null() => {
            set_default(object, "spec.maxUnavailable", 1);
        }
        _ => {}
    }
    if kind == Kind::Deployment || kind == Kind::ReplicaSet || kind == Kind::DaemonSet {
        remove_null_timestamps(object);
    }
}

fn remove_null_timestamps(object: &mut Value) {
    let metadata = place(object, "spec.template.metadata");
    if at(metadata, "creationTimestamp").is_null() {
        crate::value::remove(metadata, "creationTimestamp");
    }
}

fn template(object: &mut Value) {
    if !at(object, "spec.template").is_null() {
        pod_spec(place(object, "spec.template.spec"));
    }
}

fn deployment(object: &mut Value) {
    set_default(object, "spec.replicas", 1);
    set_default(object, "spec.revisionHistoryLimit", 10);
    set_default(object, "spec.progressDeadlineSeconds", 600);
    set_default(object, "spec.strategy.type", "RollingUpdate");
    if text(object, "spec.strategy.type") == "RollingUpdate" {
        set_default(object, "spec.strategy.rollingUpdate.maxSurge", "25%");
        set_default(object, "spec.strategy.rollingUpdate.maxUnavailable", "25%");
    }
    template(object);
}

fn daemon_set(object: &mut Value) {
    set_default(object, "spec.revisionHistoryLimit", 10);
    set_default(object, "spec.updateStrategy.type", "RollingUpdate");
    if text(object, "spec.updateStrategy.type") == "RollingUpdate" {
        set_default(object, "spec.updateStrategy.rollingUpdate.maxSurge", 0);
        set_default(object, "spec.updateStrategy.rollingUpdate.maxUnavailable", 1);
    }
    template(object);
}

fn stateful_set(object: &mut Value) {
    set_default(object, "spec.replicas", 1);
    set_default(object, "spec.revisionHistoryLimit", 10);
    set_default(object, "spec.podManagementPolicy", "OrderedReady");
    set_default(object, "spec.updateStrategy.type", "RollingUpdate");
    if text(object, "spec.updateStrategy.type") == "RollingUpdate" {
        set_default(object, "spec.updateStrategy.rollingUpdate.partition", 0);
        set_default(object, "spec.updateStrategy.rollingUpdate.maxUnavailable", 1);
    }
    for event in ["whenDeleted", "whenScaled"] {
        set_default(object, &format!("spec.persistentVolumeClaimRetentionPolicy.{event}"), "Retain");
    }
    template(object);
}

/// Defaults of the spec of a pod.
pub(crate) fn pod_spec(spec: &mut Value) {
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("terminationGracePeriodSeconds", json!(30)),
    ] {
        set_default(spec, field, value);
    }
    if at(spec, "securityContext").is_null() {
        set(spec, "securityContext", json!({}));
    }
    if text(spec, "serviceAccountName").is_empty() && !text(spec, "serviceAccount").is_empty() {
        // The name of this field before it got a new one.
        let account = text(spec, "serviceAccount").to_owned();
        set(spec, "serviceAccountName", account);
    }
    if !text(spec, "serviceAccountName").is_empty() {
        let account = text(spec, "serviceAccountName").to_owned();
        set(spec, "serviceAccount", account);
    }
    let host_network = flag(spec, "hostNetwork");
    for field in ["containers", "initContainers"] {
        if !items(spec, field).is_empty() {
            list(place(spec, field)).iter_mut().for_each(|c| container(c, host_network));
        }
    }
    if !items(spec, "volumes").is_empty() {
        list(place(spec, "volumes")).iter_mut().for_each(volume);
    }
}

fn container(container: &mut Value, host_network: bool) {
    if !container.is_object() {
        return;
    }
    set_default(container, "terminationMessagePath", "/dev/termination-log");
    set_default(container, "terminationMessagePolicy", "File");
    let policy = if is_latest(text(container, "image")) { "Always" } else { "IfNotPresent" };
    set_default(container, "imagePullPolicy", policy);
    set_default(container, "resources", json!({}));
    if !items(container, "ports").is_empty() {
        for port in list(place(container, "ports")) {
            set_default(port, "protocol", "TCP");
            if host_network {
                let own = at(port, "containerPort").clone();
                set_default(port, "hostPort", own);
            }
        }
    }
    for hook in ["lifecycle.preStop.httpGet", "lifecycle.postStart.httpGet"] {
        if at(container, hook).is_object() {
            http_get(place(container, hook));
        }
    }
    if !items(container, "env").is_empty() {
        for variable in list(place(container, "env")) {
            if at(variable, "valueFrom.fieldRef").is_object() {
                set_default(variable, "valueFrom.fieldRef.apiVersion", "v1");
            }
        }
    }
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if at(container, field).is_object() {
            probe(place(container, field));
        }
    }
    requests_from_limits(container);
}

fn requests_from_limits(container: &mut Value) {
    let limits = at(container, "resources.limits").clone();
    for (resource, amount) in limits.as_object().into_iter().flatten() {
        let requests = crate::value::object(place(container, "resources.requests"));
        requests.entry(resource.as_str()).or_insert_with(|| amount.clone());
    }
}

fn is_latest(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    !image.contains('@') && (!last.contains(':') || last.ends_with(":latest"))
}

fn probe(probe: &mut Value) {
    for (field, value) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        if number(probe, field) == 0 {
            set(probe, field, value);
        }
    }
    if at(probe, "httpGet").is_object() {
        http_get(place(probe, "httpGet"));
    }
}

fn http_get(action: &mut Value) {
    set_default(action, "scheme", "HTTP");
    set_default(action, "path", "/");
}

fn volume(volume: &mut Value) {
    for (field, path) in [
        ("configMap", "configMap.defaultMode"),
        ("secret", "secret.defaultMode"),
        ("projected", "projected.defaultMode"),
        ("downwardAPI", "downwardAPI.defaultMode"),
    ] {
        if at(volume, field).is_object() {
            set_default(volume, path, 420);
        }
    }
    if at(volume, "hostPath").is_object() {
        set_default(volume, "hostPath.type", "");
    }
    let has_source = volume.as_object().is_some_and(|fields| fields.keys().any(|field| field != "name"));
    if !has_source {
        set(volume, "emptyDir", json!({}));
    }
}

fn service(object: &mut Value) {
    set_default(object, "spec.type", "ClusterIP");
    set_default(object, "spec.sessionAffinity", "None");
    let kind = text(object, "spec.type").to_owned();
    if kind != "ExternalName" {
        set_default(object, "spec.internalTrafficPolicy", "Cluster");
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        set_default(object, "spec.externalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set_default(object, "spec.allocateLoadBalancerNodePorts", true);
    }
    if text(object, "spec.sessionAffinity") == "ClientIP" {
        set_default(object, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", 10_800);
    }
    if !items(object, "spec.ports").is_empty() {
        for port in list(place(object, "spec.ports")) {
            set_default(port, "protocol", "TCP");
            let own = at(port, "port").clone();
            set_default(port, "targetPort", own);
        }
    }
}

fn autoscaler(object: &mut Value) {
    set_default(object, "spec.minReplicas", 1);
    if items(object, "spec.metrics").is_empty() {
        let metric = json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80},
        }});
        set(object, "spec.metrics", json!([metric]));
    }
}

fn network_policy(object: &mut Value) {
    if items(object, "spec.policyTypes").is_empty() {
        let types: &[&str] =
            if at(object, "spec.egress").is_null() { &["Ingress"] } else { &["Ingress", "Egress"] };
        set(object, "spec.policyTypes", json!(types));
    }
    for direction in ["spec.ingress", "spec.egress"] {
        if items(object, direction).is_empty() {
            continue;
        }
        for rule in list(place(object, direction)) {
            if !items(rule, "ports").is_empty() {
                list(place(rule, "ports")).iter_mut().for_each(|port| set_default(port, "protocol", "TCP"));
            }
        }
    }
}

fn binding(object: &mut Value) {
    set_default(object, "roleRef.apiGroup", "rbac.authorization.k8s.io");
    if items(object, "subjects").is_empty() {
        return;
    }
    for subject in list(place(object, "subjects")) {
        if text(subject, "kind") != "ServiceAccount" {
            set_default(subject, "apiGroup", "rbac.authorization.k8s.io");
        }
    }
}

fn csi_driver(object: &mut Value) {
    for (field, value) in [
        ("spec.attachRequired", json!(true)),
        ("spec.fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
        ("spec.podInfoOnMount", json!(false)),
        ("spec.requiresRepublish", json!(false)),
        ("spec.storageCapacity", json!(false)),
        ("spec.volumeLifecycleModes", json!(["Persistent"])),
    ] {
        set_default(object, field, value);
    }
}
