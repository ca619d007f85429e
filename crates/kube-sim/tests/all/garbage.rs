//! Owners, dependents and the ways to delete them.

use crate::fixture::{CONFIG_MAPS, DEPLOYMENTS, PODS, World, deployment};
use serde_json::json;

const SETS: &str = "/apis/apps/v1/namespaces/default/replicasets";

fn count(world: &mut World, path: &str) -> usize {
    world.get(path).body["items"].as_array().unwrap().len()
}

fn delete(world: &mut World, policy: &str) {
    let body = json!({"propagationPolicy": policy}).to_string();
    let path = format!("{DEPLOYMENTS}/web");
    let got = world.request("DELETE", &path, &[("content-type", "application/json")], &body);
    assert_eq!(got.code, 200, "{}", got.body);
}

fn world() -> World {
    let mut world = World::with_nodes(1);
    world.apply(&format!("{DEPLOYMENTS}/web"), &deployment("web", 2, "nginx:1"));
    world.run(10_000);
    assert_eq!((count(&mut world, SETS), count(&mut world, PODS)), (1, 2));
    world
}

#[test]
fn dependents_go_after_their_owner() {
    let mut world = world();
    delete(&mut world, "Background");
    assert_eq!(world.get(&format!("{DEPLOYMENTS}/web")).code, 404);
    assert_eq!(count(&mut world, PODS), 2);
    world.run(10_000);
    assert_eq!((count(&mut world, SETS), count(&mut world, PODS)), (0, 0));
}

#[test]
fn dependents_go_before_their_owner() {
    let mut world = world();
    delete(&mut world, "Foreground");
    let got = world.get(&format!("{DEPLOYMENTS}/web"));
    assert_eq!(got.body["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    world.run(100);
    assert_eq!(world.get(&format!("{DEPLOYMENTS}/web")).code, 200);
    assert_eq!(count(&mut world, PODS), 2, "pods are stopping");
    world.run(10_000);
    assert_eq!((count(&mut world, SETS), count(&mut world, PODS)), (0, 0));
    assert_eq!(world.get(&format!("{DEPLOYMENTS}/web")).code, 404);
}

#[test]
fn dependents_stay_without_their_owner() {
    let mut world = world();
    delete(&mut world, "Orphan");
    world.run(10_000);
    assert_eq!(world.get(&format!("{DEPLOYMENTS}/web")).code, 404);
    assert_eq!((count(&mut world, SETS), count(&mut world, PODS)), (1, 2));
    assert!(world.get(SETS).body["items"][0]["metadata"].get("ownerReferences").is_none());
}

#[test]
fn an_object_whose_owner_never_was_goes() {
    let mut world = World::new();
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "none", "uid": "none"});
    world.post(CONFIG_MAPS, &json!({"metadata": {"name": "x", "ownerReferences": [owner]}}));
    world.run(1000);
    assert_eq!(world.get(&format!("{CONFIG_MAPS}/x")).code, 404);
}

#[test]
fn what_every_namespace_has_comes_back() {
    let mut world = World::new();
    for path in [
        "/api/v1/namespaces/default/serviceaccounts/default",
        "/api/v1/namespaces/default/configmaps/kube-root-ca.crt",
    ] {
        world.delete(path);
        assert_eq!(world.get(path).code, 404);
        world.run(100);
        assert_eq!(world.get(path).code, 200, "{path}");
    }
}

#[test]
fn a_deleted_pod_is_replaced_and_stops_with_grace() {
    let mut world = world();
    let pods = world.get(PODS);
    let name = pods.body["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    let got = world.delete(&format!("{PODS}/{name}"));
    assert_eq!(got.body["metadata"]["deletionGracePeriodSeconds"], 30);
    world.run(100);
    assert_eq!(count(&mut world, PODS), 3, "the old pod still stops");
    world.run(10_000);
    assert_eq!(count(&mut world, PODS), 2);
    assert_eq!(world.get(&format!("{PODS}/{name}")).code, 404);
    let name = world.get(PODS).body["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
    world.delete(&format!("{PODS}/{name}?gracePeriodSeconds=0"));
    assert_eq!(world.get(&format!("{PODS}/{name}")).code, 404);
}
