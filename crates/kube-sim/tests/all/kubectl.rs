//! The real kubectl against a served cluster. Without one on this machine the
//! test does nothing.

use crate::fixture::{machine, settings};
use crate::http;
use exokit_kube_sim::Cluster;
use std::process::Command;

const NOW: i64 = 1_800_000_000_000;

const MANIFEST: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: nginx:1.29
        ports: [{containerPort: 8080, name: http}]
        resources: {requests: {cpu: 100m, memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80, targetPort: http, name: http}]
"#;

/// Serves a fresh cluster with two nodes on a thread of its own.
fn serve() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut fast = settings();
            fast.pod_start_ms = (50, 200);
            let mut cluster = Cluster::new(fast, NOW);
            cluster.join(NOW, &machine(1));
            cluster.join(NOW, &machine(2));
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            http::Served::new(cluster, NOW).serve(listener).await;
        });
    });
    url
}

#[test]
fn kubectl_works_unmodified() {
    let programs = ["/usr/bin/kubectl", "/usr/local/bin/kubectl"];
    let Some(program) = programs.into_iter().find(|program| std::path::Path::new(program).exists()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("web.yaml");
    std::fs::write(&manifest, MANIFEST).unwrap();
    let url = serve();
    let manifest = manifest.to_str().unwrap();
    let apply = format!("apply -f {manifest}");
    let apply_server = format!("apply --server-side -f {manifest}");
    let delete = format!("delete -f {manifest} --timeout=20s");
    let cases: &[(&str, &[&str])] = &[
        ("version", &["Server Version"]),
        ("get nodes -o wide", &["node-1", "Ready", "v1.35.1", "203.0.113.1"]),
        (&apply, &["deployment.apps/web created", "service/web created"]),
        ("wait --for=condition=Available deployment/web --timeout=20s", &["condition met"]),
        ("rollout status deployment/web --timeout=20s", &["successfully rolled out"]),
        ("get deployments,pods,services", &["2/2", "Running", "LoadBalancer"]),
        ("get pods -o json", &["\"kind\": \"List\"", "\"phase\": \"Running\""]),
        ("get service web -o yaml", &["kind: Service", "ip: 198.51.100.7"]),
        ("describe deployment web", &["2 available", "NewReplicaSetAvailable"]),
        ("describe pods -l app=web", &["ReplicaSet/web-", "Ready", "nginx:1.29"]),
        ("describe node node-1", &["exoscale://", "Allocatable"]),
        (&apply, &["deployment.apps/web unchanged", "service/web unchanged"]),
        ("label deployment web tier=front", &["labeled"]),
        (&apply_server, &["deployment.apps/web serverside-applied"]),
        ("scale deployment web --replicas=3", &["scaled"]),
        ("auth can-i create deployments", &["yes"]),
        ("auth can-i create deployments --as=bob", &["no"]),
        ("get pods --as=bob", &["pods is forbidden: User \"bob\" cannot list resource \"pods\""]),
        (
            "logs deployment/web",
            &["the simulated cluster does not serve pods/log: containers do not run here"],
        ),
        ("get pods --watch --request-timeout=1s", &["web-"]),
        ("top nodes", &["node-1"]),
        ("create namespace team", &["namespace/team created"]),
        ("delete namespace team --timeout=20s", &["namespace \"team\" deleted"]),
        (&delete, &["deployment.apps \"web\" deleted", "service \"web\" deleted"]),
        ("wait --for=delete pod -l app=web --timeout=20s", &[]),
    ];
    for (arguments, expected) in cases {
        let output = Command::new(program)
            .args(["--server", &url, "--cache-dir", folder.path().to_str().unwrap()])
            .args(["--kubeconfig", "/dev/null"])
            .args(arguments.split(' '))
            .output()
            .unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        for part in *expected {
            assert!(text.contains(part), "kubectl {arguments}: no {part:?} in:\n{text}");
        }
    }
}
