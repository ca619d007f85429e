//! The schemas that are checked in are those of the types, and the types accept
//! and refuse what a table says that is put to the schemas, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use exokit_wire::decode;
use exokit_wire::request::{PlanRequest, ProvisionRequest, SelectRequest, StatusRequest};
use exokit_wire::schema::{all, openapi};
use exokit_wire::verb::{Message, Verb};
use serde::Deserialize;
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../schemas")
}

#[test]
fn the_checked_in_schemas_are_those_of_the_types() {
    let mut expected: BTreeSet<String> = BTreeSet::new();
    let version = env!("CARGO_PKG_VERSION");
    let document = ("openapi".to_owned(), openapi(version));
    for (name, schema) in all().into_iter().chain([document]) {
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
fn every_message_has_a_schema() {
    assert_eq!(all().len(), 2 * Verb::ALL.len() + 4);
}

/// A message, and whether it is taken. `tests/platform/test_schemas.py` asks
/// the schemas about the same ones.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    operation: String,
    good: bool,
    message: Value,
}

fn is_request<M: Message>(bytes: &[u8]) -> bool {
    decode::object(bytes)
        .is_ok_and(|mut fields| decode::meta(&mut fields).is_ok() && decode::body::<M>(fields).is_ok())
}

fn is_taken(verb: Verb, bytes: &[u8]) -> bool {
    match verb {
        Verb::Select => is_request::<SelectRequest>(bytes),
        Verb::Status => is_request::<StatusRequest>(bytes),
        Verb::Plan => is_request::<PlanRequest>(bytes),
        Verb::Provision => is_request::<ProvisionRequest>(bytes),
        other => panic!("no message of {} is here", other.name()),
    }
}

#[test]
fn what_is_taken_and_refused_is_what_the_table_says() {
    let table: Vec<Case> = serde_json::from_str(include_str!("messages.json")).unwrap();
    assert!(table.iter().any(|case| case.good) && table.iter().any(|case| !case.good));
    for Case { operation, good, message } in table {
        let verb = *Verb::ALL.iter().find(|verb| verb.subject() == operation).unwrap();
        assert_eq!(is_taken(verb, message.to_string().as_bytes()), good, "{operation}: {message}");
    }
}

#[test]
fn every_operation_is_in_the_document_with_its_scope_and_its_parameters() {
    let document = openapi("0");
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
