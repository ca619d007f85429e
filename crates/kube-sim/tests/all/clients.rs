//! What clients rely on beside objects: discovery, tables, schemas, metrics.

use crate::fixture::{DEPLOYMENTS, PODS, World, deployment};
use bytes::Bytes;
use exokit_kube_sim::{Cluster, validate};
use serde_json::{Value, json};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

#[test]
fn discovery_names_all_resources() {
    let mut world = World::new();
    assert_eq!(world.get("/version").body["gitVersion"], "v1.35.1");
    assert_eq!(world.get("/version").body["minor"], "35");
    for path in ["/healthz", "/readyz", "/livez"] {
        assert_eq!(world.get(path).body, "ok");
    }
    assert_eq!(world.get("/api").body["versions"], json!(["v1"]));
    let groups = world.get("/apis").body;
    let names: Vec<&str> =
        groups["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    for group in ["apps", "autoscaling", "policy", "metrics.k8s.io", "authorization.k8s.io"] {
        assert!(names.contains(&group), "{group}");
        assert_eq!(world.get(&format!("/apis/{group}")).body["kind"], "APIGroup");
    }
    let core = world.get("/api/v1").body;
    let find = |name: &str| core["resources"].as_array().unwrap().iter().find(|r| r["name"] == name).cloned();
    let pods = find("pods").unwrap();
    assert_eq!(pods["shortNames"], json!(["po"]));
    assert_eq!(pods["namespaced"], true);
    assert!(pods["verbs"].as_array().unwrap().contains(&json!("watch")));
    assert_eq!(find("nodes").unwrap()["namespaced"], false);
    assert!(find("pods/status").is_some());
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
    let got = world.request("GET", "/apis", &[("accept", accept)], "").body;
    assert_eq!(got["kind"], "APIGroupDiscoveryList");
    let apps =
        got["items"].as_array().unwrap().iter().find(|g| g["metadata"]["name"] == "apps").unwrap().clone();
    let resources = apps["versions"][0]["resources"].as_array().unwrap().clone();
    let deployments = resources.iter().find(|r| r["resource"] == "deployments").unwrap();
    assert_eq!(deployments["scope"], "Namespaced");
    assert_eq!(deployments["subresources"][0]["subresource"], "scale");
}

#[test]
fn schemas_are_served_as_far_as_kubectl_needs() {
    let mut world = World::new();
    let index = world.get("/openapi/v3").body;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&url).body["openapi"], "3.0.0");
    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let got = world.request("GET", "/openapi/v2", &[("accept", accept)], "");
    let text = got.body.as_str().unwrap();
    assert!(text.starts_with("\n\u{3}2.0\u{12}\u{10}\n\nKubernetes\u{12}\u{2}v1"));
    let document = world.get("/openapi/v2").body;
    let mut names = document["definitions"].as_object().unwrap().keys();
    assert!(names.all(|name| text.contains(name)));
}

#[test]
fn custom_resources_are_listed_and_not_defined() {
    let mut world = World::new();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let got = world.get(path);
    assert_eq!((got.code, &got.body["items"]), (200, &json!([])));
    for (method, path) in [("POST", path), ("GET", &format!("{path}/gizmos.example.org"))] {
        assert_eq!(world.request(method, path, &[], "{}").code, 501, "{method} {path}");
    }
}

#[test]
fn tables_have_the_usual_columns() {
    let mut world = World::with_nodes(1);
    world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 1, "nginx:1"));
    world.run(130_000);
    let table = |world: &mut World, path: &str| -> (String, Vec<Value>) {
        let got = world.request("GET", path, &[("accept", TABLE)], "").body;
        assert_eq!(got["kind"], "Table", "{path}");
        let columns = got["columnDefinitions"].as_array().unwrap();
        let names: Vec<&str> =
            columns.iter().filter(|c| c["priority"] == 0).map(|c| c["name"].as_str().unwrap()).collect();
        (names.join(" "), got["rows"][0]["cells"].as_array().unwrap().clone())
    };
    let (columns, cells) = table(&mut world, DEPLOYMENTS);
    assert_eq!(columns, "Name Ready Up-to-date Available Age");
    assert_eq!(cells[..5], ["web", "1/1", "1", "1", "2m10s"]);
    let (columns, cells) = table(&mut world, PODS);
    assert_eq!(columns, "Name Ready Status Restarts Age");
    assert_eq!(cells[1..4], ["1/1", "Running", "0"]);
    let (columns, cells) = table(&mut world, "/api/v1/nodes");
    assert_eq!(columns, "Name Status Roles Age Version");
    assert_eq!(cells[..5], ["node-1", "Ready", "<none>", "2m11s", "v1.35.1"]);
    let (columns, cells) = table(&mut world, "/api/v1/namespaces/default/services");
    assert_eq!(columns, "Name Type Cluster-IP External-IP Port(s) Age");
    assert_eq!(cells[..5], ["kubernetes", "ClusterIP", "10.96.0.1", "<none>", "443/TCP"]);
    for (path, expected) in [
        ("/api/v1/namespaces", "Name Status Age"),
        ("/apis/storage.k8s.io/v1/storageclasses", "Name Age"),
        ("/api/v1/configmaps", "Name Data Age"),
    ] {
        assert_eq!(table(&mut world, path).0, expected, "{path}");
    }
    let got = world.request("GET", &format!("{DEPLOYMENTS}/web"), &[("accept", TABLE)], "").body;
    assert_eq!(got["rows"][0]["object"]["kind"], "PartialObjectMetadata");
}

