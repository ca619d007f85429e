//! Reading and writing objects.

use crate::fixture::{CONFIG_MAPS, DEPLOYMENTS, World, deployment};
use serde_json::json;

#[test]
fn refusals_are_worded_as_by_the_real_server() {
    let mut world = World::new();
    let cases = [
        (
            "GET",
            "/apis/apps/v1/namespaces/default/deployments/x",
            404,
            "NotFound",
            "deployments.apps \"x\" not found",
        ),
        ("GET", "/api/v1/nodes/x", 404, "NotFound", "nodes \"x\" not found"),
        ("GET", "/api/v1/unknowns", 404, "NotFound", "the server could not find the requested resource"),
        (
            "POST",
            "/api/v1/namespaces/default/configmaps/x",
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
        (
            "GET",
            "/apis/batch/v1/jobs",
            501,
            "NotImplemented",
            "the simulated cluster does not serve jobs.batch",
        ),
        (
            "GET",
            "/api/v1/namespaces/default/pods?fieldSelector=spec.bogus=1",
            400,
            "BadRequest",
            "field label not supported: spec.bogus",
        ),
    ];
    for (method, path, code, reason, message) in cases {
        let got = world.request(method, path, &[], "");
        assert_eq!(got.code, code, "{path}: {}", got.body);
        assert_eq!(got.body["reason"], reason, "{path}");
        assert_eq!(got.message(), message, "{path}");
        assert_eq!(got.body["kind"], "Status");
        assert_eq!(got.body["code"], code);
    }
    let got = world
        .apply(&format!("{DEPLOYMENTS}/web").replace("default", "nowhere"), &deployment("web", 1, "x:1"));
    assert_eq!((got.code, got.message()), (404, "namespaces \"nowhere\" not found"));
}

#[test]
fn updates_carry_resource_versions() {
    let mut world = World::new();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1"}});
    let created = world.post(CONFIG_MAPS, &map);
    assert_eq!(created.code, 201);
    let got = world.post(CONFIG_MAPS, &map);
    assert_eq!((got.code, got.message()), (409, "configmaps \"x\" already exists"));
    let path = format!("{CONFIG_MAPS}/x");
    let mut newer = created.body.clone();
    newer["data"]["a"] = json!("2");
    assert_eq!(world.put(&path, &newer).code, 200);
    let got = world.put(&path, &newer);
    assert_eq!(got.code, 409);
    assert_eq!(
        got.message(),
        "Operation cannot be fulfilled on configmaps \"x\": the object has been modified; \
         please apply your changes to the latest version and try again"
    );
    let version = world.get(&path).body["metadata"]["resourceVersion"].clone();
    world.patch("merge", &path, &json!({"data": {"a": "2"}}));
    assert_eq!(world.get(&path).body["metadata"]["resourceVersion"], version, "a write without effect");
}

#[test]
fn a_json_patch_that_does_not_apply_changes_nothing() {
    let mut world = World::new();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1"}});
    world.post(CONFIG_MAPS, &map);
    let path = format!("{CONFIG_MAPS}/x");
    for last in [
        json!({"op": "test", "path": "/data/a", "value": "1"}),
        json!({"op": "replace", "path": "/data/none/a", "value": "2"}),
        json!({"op": "turn", "path": "/data/a"}),
    ] {
        let got = world.patch("json", &path, &json!([{"op": "add", "path": "/data/a", "value": "2"}, last]));
        let message = "the server rejected our request due to an error in our request";
        assert_eq!((got.code, got.message()), (422, message), "{last}");
        assert_eq!(world.get(&path).body["data"]["a"], "1");
    }
}

#[test]
fn unknown_fields_are_dropped_with_a_warning_or_refused() {
    let mut world = World::new();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "date": {"a": "1"}});
    let got = world.post(CONFIG_MAPS, &map);
    assert_eq!(got.code, 201);
    assert_eq!(got.warnings, ["299 - \"unknown field \\\"date\\\"\""]);
    assert!(got.body.get("date").is_none());
    let got = world.post(&format!("{CONFIG_MAPS}?fieldValidation=Strict"), &map);
    assert_eq!(got.code, 400);
    assert_eq!(
        got.message(),
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"date\""
    );
}

