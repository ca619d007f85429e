//! One piece of evidence decides one check and no other. These are the pieces
//! that nobody can change from outside without changing others, too.

use exokit_model::cost::ApprovalLevel;
use exokit_model::spec::EnvironmentSpec;
use exokit_verification::{Evidence, checks};
use serde_json::{Value, json};

use crate::shipped;

/// What an environment shows, as far as these tests change it.
fn evidence(spec: &EnvironmentSpec) -> Evidence {
    let nodes = (0..spec.nodes.count).map(|number| node(spec, &format!("node-{number}")));
    let running = ["alloy", "loki", "prometheus"].map(|app| deployment(app, 1));
    let namespace = json!({
        "kind": "Namespace", "metadata": {"name": spec.workload.namespace}, "status": {"phase": "Active"},
    });
    let mut evidence =
        Evidence { objects: nodes.chain(running).chain([namespace]).collect(), ..Evidence::default() };
    evidence.provision.succeeded = true;
    evidence.provision.approved_level = Some(ApprovalLevel::Three);
    evidence
}

fn node(spec: &EnvironmentSpec, name: &str) -> Value {
    let ready = json!([{"type": "Ready", "status": "True"}]);
    json!({"kind": "Node", "metadata": {"name": name, "labels": spec.nodes.labels}, "status": {"conditions": ready}})
}

fn deployment(app: &str, available: u32) -> Value {
    json!({"kind": "Deployment", "metadata": {"name": format!("exokit-{app}")}, "status": {"availableReplicas": available}})
}

/// Checks that passed before a change of the evidence and fail after it.
fn broken_by(template: u16, change: impl FnOnce(&EnvironmentSpec, &mut Evidence)) -> Vec<String> {
    let (spec, level) = shipped(template);
    let mut evidence = evidence(&spec);
    let before = checks(&spec, level, &evidence);
    change(&spec, &mut evidence);
    let after = checks(&spec, level, &evidence);
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after);
    changed
        .map(|(before, after)| {
            assert!(before.passed && !after.passed, "{before:?} {after:?}");
            assert!(after.hint.is_some() && before.hint.is_none());
            after.id.clone()
        })
        .collect()
}

#[test]
fn an_operation_that_did_not_succeed_fails_its_check() {
    assert_eq!(broken_by(3, |_, evidence| evidence.provision.succeeded = false), ["U01"]);
}

#[test]
fn one_more_node_fails_its_check() {
    let more = |spec: &EnvironmentSpec, evidence: &mut Evidence| evidence.objects.push(node(spec, "more"));
    assert_eq!(broken_by(3, more), ["U04"]);
}

#[test]
fn a_namespace_that_is_terminating_fails_its_check() {
    let terminate = |_: &EnvironmentSpec, evidence: &mut Evidence| {
        let namespace = evidence.objects.iter_mut().find(|object| object["kind"] == "Namespace");
        namespace.unwrap()["status"]["phase"] = json!("Terminating");
    };
    assert_eq!(broken_by(3, terminate), ["U06"]);
}

#[test]
fn a_secret_in_a_record_fails_its_check() {
    let leak = |_: &EnvironmentSpec, evidence: &mut Evidence| {
        evidence.provision.secrets_in_ledger.push("database".to_owned());
    };
    assert_eq!(broken_by(3, leak), ["U10"]);
}

#[test]
fn an_application_of_observability_that_does_not_run_fails_its_check() {
    for app in ["alloy", "loki", "prometheus"] {
        let stop = |_: &EnvironmentSpec, evidence: &mut Evidence| {
            evidence.objects.retain(|object| object["metadata"]["name"] != format!("exokit-{app}"));
            evidence.objects.push(deployment(app, 0));
        };
        assert_eq!(broken_by(6, stop), ["T6-14"]);
    }
}

#[test]
fn too_few_votes_fail_their_check() {
    for level in [None, Some(ApprovalLevel::One)] {
        assert_eq!(broken_by(3, |_, evidence| evidence.provision.approved_level = level), ["T3-15"]);
    }
}
