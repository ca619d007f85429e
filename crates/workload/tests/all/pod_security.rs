//! Pods satisfy the Pod Security level of their namespace.
//!
//! The check follows the Pod Security Standards of Kubernetes, level
//! restricted, which includes level baseline.

use exokit_model::kind::Kind;
use serde_json::{Value, json};

use crate::environments::{all, changed, container, list, pod};

/// Sources of volumes that the restricted level allows.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What a pod does that the restricted level forbids.
fn violations(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut forbid = |is_so: bool, what: &str| {
        if is_so {
            found.push(what.to_owned());
        }
    };
    let spec = &pod["spec"];
    let security = &spec["securityContext"];
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        forbid(spec.get(host).is_some_and(|value| *value == true), host);
    }
    for volume in list(&spec["volumes"]) {
        let mut sources = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        forbid(!sources.all(|source| VOLUMES.contains(&source.as_str())), "a volume of a forbidden sort");
    }
    let safe = |sysctl: &Value| sysctl["name"] == "net.ipv4.ip_unprivileged_port_start";
    forbid(!list(&security["sysctls"]).iter().all(safe), "sysctls");
    for field in ["seLinuxOptions", "appArmorProfile", "windowsOptions"] {
        forbid(security.get(field).is_some(), field);
    }
    for list_name in ["containers", "initContainers", "ephemeralContainers"] {
        for container in list(&spec[list_name]) {
            let own = &container["securityContext"];
            let either = |field: &str| own.get(field).or_else(|| security.get(field)).unwrap_or(&Value::Null);
            forbid(own.get("privileged").is_some_and(|value| *value == true), "privileged");
            forbid(own["allowPrivilegeEscalation"] != false, "allowPrivilegeEscalation");
            forbid(own["capabilities"]["drop"] != json!(["ALL"]), "capabilities are kept");
            let added = list(&own["capabilities"]["add"]);
            forbid(!added.iter().all(|name| name == "NET_BIND_SERVICE"), "capabilities are added");
            forbid(*either("runAsNonRoot") != true, "runAsNonRoot");
            forbid(*either("runAsUser") == 0, "runAsUser");
            let seccomp = &either("seccompProfile")["type"];
            forbid(*seccomp != "RuntimeDefault" && *seccomp != "Localhost", "seccompProfile");
            forbid(own.get("procMount").is_some_and(|value| *value != "Default"), "procMount");
            forbid(own.get("seLinuxOptions").is_some(), "seLinuxOptions");
            let ports = list(&container["ports"]);
            forbid(ports.iter().any(|port| port.get("hostPort").is_some()), "hostPort");
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                for action in ["httpGet", "tcpSocket"] {
                    forbid(container[probe][action].get("host").is_some(), "a probe of another host");
                }
            }
        }
    }
    found
}

#[test]
fn pods_satisfy_the_level_of_their_namespace_and_the_strictest() {
    for environment in all() {
        let labels = environment.at("namespace", "/metadata/labels");
        let level = |mode: &str| labels[&format!("pod-security.kubernetes.io/{mode}")].as_str().unwrap();
        let expected = if environment.spec.hardened { "restricted" } else { "baseline" };
        assert_eq!([level("enforce"), level("warn"), level("audit")], [expected, "restricted", "restricted"]);
        for deployment in environment.of(Kind::Deployment) {
            let none: [&str; 0] = [];
            assert_eq!(violations(pod(deployment)), none, "{}: {}", environment.name, deployment.key);
        }
    }
}

#[test]
fn a_workload_may_listen_on_a_low_port() {
    let low = changed("T5", "T5", |spec| spec.workload.port = 80);
    let sysctls = low.at("workload", "/spec/template/spec/securityContext/sysctls");
    assert_eq!(*sysctls, json!([{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]));
}

#[test]
fn the_check_finds_what_is_forbidden() {
    let environment = changed("T5", "T5", |_| {});
    let good = pod(environment.get("workload").unwrap());
    let spoil: [(&str, Value); 7] = [
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/spec/containers/0/securityContext/capabilities/drop", json!([])),
        ("/spec/securityContext/runAsNonRoot", json!(false)),
        ("/spec/securityContext/runAsUser", json!(0)),
        ("/spec/securityContext/seccompProfile/type", json!("Unconfined")),
        ("/spec/volumes/0", json!({"name": "host", "hostPath": {"path": "/"}})),
        ("/spec/containers/0/ports/0", json!({"containerPort": 1, "hostPort": 1})),
    ];
    for (pointer, value) in spoil {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert_eq!(violations(&bad).len(), 1, "{pointer}");
    }
}

#[test]
fn file_systems_are_read_only_but_for_volumes() {
    for environment in all() {
        for deployment in environment.of(Kind::Deployment) {
            let container = container(deployment);
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
            let mounts = list(&container["volumeMounts"]);
            assert!(mounts.iter().any(|mount| mount["mountPath"] == "/tmp"), "{}", deployment.key);
        }
    }
}