#[test]
fn a_watch_delivers_changes_in_order() {
    let mut world = World::new();
    let list = world.get(CONFIG_MAPS);
    let version = list.body["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut watch =
        world.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={version}&labelSelector=a%3Db"));
    let map = json!({"metadata": {"name": "x", "labels": {"a": "b"}}});
    world.post(CONFIG_MAPS, &map);
    world.post(CONFIG_MAPS, &json!({"metadata": {"name": "other"}}));
    world.patch("merge", &format!("{CONFIG_MAPS}/x"), &json!({"data": {"k": "v"}}));
    world.patch("merge", &format!("{CONFIG_MAPS}/x"), &json!({"metadata": {"labels": {"a": "c"}}}));
    let events = watch.drain(&world.cluster);
    let kinds: Vec<String> = events
        .iter()
        .map(|event| {
            let event: serde_json::Value = serde_json::from_slice(event).unwrap();
            format!(
                "{} {}",
                event["type"].as_str().unwrap(),
                event["object"]["metadata"]["name"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(kinds, ["ADDED x", "MODIFIED x", "DELETED x"]);
    assert!(watch.drain(&world.cluster).is_empty());
}

#[test]
fn a_fresh_cluster_contains_what_every_cluster_does() {
    let mut world = World::new();
    for path in [
        "/api/v1/namespaces/kube-system",
        "/api/v1/namespaces/kube-public",
        "/api/v1/namespaces/kube-node-lease",
        "/api/v1/namespaces/default/services/kubernetes",
        "/api/v1/namespaces/kube-system/serviceaccounts/default",
        "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
        "/apis/storage.k8s.io/v1/storageclasses/exoscale-bs-retain",
        "/apis/storage.k8s.io/v1/csidrivers/csi.exoscale.com",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin",
    ] {
        assert_eq!(world.get(path).code, 200, "{path}");
    }
    let class = world.get("/apis/storage.k8s.io/v1/storageclasses/exoscale-sbs").body;
    assert_eq!(class["provisioner"], "csi.exoscale.com");
    assert_eq!(class["reclaimPolicy"], "Delete");
    assert_eq!(class["volumeBindingMode"], "Immediate");
    assert_eq!(class["allowVolumeExpansion"], true);
    assert_eq!(world.get("/api/v1/namespaces/default").body["status"]["phase"], "Active");
}

#[test]
fn patches_merge_as_their_type_says() {
    let mut world = World::new();
    let path = format!("{DEPLOYMENTS}/web");
    world.apply(&path, &deployment("web", 1, "nginx:1"));
    let env = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}}});
    let got = world.patch("strategic-merge", &path, &env);
    let container = &got.body["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (got.code, &container["image"], &container["env"][0]["value"]),
        (200, &json!("nginx:1"), &json!("1"))
    );
    let gone = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "$patch": "delete"}]}]}}}});
    let got = world.patch("strategic-merge", &path, &gone);
    assert!(got.body["spec"]["template"]["spec"]["containers"][0].get("env").is_none(), "{}", got.body);
    let got = world.patch(
        "strategic-merge",
        &path,
        &json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
    );
    assert_eq!(got.body["spec"]["strategy"], json!({"type": "Recreate"}), "{}", got.body);
    let got = world.patch("merge", &path, &json!({"metadata": {"labels": {"app": null, "b": "c"}}}));
    assert_eq!(got.body["metadata"]["labels"], json!({"b": "c"}));
    let got = world.patch(
        "json",
        &path,
        &json!([
            {"op": "test", "path": "/spec/replicas", "value": 1},
            {"op": "replace", "path": "/spec/replicas", "value": 3},
            {"op": "add", "path": "/metadata/labels/x~1y", "value": "z"},
        ]),
    );
    assert_eq!(got.code, 200, "{}", got.body);
    assert_eq!(
        (&got.body["spec"]["replicas"], &got.body["metadata"]["labels"]["x/y"]),
        (&json!(3), &json!("z"))
    );
    assert_eq!(got.body["metadata"]["generation"], 5, "labels do not count");
    let got = world.patch("json", &path, &json!([{"op": "test", "path": "/spec/replicas", "value": 9}]));
    assert_eq!(got.code, 422);
    let got = world.patch("json", &path, &json!([{"op": "remove", "path": "/spec/nothing"}]));
    assert_eq!(got.code, 422);
    let got = world.request("PATCH", &path, &[("content-type", "text/plain")], "x");
    assert_eq!(got.code, 415);
}

