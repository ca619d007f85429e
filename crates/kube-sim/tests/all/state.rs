//! Determinism, saving, and the cost of being idle.

use crate::fixture::{CLAIMS, DEPLOYMENTS, PODS, SERVICES, World, deployment, machine};
use exokit_kube_sim::{CloudAnswer, CloudCall, Cluster};
use serde_json::{Value, json};

fn script(world: &mut World) {
    world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 2, "nginx:1"));
    world.post(SERVICES, &json!({
        "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    }));
    world.run(2500);
}

#[test]
fn the_same_calls_give_the_same_state() {
    let states: Vec<String> = (0..2)
        .map(|_| {
            let mut world = World::with_nodes(2);
            script(&mut world);
            serde_json::to_string(&world.cluster).unwrap()
        })
        .collect();
    assert_eq!(states[0], states[1]);
}

#[test]
fn a_restored_cluster_continues_where_it_stopped() {
    let mut world = World::with_nodes(2);
    script(&mut world);
    let saved = serde_json::to_string(&world.cluster).unwrap();
    let mut restored: Cluster = serde_json::from_str(&saved).unwrap();
    let later = world.now + 60_000;
    world.cluster.advance(later);
    restored.advance(later);
    assert_eq!(serde_json::to_string(&restored).unwrap(), serde_json::to_string(&world.cluster).unwrap());
    assert_eq!(restored.next_due_ms(), world.cluster.next_due_ms());
}

#[test]
fn a_settled_cluster_has_nothing_to_do_and_is_small() {
    let world = World::new();
    assert_eq!(world.cluster.next_due_ms(), None);
    assert!(serde_json::to_vec(&world.cluster).unwrap().len() < 20_000);
    let mut world = World::with_nodes(2);
    script(&mut world);
    world.run(60_000);
    assert_eq!(world.cluster.next_due_ms(), None);
    for version in 0..30 {
        world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 2, &format!("nginx:{version}")));
        world.run(60_000);
    }
    let size = serde_json::to_vec(&world.cluster).unwrap().len();
    assert!(size < 100_000, "{size} bytes");
}

#[test]
fn a_call_to_the_cloud_that_fails_is_repeated_later_and_later() {
    let mut world = World::with_nodes(1);
    world.has_cloud = false;
    script(&mut world);
    let mut times = Vec::new();
    for _ in 0..8 {
        let [CloudCall::EnsureLoadBalancer { service_uid, .. }] = world.calls.as_slice() else {
            panic!("{:?}", world.calls);
        };
        let failed = CloudAnswer::Failed { subject: service_uid.clone(), message: "quota".into() };
        world.calls.clear();
        let start = world.now;
        world.cluster.answer(start, failed);
        while world.calls.is_empty() {
            world.run(1000);
        }
        times.push((world.now - start) / 1000);
    }
    assert_eq!(times, [10, 20, 40, 80, 160, 300, 300, 300]);
}

#[test]
fn a_load_balancer_follows_the_ports_of_its_service() {
    let mut world = World::with_nodes(1);
    script(&mut world);
    world.run(10_000);
    let ports = json!([
        {"op": "add", "path": "/spec/ports/0/name", "value": "a"},
        {"op": "add", "path": "/spec/ports/-", "value": {"name": "b", "port": 53, "protocol": "UDP"}},
    ]);
    assert_eq!(world.patch("json", &format!("{SERVICES}/web"), &ports).code, 200);
    world.run(10_000);
    let [_, CloudCall::EnsureLoadBalancer { ports, service_uid, .. }] = world.calls.as_slice() else {
        panic!("{:?}", world.calls);
    };
    let shown: Vec<(&str, &str, u16)> =
        ports.iter().map(|p| (p.name.as_str(), p.protocol.as_str(), p.port)).collect();
    assert_eq!(
        shown,
        [
            (format!("{service_uid}-80").as_str(), "tcp", 80),
            (format!("{service_uid}-53-udp").as_str(), "udp", 53)
        ]
    );
    let got = world.patch("merge", &format!("{SERVICES}/web"), &json!({"spec": {"type": "ClusterIP"}}));
    assert_eq!(got.code, 200, "{}", got.body);
    world.run(10_000);
    assert!(matches!(world.calls.last(), Some(CloudCall::DeleteLoadBalancer { .. })));
    let got = world.get(&format!("{SERVICES}/web")).body;
    assert_eq!(got["status"]["loadBalancer"], json!({}));
    assert!(got["metadata"].get("finalizers").is_none());
}

