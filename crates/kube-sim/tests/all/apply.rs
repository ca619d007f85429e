//! Server-side apply and managed fields.

use crate::fixture::{CONFIG_MAPS, DEPLOYMENTS, World, deployment};
use serde_json::{Value, json};

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data})
}

#[test]
fn an_apply_creates_then_updates_then_does_nothing() {
    let mut world = World::new();
    let path = format!("{CONFIG_MAPS}/x");
    let created = world.apply(&path, &map(json!({"a": "1"})));
    assert_eq!(created.code, 201);
    assert_eq!(
        created.body["metadata"]["managedFields"],
        json!([{
            "apiVersion": "v1", "fieldsType": "FieldsV1", "manager": "tester", "operation": "Apply",
            "fieldsV1": {"f:data": {"f:a": {}}}, "time": "2027-01-15T08:00:00Z",
        }])
    );
    world.run(5000);
    let same = world.apply(&path, &map(json!({"a": "1"})));
    assert_eq!(same.code, 200);
    assert_eq!(same.body, created.body);
    let changed = world.apply(&path, &map(json!({"a": "2"})));
    assert_eq!(changed.code, 200);
    assert_ne!(changed.body["metadata"]["resourceVersion"], created.body["metadata"]["resourceVersion"]);
}

#[test]
fn fields_that_are_no_longer_applied_go_unless_shared() {
    let mut world = World::new();
    let path = format!("{CONFIG_MAPS}/x");
    world.apply_as("one", &path, &map(json!({"a": "1", "b": "1", "c": "1"})));
    world.apply_as("two", &path, &map(json!({"b": "1"})));
    let got = world.apply_as("one", &path, &map(json!({"a": "1"})));
    assert_eq!(got.body["data"], json!({"a": "1", "b": "1"}), "b belongs to two, c to nobody");
    let got = world.apply_as(
        "two",
        &path,
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}),
    );
    assert_eq!(got.body["data"], json!({"a": "1"}));
}

#[test]
fn conflicts_are_worded_as_by_the_real_server() {
    let mut world = World::new();
    let path = format!("{CONFIG_MAPS}/x");
    world.apply_as("one", &path, &map(json!({"a": "1", "b": "1"})));
    let got = world.apply_as("two", &path, &map(json!({"a": "2"})));
    assert_eq!(got.code, 409);
    assert_eq!(got.message(), "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    assert_eq!(got.body["reason"], "Conflict");
    assert_eq!(
        got.body["details"]["causes"],
        json!([{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.a"}])
    );
    world.patch("merge", &format!("{path}?fieldManager=three"), &json!({"data": {"b": "3"}}));
    let got = world.apply_as("two", &path, &map(json!({"a": "2", "b": "2"})));
    assert_eq!(
        got.message(),
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\nconflicts with \"three\" using v1:\n- .data.b"
    );
    let got = world.apply_as("two", &format!("{path}?force=true"), &map(json!({"a": "2", "b": "2"})));
    assert_eq!((got.code, &got.body["data"]), (200, &json!({"a": "2", "b": "2"})));
    let got = world.apply_as("one", &path, &map(json!({})));
    assert_eq!(got.body["data"], json!({"a": "2", "b": "2"}), "one owns nothing any more");
}

#[test]
fn lists_merge_by_their_keys() {
    let mut world = World::new();
    let path = format!("{DEPLOYMENTS}/web");
    world.apply_as("one", &path, &deployment("web", 1, "nginx:1"));
    let part = |env: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"template": {"spec": {"containers": [{"name": "main", "env": env}]}}},
        })
    };
    let got = world.apply_as("two", &path, &part(json!([{"name": "A", "value": "1"}])));
    assert_eq!(got.code, 200, "{}", got.body);
    let containers = &got.body["spec"]["template"]["spec"]["containers"];
    assert_eq!(containers.as_array().unwrap().len(), 1);
    assert_eq!(containers[0]["image"], "nginx:1");
    assert_eq!(containers[0]["env"], json!([{"name": "A", "value": "1"}]));
    let got = world.apply_as("one", &path, &deployment("web", 1, "nginx:2"));
    assert_eq!(
        got.body["spec"]["template"]["spec"]["containers"][0]["env"],
        json!([{"name": "A", "value": "1"}])
    );
    let got = world.apply_as("two", &path, &part(json!([])));
    assert!(got.body["spec"]["template"]["spec"]["containers"][0].get("env").is_none(), "{}", got.body);
    let got = world.apply_as("three", &path, &{
        let mut body = part(json!([]));
        body["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other:1");
        body
    });
    assert_eq!(
        got.message(),
        "Apply failed with 1 conflict: conflict with \"one\": .spec.template.spec.containers[name=\"main\"].image"
    );
}

