//! The schemas that are checked in are those of the types, they are schemas,
//! and what the types accept and refuse is what they say.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use exokit_wire::decode;
use exokit_wire::openapi;
use exokit_wire::request::{PlanRequest, ProvisionRequest, SelectRequest, StatusRequest};
use exokit_wire::schema::{all, request};
use exokit_wire::verb::{Message, Verb};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

#[test]
fn the_checked_in_schemas_are_those_of_the_types() {
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let version = env!("CARGO_PKG_VERSION");
    let document = ("openapi".to_owned(), openapi::document(version));
    for (name, schema) in all().into_iter().map(|named| (named.name, named.schema)).chain([document]) {
        let file = format!("{name}.json");
        let found = fs::read_to_string(folder().join(&file)).unwrap_or_default();
        assert!(found == format!("{schema:#}\n"), "run `exokit schema --out schemas` for {file}");
        expected.insert(file);
    }
    let files = fs::read_dir(folder()).unwrap();
    let found: BTreeSet<String> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_message_has_a_schema_that_is_one() {
    for named in all() {
        let meta = jsonschema::meta::validate(&named.schema);
        assert!(meta.is_ok(), "{}: {meta:?}", named.name);
    }
    assert_eq!(all().len(), 2 * Verb::ALL.len() + 4);
}

/// Whether schema and decoder say the same of a message.
#[track_caller]
fn check<M: Message>(message: Value, is_good: bool) {
    let schema = request(M::VERB);
    let by_schema = jsonschema::validator_for(&schema).unwrap().is_valid(&message);
    let decoded = decode::request::<M>(message.to_string().as_bytes());
    assert_eq!(by_schema, is_good, "the schema of {}: {message}", M::VERB.name());
    assert_eq!(decoded.is_ok(), is_good, "{}: {message}: {:?}", M::VERB.name(), decoded.err());
}

#[test]
fn schema_and_decoder_agree() {
    check::<SelectRequest>(json!({ "schema_version": 1 }), true);
    check::<SelectRequest>(json!({ "schema_version": 1, "database": "pg", "hourly_max": "0.3" }), true);
    check::<SelectRequest>(json!({ "schema_version": 1, "database": "mysql" }), false);
    check::<SelectRequest>(json!({ "schema_version": 2 }), false);
    check::<SelectRequest>(json!({ "database": "pg" }), false);
    check::<SelectRequest>(json!({ "schema_version": 1, "databse": "pg" }), false);
    check::<SelectRequest>(json!({ "schema_version": 1, "requester": "Kim" }), false);
    check::<SelectRequest>(json!({ "schema_version": 1, "idempotency_key": "" }), false);
    check::<SelectRequest>(json!({ "schema_version": 1, "idempotency_key": "a b" }), false);
    check::<SelectRequest>(json!({ "schema_version": 1, "nodes_min": -1 }), false);
    check::<StatusRequest>(json!({ "schema_version": 1, "environment": "first" }), true);
    check::<StatusRequest>(json!({ "schema_version": 1, "environment": "First" }), false);
    check::<StatusRequest>(json!({ "schema_version": 1, "environment": "a".repeat(41) }), false);
    check::<StatusRequest>(json!({ "schema_version": 1 }), false);
    check::<PlanRequest>(json!({ "schema_version": 1, "provision": { "template": "T1" } }), true);
    check::<PlanRequest>(json!({ "schema_version": 1, "teardown": { "environment": "first" } }), true);
    check::<PlanRequest>(json!({ "schema_version": 1, "destroy": { "environment": "first" } }), false);
    check::<PlanRequest>(json!({ "schema_version": 1 }), false);
    let both = json!({ "schema_version": 1, "teardown": { "environment": "a" }, "provision": {} });
    check::<PlanRequest>(both, false);
    let ask = json!({ "template": "T3", "zone": "ch-gva-2", "shape": { "nodes": 3 } });
    let provision = json!({ "schema_version": 1, "requester": "kim", "idempotency_key": "k", "ask": ask });
    check::<ProvisionRequest>(provision, true);
    for token in [json!("a.b.c"), json!(["a", "b"])] {
        let plan = "plan_abcdefghijklmnop";
        check::<ProvisionRequest>(
            json!({ "schema_version": 1, "plan_id": plan, "approval_token": token }),
            true,
        );
    }
    check::<ProvisionRequest>(json!({ "schema_version": 1, "plan_id": "plan_x" }), false);
    check::<ProvisionRequest>(json!({ "schema_version": 1, "ask": { "zone": "nowhere" } }), false);
}

#[test]
fn every_operation_is_in_the_document_with_its_scope_and_its_parameters() {
    let document = openapi::document("0");
    for verb in Verb::ALL {
        let method = format!("{:?}", verb.method()).to_lowercase();
        let operation = &document["paths"][verb.path()][&method];
        assert_eq!(operation["x-subject"], verb.subject());
        assert_eq!(operation["x-scope"], verb.scope().as_str());
        let parameters = operation["parameters"].as_array().unwrap();
        let in_path = |p: &&Value| p["in"] == "path" && p["required"] == true;
        let named: BTreeSet<&str> =
            parameters.iter().filter(in_path).filter_map(|p| p["name"].as_str()).collect();
        assert_eq!(named, verb.path_parameters().collect());
    }
    let text = document.to_string();
    assert!(!text.contains("$defs"), "every definition has moved");
}
