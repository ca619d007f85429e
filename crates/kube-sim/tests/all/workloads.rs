//! Deployments, pods, services and volumes over time.

use crate::fixture::{CLAIMS, DEPLOYMENTS, PODS, SERVICES, World, deployment, machine};
use exokit_kube_sim::CloudCall;
use serde_json::{Value, json};

fn service(kind: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"type": kind, "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    })
}

#[test]
fn a_deployment_becomes_available() {
    let mut world = World::with_nodes(2);
    let path = format!("{DEPLOYMENTS}/web");
    let got = world.apply(&path, &deployment("web", 2, "nginx:1"));
    assert_eq!(got.code, 201, "{}", got.body);
    assert_eq!(got.body["status"], json!({}));
    world.run(10_000);
    let got = world.get(&path);
    let status = &got.body["status"];
    for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"] {
        assert_eq!(status[field], 2, "{field}: {status}");
    }
    assert_eq!(status["observedGeneration"], got.body["metadata"]["generation"]);
    assert_eq!(world.conditions(&path), ["Progressing=True", "Available=True"]);
    let pods = world.get(PODS);
    let nodes: Vec<&str> = pods.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["spec"]["nodeName"].as_str().unwrap())
        .collect();
    assert_eq!(nodes.len(), 2);
    assert_ne!(nodes[0], nodes[1], "pods of one controller spread");
}

#[test]
fn a_rolling_update_never_loses_more_than_it_may() {
    let mut world = World::with_nodes(2);
    let path = format!("{DEPLOYMENTS}/web");
    world.apply(&path, &deployment("web", 4, "nginx:1"));
    world.run(10_000);
    world.apply(&path, &deployment("web", 4, "nginx:2"));
    let mut least = i64::MAX;
    for _ in 0..200 {
        world.run(100);
        least = least.min(world.get(&path).body["status"]["availableReplicas"].as_i64().unwrap_or(0));
    }
    assert_eq!(least, 3);
    let status = world.get(&path).body["status"].clone();
    assert_eq!(status["updatedReplicas"], 4, "{status}");
    assert_eq!(status["replicas"], 4, "{status}");
    let pods = world.get(PODS);
    for pod in pods.body["items"].as_array().unwrap() {
        assert_eq!(pod["spec"]["containers"][0]["image"], "nginx:2");
    }
}

#[test]
fn a_broken_image_keeps_the_old_pods_and_exceeds_its_deadline() {
    let mut world = World::with_nodes(2);
    let path = format!("{DEPLOYMENTS}/web");
    world.apply(&path, &deployment("web", 2, "nginx:1"));
    world.run(10_000);
    world.apply(&path, &deployment("web", 2, "broken/nginx:1"));
    world.run(700_000);
    let got = world.get(&path);
    assert_eq!(got.body["status"]["availableReplicas"], 2);
    assert_eq!(got.body["status"]["unavailableReplicas"], 1);
    let progressing = &got.body["status"]["conditions"][0];
    assert_eq!(progressing["reason"], "ProgressDeadlineExceeded", "{got}", got = got.body);
    let pods = world.get(PODS);
    let reasons: Vec<&Value> = pods.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"])
        .collect();
    assert!(reasons.contains(&&json!("ImagePullBackOff")), "{reasons:?}");
}

#[test]
fn a_load_balancer_comes_and_goes_with_its_service() {
    let mut world = World::new();
    assert_eq!(world.post(SERVICES, &service("LoadBalancer")).code, 201);
    world.run(10_000);
    assert_eq!(world.calls, [], "no node is ready");
    world.cluster.join(world.now, &machine(1));
    world.run(1000);
    let got = world.get(&format!("{SERVICES}/web"));
    let own = got.body["metadata"]["uid"].as_str().unwrap().to_owned();
    let node_port = u16::try_from(got.body["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).unwrap();
    let [CloudCall::EnsureLoadBalancer { service_uid, name, ports, .. }] = world.calls.as_slice() else {
        panic!("{:?}", world.calls);
    };
    assert_eq!(*service_uid, own);
    assert_eq!(*name, format!("k8s-{own}"));
    assert_eq!(
        (ports[0].port, ports[0].node_port, ports[0].name.clone()),
        (80, node_port, format!("{own}-80"))
    );
    assert_eq!(got.body["metadata"]["finalizers"], json!(["service.kubernetes.io/load-balancer-cleanup"]));
    world.run(10_000);
    let got = world.get(&format!("{SERVICES}/web"));
    assert_eq!(got.body["status"]["loadBalancer"]["ingress"][0]["ip"], "198.51.100.7");
    assert_eq!(
        got.body["metadata"]["annotations"]["service.beta.kubernetes.io/exoscale-loadbalancer-id"],
        "lb-1"
    );
    assert_eq!(world.cluster.http_answer(node_port, "198.51.100.7"), None);
    world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 1, "nginx:1"));
    world.run(10_000);
    let target = world.cluster.http_answer(node_port, "198.51.100.7").unwrap();
    assert_eq!((target.image.as_str(), target.port), ("nginx:1", 8080));
    assert_eq!(world.delete(&format!("{SERVICES}/web")).code, 200);
    world.run(1000);
    assert!(!world.get(&format!("{SERVICES}/web")).body["metadata"]["deletionTimestamp"].is_null());
    world.run(10_000);
    assert_eq!(world.get(&format!("{SERVICES}/web")).code, 404);
    assert_eq!(world.calls.last(), Some(&CloudCall::DeleteLoadBalancer { service_uid: own }));
}

