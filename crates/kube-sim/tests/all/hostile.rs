//! Requests with random nonsense in them: refused or carried out, but never a
//! panic, and the cluster still serves and saves afterwards.

use crate::fixture::{World, deployment};
use serde_json::{Value, json};

struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }

    fn junk(&mut self) -> Value {
        let all = [
            json!(null),
            json!(true),
            json!(-1),
            json!(i64::MAX),
            json!(i64::MIN),
            json!(2_147_483_647),
            json!(1.5e300),
            json!(""),
            json!("99999999999999999E"),
            json!("-5"),
            json!("1e18"),
            json!("200%"),
            json!("9999-12-31T23:59:59Z"),
            json!("-9999-01-01T00:00:00Z"),
            json!("a/b/c"),
            json!("\u{202e}ä\u{0}"),
            json!([]),
            json!([[]]),
            json!([null, 1, "a"]),
            json!({}),
            json!({"$patch": "delete"}),
            json!({"name": "main", "metadata": {"name": "x"}}),
            json!([{"name": "main"}, {"name": "main"}]),
            json!("ReadWriteOnce"),
        ];
        all[self.below(all.len())].clone()
    }

    /// Replaces, adds or removes something at a random place.
    fn mutate(&mut self, value: &mut Value) {
        let here = self.below(4) == 0;
        match value {
            Value::Object(map) if !map.is_empty() && !here => {
                let key = map.keys().nth(self.below(map.len())).unwrap().clone();
                match self.below(8) {
                    0 => drop(map.remove(&key)),
                    1 => drop(map.insert(key, self.junk())),
                    _ => self.mutate(map.get_mut(&key).unwrap()),
                }
            }
            Value::Array(items) if !items.is_empty() && !here => {
                let place = self.below(items.len());
                match self.below(6) {
                    0 => drop(items.remove(place)),
                    1 => items.push(items[place].clone()),
                    _ => self.mutate(&mut items[place]),
                }
            }
            other => *other = self.junk(),
        }
    }
}

fn seeds() -> Vec<(&'static str, Value)> {
    let mut rich = deployment("web", 2, "nginx:1");
    rich["metadata"]["annotations"] = json!({"deployment.kubernetes.io/revision": "9223372036854775807"});
    rich["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}});
    let template = &mut rich["spec"]["template"]["spec"];
    template["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "c", "configMap": {"name": "c"}}]);
    template["tolerations"] = json!([{"key": "a", "operator": "Exists"}]);
    template["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}},
    ]}});
    let pod = json!({"metadata": {"name": "web"}, "spec": rich["spec"]["template"]["spec"]});
    let mut daemon = rich.clone();
    daemon["kind"] = json!("DaemonSet");
    daemon["spec"].as_object_mut().unwrap().remove("replicas");
    vec![
        ("/apis/apps/v1/namespaces/default/deployments", rich),
        ("/apis/apps/v1/namespaces/default/daemonsets", daemon),
        ("/api/v1/namespaces/default/pods", pod),
        (
            "/api/v1/namespaces/default/services",
            json!({
                "metadata": {"name": "web"},
                "spec": {"type": "LoadBalancer", "selector": {"app": "web"}, "ports": [{"name": "a", "port": 80, "nodePort": 30080, "targetPort": "http"}]},
            }),
        ),
        (
            "/api/v1/namespaces/default/persistentvolumeclaims",
            json!({
                "metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }),
        ),
    ]
}

/// Objects about workloads and clusters.
fn more_seeds() -> Vec<(&'static str, Value)> {
    vec![
        (
            "/api/v1/namespaces/default/resourcequotas",
            json!({"metadata": {"name": "web"}, "spec": {"hard": {"pods": "50", "requests.cpu": "20"}}}),
        ),
        (
            "/api/v1/namespaces/default/limitranges",
            json!({
                "metadata": {"name": "web"}, "spec": {"limits": [{"type": "Container", "default": {"cpu": "100m"}, "max": {"cpu": "4"}}]},
            }),
        ),
        (
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            json!({
                "metadata": {"name": "web"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 1, "maxReplicas": 3,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 20}}}],
                },
            }),
        ),
        (
            "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
            json!({
                "metadata": {"name": "web"}, "spec": {"maxUnavailable": "30%", "selector": {"matchLabels": {"app": "web"}}},
            }),
        ),
        (
            "/api/v1/persistentvolumes",
            json!({
                "metadata": {"name": "web"},
                "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "csi": {"driver": "csi.exoscale.com", "volumeHandle": "z/v"}},
            }),
        ),
        (
            "/api/v1/nodes",
            json!({"metadata": {"name": "web"}, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
        ),
        ("/api/v1/namespaces", json!({"metadata": {"name": "web"}})),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            json!({"metadata": {"name": "web"}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
        ),
    ]
}

#[test]
fn nonsense_never_panics() {
    let mut seeds = seeds();
    seeds.extend(more_seeds());
    let patches = ["apply-patch+yaml", "merge-patch+json", "strategic-merge-patch+json", "json-patch+json"];
    for round in [0, 1, 2, 3, 4, 5, 6, 7, 554] {
        let mut rng = Rng(round);
        let mut world = World::with_nodes(2);
        for _ in 0..150 {
            let (path, seed) = &seeds[rng.below(seeds.len())];
            let mut body = seed.clone();
            for _ in 0..rng.below(4) {
                rng.mutate(&mut body);
            }
            let one = format!("{path}/web");
            let sub = ["", "", "", "/status", "/scale", "/eviction"][rng.below(6)];
            let text = body.to_string();
            let got = match rng.below(8) {
                0 => world.post(path, &body),
                1 => world.put(&format!("{one}{sub}"), &body),
                2 => world.request("DELETE", &one, &[("content-type", "application/json")], &text),
                3 => world.get(path),
                _ => {
                    let content = format!("application/{}", patches[rng.below(4)]);
                    let path =
                        format!("{one}{sub}?fieldManager=m{}&force={}", rng.below(3), rng.below(2) == 0);
                    world.request("PATCH", &path, &[("content-type", &content)], &text)
                }
            };
            assert!(got.code < 600 && (got.code != 500 || !got.message().is_empty()), "{}", got.body);
            world.run(i64::try_from(rng.below(3000)).unwrap());
        }
        world.run(600_000);
        let saved = serde_json::to_string(&world.cluster).unwrap();
        let restored: exokit_kube_sim::Cluster = serde_json::from_str(&saved).unwrap();
        assert_eq!(serde_json::to_string(&restored).unwrap(), saved);
        assert!(world.calls.len() < 5000, "the cloud is not flooded");
    }
}
