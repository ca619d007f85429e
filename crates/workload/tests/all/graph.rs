//! Keys, order, dependencies, secrets and the form of bodies.

use std::collections::BTreeSet;

use exokit_model::canonical::to_canonical_bytes;
use exokit_model::kind::Kind;
use exokit_workload::objects;
use serde_json::{Value, json};

use crate::environments::{Environment, all, shipped, template};

/// Largest canonical JSON of the bodies of one template.
const BYTES_MAX: usize = 60_000;

/// Keys of nodes of the cloud.
const CLOUD_KEYS: [&str; 9] = [
    "security-group",
    "anti-affinity-group",
    "cluster",
    "nodepool",
    "database",
    "bucket",
    "bucket-role",
    "bucket-key",
    "load-balancer",
];

#[test]
fn each_object_follows_what_it_depends_on() {
    for environment in all() {
        let mut earlier = BTreeSet::new();
        for object in &environment.objects {
            for dependency in &object.depends_on {
                assert!(earlier.contains(dependency.as_str()), "{}: {}", environment.name, object.key);
            }
            let distinct: BTreeSet<_> = object.depends_on.iter().collect();
            assert_eq!(distinct.len(), object.depends_on.len(), "{}: {}", environment.name, object.key);
            assert!(earlier.insert(object.key.as_str()), "{}: two {}", environment.name, object.key);
            let in_namespace = object.depends_on.iter().any(|key| key.as_str() == "namespace");
            assert_eq!(in_namespace, object.kind != Kind::Namespace, "{}", object.key);
        }
    }
}

#[test]
fn no_key_is_one_of_the_cloud() {
    for environment in all() {
        for object in &environment.objects {
            let key = object.key.as_str();
            assert!(!CLOUD_KEYS.contains(&key), "{key}");
            assert!(!key.starts_with("rule-") && !key.starts_with("found-"), "{key}");
            assert!(object.cloud_nodes.iter().all(|node| CLOUD_KEYS.contains(node)), "{key}");
        }
    }
}

#[test]
fn no_two_objects_of_a_kind_have_one_name() {
    for environment in all() {
        let mut seen = BTreeSet::new();
        for object in &environment.objects {
            assert!(seen.insert((object.kind, &object.name)), "{}: {}", environment.name, object.name);
        }
    }
}

#[test]
fn bodies_say_what_the_objects_say() {
    for environment in all() {
        for object in &environment.objects {
            let metadata = &object.body["metadata"];
            assert_eq!(metadata["name"], object.name);
            assert_eq!(metadata.get("namespace"), object.namespace.as_ref().map(|n| json!(n)).as_ref());
            assert!(object.body["apiVersion"].is_string(), "{}", object.key);
            // The name of a kind in output is its Kubernetes name with hyphens.
            let kind = object.body["kind"].as_str().unwrap().to_ascii_lowercase();
            assert_eq!(kind, object.kind.to_string().replace('-', ""));
            for field in ["status", "creationTimestamp"] {
                assert_eq!(object.body.get(field), None, "{}", object.key);
                assert_eq!(metadata.get(field), None, "{}", object.key);
            }
        }
    }
}

#[test]
fn secret_slots_are_the_only_nulls() {
    for environment in all() {
        for object in &environment.objects {
            let mut nulls = BTreeSet::new();
            find_nulls(&object.body, "", &mut nulls);
            let slots: BTreeSet<String> = object.secrets.keys().cloned().collect();
            assert_eq!(nulls, slots, "{}: {}", environment.name, object.key);
            assert!(slots.is_empty() || object.kind == Kind::Secret, "{}", object.key);
            for slot in object.secrets.values() {
                let is_own = slot.node == object.key;
                assert!(is_own || object.cloud_nodes.contains(&slot.node.as_str()), "{}", object.key);
            }
        }
    }
}

fn find_nulls(value: &Value, pointer: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Null => {
            found.insert(pointer.to_owned());
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                find_nulls(item, &format!("{pointer}/{at}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                find_nulls(field, &format!("{pointer}/{name}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn labels_are_valid_and_complete() {
    let is_valid = |value: &str| {
        value.len() <= 63
            && value.starts_with(|c: char| c.is_ascii_alphanumeric())
            && value.ends_with(|c: char| c.is_ascii_alphanumeric())
            && value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    for environment in all() {
        for object in &environment.objects {
            let labels = object.body["metadata"]["labels"].as_object().unwrap();
            assert!(labels.values().all(|value| is_valid(value.as_str().unwrap())), "{labels:?}");
            for key in ["name", "instance", "part-of", "managed-by"] {
                assert!(labels.contains_key(&format!("app.kubernetes.io/{key}")), "{}", object.key);
            }
            assert!(labels.contains_key("stargate.io/project"), "{}", object.key);
            assert!(labels.contains_key("stargate.io/template"), "{}", object.key);
        }
    }
}

#[test]
fn equal_descriptions_give_equal_objects() {
    for environment in shipped() {
        assert_eq!(environment.objects, objects(&environment.spec));
    }
}

#[test]
fn what_runs_pods_or_gets_a_load_balancer_needs_nodes() {
    for environment in all() {
        for object in &environment.objects {
            let needs = match object.kind {
                Kind::Deployment | Kind::PersistentVolumeClaim => true,
                Kind::Service => object.body["spec"]["type"] == "LoadBalancer",
                _ => false,
            };
            assert_eq!(object.cloud_nodes.contains(&"nodepool"), needs, "{}", object.key);
        }
    }
}

#[test]
fn bodies_are_small() {
    let size = |environment: &Environment| -> usize {
        let bytes = |body| to_canonical_bytes("a body", body).unwrap().len();
        environment.objects.iter().map(|object| bytes(&object.body)).sum()
    };
    for environment in all() {
        let size = size(&environment);
        println!("{}: {} objects, {size} bytes", environment.name, environment.objects.len());
        assert!(size < BYTES_MAX, "{}", environment.name);
    }
}

#[test]
fn a_project_without_letters_has_no_label() {
    let mut spec = template("T1");
    spec.project = "***".to_owned();
    spec.nodes.labels.clear();
    let environment = Environment::new("T1", spec);
    let labels = environment.at("workload", "/metadata/labels").as_object().unwrap();
    assert!(!labels.contains_key("app.kubernetes.io/part-of"));
    assert_eq!(labels["stargate.io/template"], "T1");
}