#[test]
fn an_autoscaler_owns_the_replicas_that_it_sets() {
    let mut world = World::with_nodes(2);
    let path = format!("{DEPLOYMENTS}/web");
    world.apply(&path, &deployment("web", 1, "nginx:1"));
    let autoscaler = json!({
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2, "maxReplicas": 4,
        },
    });
    let got = world.post("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", &autoscaler);
    assert_eq!(got.code, 201, "{}", got.body);
    world.run(10_000);
    assert_eq!(world.get(&path).body["status"]["readyReplicas"], 2);
    let got = world.apply(&path, &deployment("web", 1, "nginx:2"));
    assert_eq!(got.code, 409);
    assert!(
        got.message().starts_with(
            "Apply failed with 1 conflict: conflict with \"kube-controller-manager\" with subresource \"scale\" \
             using apps/v1: "
        ),
        "{}",
        got.message()
    );
    assert!(got.message().ends_with(": .spec.replicas"), "{}", got.message());
}

#[test]
fn applies_that_are_not_valid_are_refused() {
    let mut world = World::new();
    let path = format!("{CONFIG_MAPS}/x");
    let content = [("content-type", "application/apply-patch+yaml")];
    let got = world.request("PATCH", &path, &content, &map(json!({})).to_string());
    assert_eq!(got.code, 422);
    assert_eq!(
        got.message(),
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
    );
    let cases = [
        (
            json!({"metadata": {"name": "x"}, "date": {}}),
            500,
            "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .date: field not declared in schema",
        ),
        (
            json!({"metadata": {"name": "x"}, "data": {"a": 1}}),
            500,
            "failed to create typed patch object (/x; /v1, Kind=ConfigMap): .data.a: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            json!({"metadata": {"name": "y"}}),
            400,
            "the name of the object (y) does not match the name on the URL (x)",
        ),
        (json!({"metadata": {"name": "x", "managedFields": []}}), 400, "metadata.managedFields must be nil"),
        (
            json!({"metadata": {"name": "x", "namespace": "other"}}),
            400,
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ];
    let mut twice = deployment("web", 1, "nginx:1");
    twice["spec"]["template"]["spec"]["containers"][0]["ports"] =
        json!([{"containerPort": 80}, {"containerPort": 80}]);
    let got = world.apply(&format!("{DEPLOYMENTS}/web"), &twice);
    assert_eq!(
        (got.code, got.message()),
        (
            500,
            "failed to create typed patch object (/web; apps/v1, Kind=Deployment): \
             .spec.template.spec.containers[name=\"main\"].ports: duplicate entries for key \
             [containerPort=80,protocol=\"TCP\"]"
        )
    );
    for (body, code, message) in cases {
        let got = world.apply(&path, &body);
        assert_eq!((got.code, got.message()), (code, message), "{body}");
    }
}

#[test]
fn updates_take_fields_over() {
    let mut world = World::new();
    let path = format!("{CONFIG_MAPS}/x");
    world.apply_as("one", &path, &map(json!({"a": "1", "b": "1"})));
    let got = world.patch("merge", &format!("{path}?fieldManager=editor"), &json!({"data": {"a": "2"}}));
    let managers = got.body["metadata"]["managedFields"].as_array().unwrap().clone();
    let fields: Vec<(&str, &str, &Value)> = managers
        .iter()
        .map(|m| (m["manager"].as_str().unwrap(), m["operation"].as_str().unwrap(), &m["fieldsV1"]))
        .collect();
    assert_eq!(
        fields,
        [
            ("one", "Apply", &json!({"f:data": {"f:b": {}}})),
            ("editor", "Update", &json!({"f:data": {"f:a": {}}})),
        ]
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut world = World::new();
    let path = format!("{CONFIG_MAPS}/x");
    let got = world.apply(&format!("{path}?dryRun=All"), &map(json!({"a": "1"})));
    assert_eq!(got.code, 201);
    assert_eq!(got.body["data"], json!({"a": "1"}));
    assert_eq!(world.get(&path).code, 404);
    world.apply(&path, &map(json!({"a": "1"})));
    let before = world.get(&path).body;
    let got = world.apply(&format!("{path}?dryRun=All"), &map(json!({"a": "2"})));
    assert_eq!(got.body["data"], json!({"a": "2"}));
    assert_eq!(world.get(&path).body, before);
    assert_eq!(world.delete(&format!("{path}?dryRun=All")).code, 200);
    assert_eq!(world.get(&path).body, before);
}
