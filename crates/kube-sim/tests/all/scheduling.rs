//! Nodes, and which pods run where.

use crate::fixture::{DEPLOYMENTS, PODS, World, deployment, machine};
use serde_json::{Value, json};

fn pod(spec: &Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "p", "labels": {"app": "p"}},
        "spec": {"containers": [{"name": "main", "image": "x:1"}]},
    });
    for (field, value) in spec.as_object().unwrap() {
        pod["spec"][field] = value.clone();
    }
    pod
}

/// The reason why the pod `p` is pending, empty if it runs.
fn obstacle(world: &mut World) -> String {
    let got = world.get(&format!("{PODS}/p")).body;
    if got["status"]["phase"] == "Running" {
        return String::new();
    }
    let conditions = got["status"]["conditions"].as_array().unwrap().clone();
    let scheduled = conditions.iter().find(|c| c["type"] == "PodScheduled").unwrap();
    assert_eq!(scheduled["status"], "False", "{got}");
    assert_eq!(scheduled["reason"], "Unschedulable");
    scheduled["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_node_looks_like_its_machine() {
    let mut world = World::with_nodes(1);
    let node = world.get("/api/v1/nodes/node-1").body;
    let id = machine(1).id;
    assert_eq!(node["spec"]["providerID"], format!("exoscale://{id}"));
    assert_eq!(node["status"]["nodeInfo"]["systemUUID"], json!(id));
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.35.1");
    assert_eq!(node["status"]["addresses"][0]["address"], "203.0.113.1");
    assert_eq!(node["status"]["capacity"]["cpu"], "2");
    let labels = &node["metadata"]["labels"];
    for (key, value) in [
        ("kubernetes.io/hostname", "node-1"),
        ("topology.kubernetes.io/zone", "ch-gva-2"),
        ("topology.csi.exoscale.com/zone", "ch-gva-2"),
        ("node.kubernetes.io/instance-type", "standard.medium"),
        ("pool", "a"),
    ] {
        assert_eq!(labels[key], value, "{key}");
    }
    assert!(world.conditions("/api/v1/nodes/node-1").contains(&"Ready=True".to_owned()));
    world.cluster.leave(world.now, &id);
    assert_eq!(world.get("/api/v1/nodes/node-1").code, 404);
}

#[test]
fn pods_that_fit_nowhere_wait_with_a_reason() {
    let limits =
        |cpu: &str| json!([{"name": "main", "image": "x:1", "resources": {"requests": {"cpu": cpu}}}]);
    let near = |key: &str| json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": key});
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let cases = [
        (json!({}), ""),
        (json!({"containers": limits("1")}), ""),
        (json!({"containers": limits("3")}), "2 Insufficient cpu"),
        (json!({"nodeSelector": {"pool": "b"}}), "2 node(s) didn't match Pod's node affinity/selector"),
        (json!({"nodeSelector": {"pool": "a"}}), ""),
        (
            json!({"affinity": {"nodeAffinity": {required: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "NotIn", "values": ["a"]}]}]}}}}),
            "didn't match Pod's node affinity",
        ),
        (
            json!({"affinity": {"podAntiAffinity": {required: [near("kubernetes.io/hostname")]}}}),
            "2 node(s) didn't match pod affinity/anti-affinity rules",
        ),
        (json!({"affinity": {"podAffinity": {required: [near("kubernetes.io/hostname")]}}}), ""),
    ];
    for (spec, reason) in cases {
        let mut world = World::with_nodes(2);
        world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 2, "nginx:1"));
        world.run(10_000);
        let got = world.post(PODS, &pod(&spec));
        assert_eq!(got.code, 201, "{}", got.body);
        world.run(5000);
        let message = obstacle(&mut world);
        assert!(message.contains(reason), "{spec}: {message}");
        assert_eq!(message.is_empty(), reason.is_empty(), "{spec}: {message}");
    }
}