fn change(path: &str, value: serde_json::Value) -> serde_json::Value {
    let mut body = deployment("web", 1, "nginx:1");
    *body.pointer_mut(path).unwrap() = value;
    body
}

fn change_container(path: &str, value: serde_json::Value) -> serde_json::Value {
    change(&format!("/spec/template/spec/containers/0{path}"), value)
}

fn refused(cases: &[(serde_json::Value, u16, &str)]) {
    let mut world = World::new();
    for (body, code, message) in cases {
        let got = world.post(DEPLOYMENTS, body);
        assert_eq!(got.code, *code, "{message}: {}", got.body);
        assert!(got.message().contains(message), "{message}: {}", got.message());
    }
}

#[test]
fn deployments_that_are_not_valid_are_refused() {
    refused(&[
        (
            change("/metadata/name", json!("Web")),
            422,
            "metadata.name: Invalid value: \"Web\": a lowercase RFC 1123 subdomain",
        ),
        (
            change("/spec/replicas", json!("two")),
            400,
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            change("/spec/replicas", json!(-1)),
            422,
            "Deployment.apps \"web\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            change("/spec/selector", json!(null)),
            422,
            "Deployment.apps \"web\" is invalid: spec.selector: Required value",
        ),
        (
            change("/spec/selector/matchLabels/app", json!("other")),
            422,
            "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` does not match template `labels`",
        ),
        (
            change("/metadata/labels/app", json!("a b")),
            422,
            "metadata.labels: Invalid value: \"a b\": a valid label must be",
        ),
        (
            change("/apiVersion", json!("apps/v2")),
            400,
            "no kind \"Deployment\" is registered for version \"apps/v2\"",
        ),
    ]);
}

#[test]
fn containers_that_are_not_valid_are_refused() {
    refused(&[
        (
            change_container("/image", json!("")),
            422,
            "spec.template.spec.containers[0].image: Required value",
        ),
        (
            change_container("/name", json!("a_b")),
            422,
            "spec.template.spec.containers[0].name: Invalid value: \"a_b\"",
        ),
        (
            change_container("/resources", json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}})),
            422,
            "must be less than or equal to cpu limit of 1",
        ),
        (
            change_container("/ports/0/containerPort", json!(70000)),
            422,
            "must be between 1 and 65535, inclusive",
        ),
        (change_container("/ports/0/containerPort", json!(80000000000_i64)), 400, "cannot unmarshal number"),
        (
            change(
                "/spec/template/spec",
                json!({"containers": [{"name": "a", "image": "b", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}),
            ),
            422,
            "volumeMounts[0].name: Not found: \"v\"",
        ),
        (
            change(
                "/spec/template/spec",
                json!({"restartPolicy": "Never", "containers": [{"name": "a", "image": "b"}]}),
            ),
            422,
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ),
        (
            change_container("/ports/0", json!({"containerPort": 80, "protocol": "tcp"})),
            422,
            "Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
    ]);
}

#[test]
fn a_selector_is_immutable() {
    let mut world = World::new();
    let path = format!("{DEPLOYMENTS}/web");
    world.post(DEPLOYMENTS, &deployment("web", 1, "nginx:1"));
    let got = world.patch("merge", &path, &json!({"spec": {"selector": {"matchLabels": {"x": "y"}}, "template": {"metadata": {"labels": {"x": "y"}}}}}));
    assert_eq!(got.code, 422);
    assert!(got.message().ends_with("field is immutable"), "{}", got.message());
    let got = world.request("POST", DEPLOYMENTS, &[], "{");
    assert_eq!(got.code, 400);
}