#[test]
fn an_ingress_controller_passes_requests_on_to_where_ingresses_lead() {
    let mut world = World::with_nodes(1);
    let serves = |world: &mut World, name: &str, image: &str, kind: &str| {
        world.apply(&format!("{DEPLOYMENTS}/{name}"), &deployment(name, 1, image));
        let mut service = service(kind);
        service["metadata"]["name"] = json!(name);
        service["spec"]["selector"]["app"] = json!(name);
        assert_eq!(world.post(SERVICES, &service).code, 201);
    };
    serves(&mut world, "web", "hello-app:1.0", "ClusterIP");
    serves(&mut world, "entry", "docker.io/library/traefik:v3@sha256:00", "NodePort");
    world.run(30_000);
    let entry = world.get(&format!("{SERVICES}/entry")).body;
    let node_port = u16::try_from(entry["spec"]["ports"][0]["nodePort"].as_u64().unwrap()).unwrap();
    let answers = |world: &World, host: &str| world.cluster.http_answer(node_port, host).unwrap();
    assert!(answers(&world, "a.example").is_ingress_controller(), "no Ingress is about it");
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
        "spec": {"rules": [{
            "host": "a.example",
            "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
        }]},
    });
    let path = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
    assert_eq!(world.post(path, &ingress).code, 201);
    assert_eq!(answers(&world, "a.example").image, "hello-app:1.0");
    assert!(answers(&world, "b.example").is_ingress_controller());
}

#[test]
fn a_claim_is_provisioned_attached_and_reclaimed() {
    let mut world = World::with_nodes(1);
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "late"},
        "provisioner": "csi.exoscale.com", "volumeBindingMode": "WaitForFirstConsumer",
    });
    assert_eq!(world.post("/apis/storage.k8s.io/v1/storageclasses", &class).code, 201);
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "late",
            "resources": {"requests": {"storage": "10Gi"}},
        },
    });
    assert_eq!(world.post(CLAIMS, &claim).code, 201);
    world.run(10_000);
    assert_eq!(world.calls, [], "no pod uses the claim");
    let mut body = deployment("db", 1, "postgres:18");
    body["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]);
    world.apply(&format!("{DEPLOYMENTS}/db"), &body);
    world.run(30_000);
    let got = world.get(&format!("{CLAIMS}/data"));
    let own = got.body["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(got.body["status"]["phase"], "Bound");
    assert_eq!(
        world.calls,
        [
            CloudCall::CreateVolume { claim_uid: own.clone(), name: format!("pvc-{own}"), size_gib: 10 },
            CloudCall::AttachVolume { id: "volume-1".into(), machine: machine(1).id },
        ]
    );
    let volume = format!("/api/v1/persistentvolumes/pvc-{own}");
    assert_eq!(world.get(&volume).body["spec"]["csi"]["volumeHandle"], "ch-gva-2/volume-1");
    assert_eq!(world.conditions(&format!("{DEPLOYMENTS}/db")), ["Progressing=True", "Available=True"]);
    assert_eq!(world.delete(&format!("{CLAIMS}/data")).code, 200);
    world.run(10_000);
    assert_eq!(world.get(&format!("{CLAIMS}/data")).code, 200, "a pod uses the claim");
    world.delete(&format!("{DEPLOYMENTS}/db"));
    world.run(60_000);
    assert_eq!(world.get(&format!("{CLAIMS}/data")).code, 404);
    assert_eq!(world.get(&volume).code, 404);
    assert_eq!(
        world.calls[2..],
        [
            CloudCall::DetachVolume { id: "volume-1".into() },
            CloudCall::DeleteVolume { id: "volume-1".into() },
        ]
    );
}

#[test]
fn a_namespace_goes_with_everything_in_it() {
    let mut world = World::with_nodes(1);
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}});
    assert_eq!(world.post("/api/v1/namespaces", &space).code, 201);
    world.apply("/apis/apps/v1/namespaces/team/deployments/web", &deployment("web", 2, "nginx:1"));
    world.post("/api/v1/namespaces/team/services", &service("LoadBalancer"));
    world.run(20_000);
    assert_eq!(world.get("/api/v1/namespaces/team/serviceaccounts/default").code, 200);
    assert_eq!(world.get("/api/v1/namespaces/team/pods").body["items"].as_array().unwrap().len(), 2);
    assert_eq!(world.delete("/api/v1/namespaces/team").code, 200);
    world.run(100);
    let got = world.post("/api/v1/namespaces/team/configmaps", &json!({"metadata": {"name": "x"}}));
    assert_eq!(got.code, 403);
    assert_eq!(
        got.message(),
        "configmaps \"x\" is forbidden: unable to create new content in namespace team because it is being terminated"
    );
    world.run(30_000);
    assert_eq!(world.get("/api/v1/namespaces/team").code, 404);
    assert!(matches!(world.calls.last(), Some(CloudCall::DeleteLoadBalancer { .. })));
}
