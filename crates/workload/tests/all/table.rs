//! Every number of the table of templates stands in the objects.

use exokit_model::kind::Kind;
use serde_json::{Value, json};

use crate::environments::{Environment, container, list, shipped};

/// One column of the table.
struct Column {
    namespace: &'static str,
    service: &'static str,
    port: u16,
    node_port: u16,
    replicas: u32,
    /// Fewest and most replicas, and per cent of CPU and memory.
    autoscaling: Option<(u32, u32, u32, u32)>,
    limits: (&'static str, &'static str),
    requests: (&'static str, &'static str),
    min_available: Option<u32>,
    storage: Option<&'static str>,
    database: bool,
    bucket: bool,
    balanced: bool,
    hardened: bool,
}

const TABLE: [Column; 7] = [
    Column {
        namespace: "exo-stargate-test",
        service: "stargate",
        port: 5000,
        node_port: 30001,
        replicas: 1,
        autoscaling: None,
        limits: ("500m", "512Mi"),
        requests: ("100m", "128Mi"),
        min_available: None,
        storage: None,
        database: false,
        bucket: false,
        balanced: false,
        hardened: false,
    },
    Column {
        namespace: "exo-stargate-orch",
        service: "stargate-orch",
        port: 8080,
        node_port: 30002,
        replicas: 2,
        autoscaling: Some((2, 8, 65, 75)),
        limits: ("800m", "768Mi"),
        requests: ("150m", "256Mi"),
        min_available: Some(1),
        storage: None,
        database: true,
        bucket: false,
        balanced: true,
        hardened: false,
    },
    Column {
        namespace: "exo-stargate-store",
        service: "stargate-store",
        port: 5000,
        node_port: 30003,
        replicas: 2,
        autoscaling: Some((2, 6, 70, 80)),
        limits: ("1", "1Gi"),
        requests: ("200m", "256Mi"),
        min_available: Some(1),
        storage: Some("10Gi"),
        database: true,
        bucket: true,
        balanced: true,
        hardened: false,
    },
    Column {
        namespace: "exo-stargate-compute",
        service: "stargate-compute",
        port: 5000,
        node_port: 30004,
        replicas: 3,
        autoscaling: Some((2, 15, 60, 70)),
        limits: ("2", "4Gi"),
        requests: ("500m", "1Gi"),
        min_available: Some(2),
        storage: Some("100Gi"),
        database: true,
        bucket: true,
        balanced: true,
        hardened: false,
    },
    Column {
        namespace: "exo-stargate-security",
        service: "stargate-sec",
        port: 5000,
        node_port: 30005,
        replicas: 2,
        autoscaling: Some((2, 4, 75, 80)),
        limits: ("500m", "512Mi"),
        requests: ("100m", "128Mi"),
        min_available: Some(1),
        storage: None,
        database: false,
        bucket: false,
        balanced: true,
        hardened: true,
    },
    Column {
        namespace: "exo-stargate-obs",
        service: "stargate-obs",
        port: 3000,
        node_port: 30006,
        replicas: 2,
        autoscaling: Some((2, 6, 70, 75)),
        limits: ("1500m", "2Gi"),
        requests: ("300m", "512Mi"),
        min_available: Some(1),
        storage: Some("50Gi"),
        database: true,
        bucket: true,
        balanced: true,
        hardened: false,
    },
    Column {
        namespace: "exo-stargate-integration",
        service: "stargate-full",
        port: 5000,
        node_port: 30007,
        replicas: 3,
        autoscaling: Some((3, 20, 65, 75)),
        limits: ("1500m", "2Gi"),
        requests: ("300m", "512Mi"),
        min_available: Some(2),
        storage: Some("50Gi"),
        database: true,
        bucket: true,
        balanced: true,
        hardened: false,
    },
];

#[test]
fn every_number_of_the_table_stands_in_the_objects() {
    for (environment, column) in shipped().iter().zip(TABLE) {
        check_namespace(environment, &column);
        check_pods(environment, &column);
        check_ports(environment, &column);
        check_scaling(environment, &column);
        check_data(environment, &column);
    }
}

fn check_namespace(environment: &Environment, column: &Column) {
    assert_eq!(environment.at("namespace", "/metadata/name"), column.namespace);
    for object in &environment.objects {
        let expected = (object.kind != Kind::Namespace).then_some(column.namespace);
        assert_eq!(object.namespace.as_deref(), expected, "{}", object.key);
    }
}