#[test]
fn a_taint_keeps_pods_away_that_do_not_tolerate_it() {
    let mut world = World::new();
    let mut tainted = machine(1);
    tainted.taints = vec![("dedicated".into(), "db".into(), "NoSchedule".into())];
    world.cluster.join(world.now, &tainted);
    world.post(PODS, &pod(&json!({})));
    world.run(5000);
    assert!(obstacle(&mut world).contains("1 node(s) had untolerated taint(s) {dedicated: db}"));
    world.delete(&format!("{PODS}/p"));
    world.post(
        PODS,
        &pod(&json!({"tolerations": [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]})),
    );
    world.run(5000);
    assert_eq!(obstacle(&mut world), "");
}

#[test]
fn pending_pods_are_tried_again_when_a_node_joins_and_replaced_when_it_leaves() {
    let mut world = World::new();
    world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 1, "nginx:1"));
    world.run(5000);
    let pods = world.get(PODS);
    let pod = &pods.body["items"][0];
    assert_eq!(pod["status"]["conditions"][0]["message"], "no nodes available to schedule pods");
    world.cluster.join(world.now, &machine(1));
    world.run(5000);
    assert_eq!(world.get(PODS).body["items"][0]["spec"]["nodeName"], "node-1");
    world.cluster.join(world.now, &machine(2));
    world.cluster.leave(world.now, &machine(1).id);
    world.run(5000);
    let pods = world.get(PODS);
    assert_eq!(pods.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(pods.body["items"][0]["spec"]["nodeName"], "node-2");
    assert_eq!(pods.body["items"][0]["status"]["phase"], "Running");
}

#[test]
fn a_pod_that_names_its_node_needs_no_scheduler() {
    let mut world = World::with_nodes(2);
    world.post(PODS, &pod(&json!({"nodeName": "node-2"})));
    world.run(5000);
    assert_eq!(world.get(&format!("{PODS}/p")).body["status"]["phase"], "Running");
}

#[test]
fn a_daemon_set_has_a_pod_on_each_node() {
    let mut world = World::with_nodes(2);
    let mut body = deployment("agent", 1, "agent:1");
    body["kind"] = json!("DaemonSet");
    body["spec"].as_object_mut().unwrap().remove("replicas");
    let path = "/apis/apps/v1/namespaces/default/daemonsets/agent";
    assert_eq!(world.apply(path, &body).code, 201);
    world.run(10_000);
    let status = world.get(path).body["status"].clone();
    for field in [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "numberAvailable",
        "updatedNumberScheduled",
    ] {
        assert_eq!(status[field], 2, "{field}: {status}");
    }
    world.cluster.join(world.now, &machine(3));
    world.run(10_000);
    assert_eq!(world.get(path).body["status"]["numberReady"], 3);
    body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("agent:2");
    world.apply(path, &body);
    world.run(30_000);
    let pods = world.get(PODS);
    let images: Vec<&str> = pods.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["spec"]["containers"][0]["image"].as_str().unwrap())
        .collect();
    assert_eq!(images, ["agent:2"; 3]);
    world.delete(path);
    world.run(10_000);
    assert_eq!(world.get(PODS).body["items"], json!([]));
}

#[test]
fn pods_wait_for_configuration_and_finish_when_they_may() {
    let mut world = World::with_nodes(1);
    let env = json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}]);
    let spec =
        json!({"containers": [{"name": "main", "image": "x:1", "env": env}], "restartPolicy": "Never"});
    world.post(PODS, &pod(&spec));
    world.run(10_000);
    let got = world.get(&format!("{PODS}/p")).body;
    let waiting = &got["status"]["containerStatuses"][0]["state"]["waiting"];
    assert_eq!(waiting["reason"], "CreateContainerConfigError");
    assert_eq!(waiting["message"], "configmap \"settings\" not found");
    world.post("/api/v1/namespaces/default/configmaps", &json!({"metadata": {"name": "settings"}}));
    world.run(10_000);
    assert_eq!(world.get(&format!("{PODS}/p")).body["status"]["phase"], "Succeeded");
}