#[test]
fn deletions_respect_preconditions_and_finalizers() {
    let mut world = World::new();
    let path = format!("{CONFIG_MAPS}/x");
    let body = json!({"metadata": {"name": "x", "finalizers": ["example.com/hold"]}});
    let created = world.post(CONFIG_MAPS, &body).body;
    let options = json!({"preconditions": {"uid": "other"}}).to_string();
    let got = world.request("DELETE", &path, &[("content-type", "application/json")], &options);
    assert_eq!(got.code, 409);
    assert!(
        got.message().contains("the UID in the precondition (other) does not match the UID in record ("),
        "{}",
        got.message()
    );
    let options =
        json!({"preconditions": {"uid": created["metadata"]["uid"], "resourceVersion": "1"}}).to_string();
    let got = world.request("DELETE", &path, &[("content-type", "application/json")], &options);
    assert_eq!(got.code, 409);
    let got = world.delete(&path);
    assert_eq!(got.code, 200);
    assert!(!got.body["metadata"]["deletionTimestamp"].is_null());
    assert_eq!(world.get(&path).code, 200, "the finalizer holds it");
    let got = world.patch("merge", &path, &json!({"metadata": {"finalizers": null}}));
    assert_eq!(got.code, 200);
    assert_eq!(world.get(&path).code, 404);
    world.post(CONFIG_MAPS, &json!({"metadata": {"name": "y"}}));
    let got = world.delete(&format!("{CONFIG_MAPS}/y"));
    assert_eq!((got.code, got.body["status"].as_str()), (200, Some("Success")));
}

#[test]
fn lists_are_selected_limited_and_continued() {
    let mut world = World::new();
    for (name, team) in [("a", "red"), ("b", "red"), ("c", "blue"), ("d", "red")] {
        world.post(CONFIG_MAPS, &json!({"metadata": {"name": name, "labels": {"team": team}}}));
    }
    let names = |got: &crate::fixture::Got| -> String {
        let items = got.body["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect::<Vec<_>>().join(",")
    };
    let cases = [
        ("labelSelector=team%3Dred", "a,b,d"),
        ("labelSelector=team!%3Dred,team", "c"),
        ("labelSelector=team+in+(blue,green)", "c"),
        ("labelSelector=team+notin+(red),team", "c"),
        ("labelSelector=!team", "kube-root-ca.crt"),
        ("fieldSelector=metadata.name%3Db", "b"),
        ("fieldSelector=metadata.name!%3Db&labelSelector=team%3Dred", "a,d"),
    ];
    for (query, expected) in cases {
        assert_eq!(names(&world.get(&format!("{CONFIG_MAPS}?{query}"))), expected, "{query}");
    }
    let first = world.get(&format!("{CONFIG_MAPS}?limit=2"));
    assert_eq!(names(&first), "a,b");
    assert_eq!(first.body["metadata"]["remainingItemCount"], 3);
    let token = first.body["metadata"]["continue"].as_str().unwrap().replace('%', "%25");
    let second = world.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}"));
    assert_eq!(names(&second), "c,d");
    assert_eq!(second.body["metadata"]["resourceVersion"], first.body["metadata"]["resourceVersion"]);
    let got = world.delete(&format!("{CONFIG_MAPS}?labelSelector=team%3Dred"));
    assert_eq!(names(&got), "a,b,d");
    assert_eq!(names(&world.get(&format!("{CONFIG_MAPS}?labelSelector=team"))), "c");
    assert_eq!(world.get(&format!("{CONFIG_MAPS}?labelSelector=a%3D%3Db%3Dc(")).code, 400);
    assert_eq!(world.get(&format!("{CONFIG_MAPS}?continue=bogus")).code, 400);
}

#[test]
fn names_are_generated_and_secrets_encoded() {
    let mut world = World::new();
    let got = world.post(CONFIG_MAPS, &json!({"metadata": {"generateName": "job-"}}));
    let name = got.body["metadata"]["name"].as_str().unwrap();
    assert_eq!((name.len(), &name[..4]), (9, "job-"));
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "hello", "e": ""}});
    let got = world.post("/api/v1/namespaces/default/secrets", &secret);
    assert_eq!(got.body["data"], json!({"k": "aGVsbG8=", "e": ""}));
    assert_eq!(got.body["type"], "Opaque");
    assert!(got.body.get("stringData").is_none());
}