fn check_pods(environment: &Environment, column: &Column) {
    let workload = environment.get("workload").unwrap();
    assert_eq!(workload.name, column.service);
    let container = container(workload);
    assert_eq!(container["image"], environment.spec.workload.image);
    assert_eq!(
        container["resources"],
        json!({
            "limits": {"cpu": column.limits.0, "memory": column.limits.1},
            "requests": {"cpu": column.requests.0, "memory": column.requests.1},
        })
    );
    assert_eq!(list(&container["ports"]).len(), 1);
    assert_eq!(container["ports"][0]["name"], "http");
    assert_eq!(container["ports"][0]["containerPort"], column.port);
    assert_eq!(container["env"][0], json!({"name": "PORT", "value": column.port.to_string()}));
}

fn check_ports(environment: &Environment, column: &Column) {
    assert_eq!(environment.get("service").unwrap().name, column.service);
    let spec = environment.at("service", "/spec");
    assert_eq!(spec["type"], if column.balanced { "LoadBalancer" } else { "NodePort" });
    assert_eq!(spec["externalTrafficPolicy"], "Cluster");
    let ports: Vec<(&str, &Value, &Value)> = list(&spec["ports"])
        .iter()
        .map(|port| (port["name"].as_str().unwrap(), &port["port"], &port["nodePort"]))
        .collect();
    let (own, node) = (json!(column.port), json!(column.node_port));
    let (tls, none) = (json!(443), Value::Null);
    let expected = match (column.balanced, column.hardened) {
        (false, _) => vec![("http", &own, &node)],
        (true, false) => vec![("plain", &own, &node), ("websecure", &tls, &none)],
        (true, true) => vec![("websecure", &tls, &node)],
    };
    assert_eq!(ports, expected, "{}", environment.name);
    assert_eq!(environment.of(Kind::Ingress).count(), usize::from(column.balanced));
    if column.balanced {
        assert_eq!(environment.at("pods-service", "/spec/ports/0/port"), &own);
    }
}

fn check_scaling(environment: &Environment, column: &Column) {
    let workload = environment.get("workload").unwrap();
    let Some((least, most, cpu, memory)) = column.autoscaling else {
        assert_eq!(workload.body["spec"]["replicas"], column.replicas);
        assert!(environment.get("autoscaler").is_none());
        assert!(environment.get("disruption-budget").is_none());
        return;
    };
    // A body with the number would fight with the autoscaler.
    assert_eq!(workload.body["spec"].get("replicas"), None);
    let at_least = &workload.body["metadata"]["annotations"]["stargate.io/replicas-at-least"];
    assert_eq!(*at_least, least.to_string());
    let scaler = environment.at("autoscaler", "/spec");
    assert_eq!((&scaler["minReplicas"], &scaler["maxReplicas"]), (&json!(least), &json!(most)));
    let metric = |at: usize| {
        let resource = &scaler["metrics"][at]["resource"];
        (resource["name"].clone(), resource["target"]["averageUtilization"].clone())
    };
    assert_eq!(metric(0), (json!("cpu"), json!(cpu)));
    assert_eq!(metric(1), (json!("memory"), json!(memory)));
    assert_eq!(
        scaler["scaleTargetRef"],
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": column.service})
    );
    assert_eq!(*environment.at("disruption-budget", "/spec/minAvailable"), json!(column.min_available));
}

fn check_data(environment: &Environment, column: &Column) {
    let workload = environment.get("workload").unwrap();
    let claim = environment.get("claim").map(|claim| &claim.body["spec"]);
    let size = claim.and_then(|claim| claim["resources"]["requests"]["storage"].as_str());
    assert_eq!(size, column.storage, "{}", environment.name);
    if let Some(claim) = claim {
        assert_eq!(claim["storageClassName"], "exoscale-sbs");
        assert_eq!(claim["accessModes"], json!(["ReadWriteOnce"]));
        let mounts = list(&container(workload)["volumeMounts"]);
        assert!(mounts.iter().any(|mount| mount["name"] == "data" && mount["mountPath"] == "/data"));
    }
    assert_eq!(environment.get("database-secret").is_some(), column.database);
    assert_eq!(environment.get("bucket-secret").is_some(), column.bucket);
}
