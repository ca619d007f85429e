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