#[test]
fn a_volume_is_on_one_node_at_a_time() {
    let mut world = World::with_nodes(1);
    let claim = json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    world.post(CLAIMS, &claim);
    let pod = |name: &str, node: &str| -> Value {
        json!({
            "metadata": {"name": name},
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": node},
                "containers": [{"name": "main", "image": "x:1", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            },
        })
    };
    world.post(PODS, &pod("a", "node-1"));
    world.run(30_000);
    assert_eq!(world.get(&format!("{PODS}/a")).body["status"]["phase"], "Running");
    world.cluster.join(world.now, &machine(2));
    world.post(PODS, &pod("b", "node-2"));
    world.run(30_000);
    let waiting = world.get(&format!("{PODS}/b")).body;
    assert_eq!(waiting["spec"]["nodeName"], "node-2");
    assert_eq!(waiting["status"]["phase"], "Pending", "the volume is on the other node");
    world.delete(&format!("{PODS}/a"));
    world.run(30_000);
    assert_eq!(world.get(&format!("{PODS}/b")).body["status"]["phase"], "Running");
    let calls = &world.calls[world.calls.len() - 2..];
    assert!(
        matches!(calls, [CloudCall::DetachVolume { .. }, CloudCall::AttachVolume { machine: id, .. }] if *id == machine(2).id)
    );
}

#[test]
fn disruption_budgets_count_and_protect() {
    let mut world = World::with_nodes(2);
    world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 3, "nginx:1"));
    let path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget = json!({"metadata": {"name": "web"}, "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "web"}}}});
    assert_eq!(world.post(path, &budget).code, 201);
    world.run(10_000);
    let status = world.get(&format!("{path}/web")).body["status"].clone();
    for (field, count) in
        [("expectedPods", 3), ("currentHealthy", 3), ("desiredHealthy", 3), ("disruptionsAllowed", 0)]
    {
        assert_eq!(status[field], count, "{field}");
    }
    let name = world.get(PODS).body["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let evict = |world: &mut World| {
        world.post(&format!("{PODS}/{name}/eviction"), &json!({"metadata": {"name": name}})).code
    };
    assert_eq!(evict(&mut world), 429);
    world.patch(
        "merge",
        &format!("{path}/web"),
        &json!({"spec": {"minAvailable": null, "maxUnavailable": "34%"}}),
    );
    world.run(1000);
    let status = world.get(&format!("{path}/web")).body["status"].clone();
    assert_eq!((&status["desiredHealthy"], &status["disruptionsAllowed"]), (&json!(1), &json!(2)));
    assert_eq!(evict(&mut world), 201);
}

#[test]
fn an_autoscaler_reports_and_keeps_its_minimum() {
    let mut world = World::with_nodes(2);
    world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 1, "nginx:1"));
    let path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let autoscaler = json!({
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
        },
    });
    world.post(path, &autoscaler);
    world.run(20_000);
    let status = world.get(&format!("{path}/web")).body["status"].clone();
    assert_eq!((&status["currentReplicas"], &status["desiredReplicas"]), (&json!(2), &json!(2)), "{status}");
    assert_eq!(
        status["currentMetrics"][0]["resource"]["current"],
        json!({"averageUtilization": 50, "averageValue": "50m"})
    );
    let conditions = world.conditions(&format!("{path}/web"));
    assert_eq!(conditions, ["AbleToScale=True", "ScalingActive=True", "ScalingLimited=False"]);
}