#[test]
fn ports_of_nodes_are_allocated_once() {
    let mut world = World::new();
    let service = |name: &str, port: u32| json!({"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}});
    let path = "/api/v1/namespaces/default/services";
    let got = world.post(path, &service("a", 30080));
    assert_eq!(got.code, 201);
    assert_eq!(
        got.body["spec"]["ports"][0],
        json!({"port": 80, "targetPort": 80, "protocol": "TCP", "nodePort": 30080})
    );
    let got = world.post(path, &service("b", 30080));
    assert_eq!(
        (got.code, got.message()),
        (
            422,
            "Service \"b\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated"
        )
    );
    let got = world.post(path, &service("c", 80));
    assert!(got.message().contains("The range of valid ports is 30000-32767"), "{}", got.message());
    let got = world.patch("merge", &format!("{path}/a"), &json!({"spec": {"type": "ClusterIP"}}));
    assert_eq!(got.code, 200, "{}", got.body);
    assert!(got.body["spec"]["ports"][0].get("nodePort").is_none());
    assert_eq!(world.post(path, &service("b", 30080)).code, 201, "the port is free again");
    let address = got.body["spec"]["clusterIP"].clone();
    let got = world.patch("merge", &format!("{path}/a"), &json!({"spec": {"clusterIP": "10.96.9.9"}}));
    assert_eq!(got.code, 422);
    assert_ne!(address, json!(null));
}

#[test]
fn a_status_is_written_through_its_subresource_only() {
    let mut world = World::new();
    let path = format!("{DEPLOYMENTS}/web");
    world.apply(&path, &deployment("web", 1, "nginx:1"));
    let got = world.patch("merge", &path, &json!({"status": {"replicas": 9}}));
    assert!(got.body["status"].get("replicas").is_none());
    let got = world.patch(
        "merge",
        &format!("{path}/status"),
        &json!({"status": {"replicas": 9}, "spec": {"replicas": 9}}),
    );
    assert_eq!((&got.body["status"]["replicas"], &got.body["spec"]["replicas"]), (&json!(9), &json!(1)));
    let got = world.get(&format!("{path}/scale"));
    assert_eq!((got.body["kind"].as_str(), &got.body["spec"]["replicas"]), (Some("Scale"), &json!(1)));
    let got = world.patch("merge", &format!("{path}/scale"), &json!({"spec": {"replicas": 4}}));
    assert_eq!((got.code, &got.body["spec"]["replicas"]), (200, &json!(4)));
    assert_eq!(world.get(&path).body["spec"]["replicas"], 4);
}

#[test]
fn a_watch_that_is_too_old_ends_with_an_error() {
    let mut world = World::new();
    let mut watch = world.watch(&format!("{CONFIG_MAPS}?watch=true&resourceVersion=2&timeoutSeconds=30"));
    assert_eq!(watch.until_ms(), world.now + 30_000);
    let events = watch.drain(&world.cluster);
    let event: serde_json::Value = serde_json::from_slice(&events[0]).unwrap();
    assert_eq!((event["type"].as_str(), event["object"]["code"].as_u64()), (Some("ERROR"), Some(410)));
    assert_eq!(event["object"]["reason"], "Expired");
    let mut watch = world.watch(&format!("{CONFIG_MAPS}?watch=true&allowWatchBookmarks=true"));
    assert_eq!(watch.drain(&world.cluster).len(), 1, "the initial state");
    world.run(61_000);
    let events = watch.drain(&world.cluster);
    assert!(std::str::from_utf8(&events[0]).unwrap().starts_with("{\"type\":\"BOOKMARK\""), "{events:?}");
    for step in 0..200 {
        world.post(CONFIG_MAPS, &json!({"metadata": {"name": format!("m{step}")}}));
    }
    let events = watch.drain(&world.cluster);
    assert!(std::str::from_utf8(&events[0]).unwrap().contains("\"code\":410"), "the window is bounded");
}
