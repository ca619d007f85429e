//! Measures the cost of requests and the size of clusters:
//!
//! ```text
//! cargo run --release -p exokit-kube-sim --example measure
//! ```

#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use bytes::Bytes;
use exokit_kube_sim::{CloudAnswer, CloudCall, Cluster, Machine, Reply, Settings, User};
use serde_json::{Value, json};
use std::time::Instant;

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/default/deployments/web";

fn settings() -> Settings {
    Settings {
        seed: 1,
        version: "1.35.1".into(),
        zone: "ch-gva-2".into(),
        pod_start_ms: (1000, 3000),
        broken_images: vec![],
    }
}

fn machine(number: u32) -> Machine {
    Machine {
        id: format!("00000000-0000-4000-8000-{number:012}"),
        name: format!("node-{number}"),
        address: format!("203.0.113.{number}"),
        zone: "ch-gva-2".into(),
        instance_type: "standard.medium".into(),
        labels: [].into(),
        taints: vec![],
        cpus: 8,
        memory_bytes: 32 << 30,
        disk_gib: 50,
    }
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{
                        "name": "main", "image": image, "ports": [{"name": "http", "containerPort": 8080}],
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
                        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
                        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
                        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    }],
                },
            },
        },
    })
}

fn send(cluster: &mut Cluster, now: i64, method: &str, path: &str, kind: &str, body: &str) -> u16 {
    let user = User { name: "admin".into(), groups: vec!["system:masters".into()] };
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    let request = request.body(Bytes::from(body.to_owned())).expect("methods and paths are valid");
    match cluster.handle(now, &user, &request) {
        Reply::Whole(reply) => reply.status().as_u16(),
        Reply::Watch(_) => 200,
    }
}

fn size(cluster: &Cluster) -> usize {
    serde_json::to_vec(cluster).map_or(0, |bytes| bytes.len())
}

fn timed(what: &str, count: u32, mut step: impl FnMut(u32)) {
    let start = Instant::now();
    (0..count).for_each(&mut step);
    let each = start.elapsed() / count;
    println!("{what:<44} {:>8.1} µs", each.as_secs_f64() * 1e6);
}

/// The resident memory of this process in kB.
fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn main() {
    let mut now = 1_800_000_000_000;
    let before = resident_kb();
    let many: Vec<Cluster> = (0..1000).map(|_| Cluster::new(settings(), now)).collect();
    println!("memory of a fresh cluster: {} kB", (resident_kb() - before) / 1000);
    drop(many);
    timed("a fresh cluster", 200, |_| drop(Cluster::new(settings(), now)));
    let mut cluster = Cluster::new(settings(), now);
    println!("a fresh cluster, serialised: {} bytes", size(&cluster));
    (1..=3).for_each(|number| cluster.join(now, &machine(number)));
    let apply = format!("{DEPLOYMENT}?fieldManager=tester");
    let kind = "application/apply-patch+yaml";
    let body = deployment("nginx:1").to_string();
    assert_eq!(send(&mut cluster, now, "PATCH", &apply, kind, &body), 201);
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    });
    let services = "/api/v1/namespaces/default/services";
    assert_eq!(send(&mut cluster, now, "POST", services, "application/json", &service.to_string()), 201);
    for _ in 0..100 {
        now += 100;
        cluster.advance(now);
        for call in cluster.take_cloud_calls() {
            if let CloudCall::EnsureLoadBalancer { service_uid, .. } = call {
                cluster
                    .answer(now, CloudAnswer::LoadBalancer { service_uid, id: "a".into(), ip: "b".into() });
            }
        }
    }
    println!("a cluster with 3 pods, serialised: {} bytes", size(&cluster));
    assert_eq!(cluster.next_due_ms(), None, "it is settled");
    let pods = "/api/v1/namespaces/default/pods";
    timed("get deployment", 2000, |_| assert_eq!(send(&mut cluster, now, "GET", DEPLOYMENT, "", ""), 200));
    timed("list 3 pods", 2000, |_| assert_eq!(send(&mut cluster, now, "GET", pods, "", ""), 200));
    timed("apply deployment, nothing new", 2000, |_| {
        assert_eq!(send(&mut cluster, now, "PATCH", &apply, kind, &body), 200)
    });
    timed("apply deployment, new label, and controllers", 500, |step| {
        let mut body = deployment("nginx:1");
        body["metadata"]["labels"]["step"] = json!(step.to_string());
        now += 200;
        assert_eq!(send(&mut cluster, now, "PATCH", &apply, kind, &body.to_string()), 200);
    });
    timed("a whole rollout of 3 pods", 50, |step| {
        let body = deployment(&format!("nginx:{}", step + 2)).to_string();
        assert_eq!(send(&mut cluster, now, "PATCH", &apply, kind, &body), 200);
        now += 60_000;
        cluster.advance(now);
    });
    let maps = "/api/v1/namespaces/default/configmaps";
    timed("create config map", 1000, |step| {
        let body = json!({"metadata": {"name": format!("map-{step}")}, "data": {"a": "b"}}).to_string();
        assert_eq!(send(&mut cluster, now, "POST", maps, "application/json", &body), 201);
    });
    println!("after 50 rollouts and 1000 maps, serialised: {} bytes", size(&cluster));
}