#[test]
fn metrics_are_half_of_the_requests() {
    let mut world = World::with_nodes(1);
    world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 2, "nginx:1"));
    world.run(10_000);
    let got = world.get("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods").body;
    assert_eq!(got["items"][0]["containers"][0]["usage"], json!({"cpu": "50m", "memory": "32768Ki"}));
    let got = world.get("/apis/metrics.k8s.io/v1beta1/nodes/node-1").body;
    assert_eq!(got["usage"]["cpu"], "100m");
    assert_eq!(world.get("/apis/metrics.k8s.io/v1beta1/nodes/none").code, 404);
}

#[test]
fn logs_and_commands_are_refused_clearly() {
    let mut world = World::new();
    for subresource in ["log", "exec", "portforward", "attach"] {
        let got = world.get(&format!("{PODS}/x/{subresource}"));
        assert_eq!(got.code, 501, "{subresource}");
        assert_eq!(got.body["reason"], "NotImplemented");
        let message =
            format!("the simulated cluster does not serve pods/{subresource}: containers do not run here");
        assert_eq!(got.message(), message);
    }
    assert_eq!(world.get(&format!("{PODS}/x/bogus")).code, 404);
}

#[test]
fn requests_have_labels_for_logs() {
    let cases = [
        ("GET", "/api/v1/namespaces/default/pods", "", "list-pod"),
        ("GET", "/api/v1/namespaces/default/pods?watch=true", "", "watch-pod"),
        ("GET", "/api/v1/namespaces/default/services/x", "", "get-service"),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/default/deployments/x",
            "application/apply-patch+yaml",
            "apply-deployment",
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/default/deployments/x",
            "application/merge-patch+json",
            "patch-deployment",
        ),
        ("PATCH", "/apis/apps/v1/namespaces/default/deployments/x/scale", "", "patch-deployment-scale"),
        ("DELETE", "/api/v1/namespaces/x", "", "delete-namespace"),
        ("POST", "/api/v1/namespaces", "", "create-namespace"),
        ("PUT", "/api/v1/nodes/x", "", "update-node"),
        ("GET", "/apis", "", "kubernetes-discovery"),
        ("GET", "/healthz", "", "kubernetes-discovery"),
        ("GET", "/nothing", "", "kubernetes-unknown"),
        ("GET", "/apis/batch/v1/jobs", "", "kubernetes-unknown"),
        (
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            "",
            "create-selfsubjectaccessreview",
        ),
    ];
    for (method, path, content, expected) in cases {
        let request = http::Request::builder().method(method).uri(path).header("content-type", content);
        assert_eq!(Cluster::operation(&request.body(Bytes::new()).unwrap()), expected);
    }
}

#[test]
fn two_versions_are_validated() {
    let pod = |field: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"},
            "spec": {"containers": [{"name": "a", "image": "b"}], field: {"name": "w", "podGroup": "g"}},
        })
    };
    assert_eq!(validate("1.35", &pod("workloadRef")), [""; 0]);
    assert_eq!(validate("1.34", &pod("workloadRef")), ["unknown field \"spec.workloadRef\""]);
    assert_eq!(
        validate("1.35", &json!({"apiVersion": "v9", "kind": "Pod"})),
        ["no matches for kind \"Pod\" in version \"v9\""]
    );
    let body =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 1}, "spec": {"containers": [{}]}});
    assert_eq!(
        validate("1.34", &body),
        [
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string",
            "spec.containers[0].name: Required value",
        ]
    );
}

#[test]
fn bodies_in_protobuf_are_read() {
    let mut world = World::new();
    // A namespace called `pb` with the label a=b, as typed clients send it.
    let mut raw = vec![0x0a, 12, 0x0a, 2, b'p', b'b', 0x5a, 6, 0x0a, 1, b'a', 0x12, 1, b'b'];
    raw.extend([0x12, 0, 0x1a, 2, 0x0a, 0]);
    let mut body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12".to_vec();
    body.push(u8::try_from(raw.len()).unwrap());
    body.extend(raw);
    let body = String::from_utf8(body).unwrap();
    let content = [("content-type", "application/vnd.kubernetes.protobuf")];
    let got = world.request("POST", "/api/v1/namespaces", &content, &body);
    assert_eq!(got.code, 201, "{}", got.body);
    assert_eq!(got.body["metadata"]["labels"], json!({"a": "b", "kubernetes.io/metadata.name": "pb"}));
    for end in 0..body.len() - 1 {
        let got = world.request("POST", "/api/v1/namespaces", &content, &body[..end]);
        assert!([400, 409, 422].contains(&got.code), "{end}: {}", got.body);
    }
}
