//! Every object is valid in the API of each Kubernetes version that clusters run.

use exokit_kube_sim::validate;
use exokit_model::kind::Kind;
use exokit_workload::objects;
use serde_json::json;

use crate::environments::{all, template};

const VERSIONS: [&str; 2] = ["1.34", "1.35"];

#[test]
fn every_object_is_valid_in_each_version() {
    let none: [&str; 0] = [];
    for version in VERSIONS {
        for environment in all() {
            for object in &environment.objects {
                let problems = validate(version, &object.body);
                assert_eq!(problems, none, "{}: {} in {version}", environment.name, object.key);
            }
        }
    }
}

#[test]
fn a_wrong_field_and_a_wrong_type_are_found() {
    let objects = objects(&template("T2"));
    let deployment = objects.into_iter().find(|object| object.kind == Kind::Deployment).unwrap();
    for version in VERSIONS {
        let mut body = deployment.body.clone();
        body["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = json!("Always");
        let unknown = "unknown field \"spec.template.spec.containers[0].imagePullPolice\"";
        assert_eq!(validate(version, &body), [unknown]);
        let mut body = deployment.body.clone();
        body["spec"]["replicas"] = json!("two");
        let problems = validate(version, &body);
        assert!(problems.len() == 1 && problems[0].contains("spec.replicas"), "{problems:?}");
    }
}
