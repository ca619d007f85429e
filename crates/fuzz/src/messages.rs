//! The messages of the platform: every request, as it comes over NATS or HTTP,
//! and what others read of what the agent publishes.

use exokit_model::canonical::to_canonical_bytes;
use exokit_wire::decode::{self, DecodeError};
use exokit_wire::envelope::Meta;
use exokit_wire::event::{AgentMessage, ApprovalRequested, EventMessage, TaskUpdate};
use exokit_wire::request::{
    AccessRequest, ApproveRequest, AuditRequest, DenyRequest, DoctorRequest, DriftRequest, EventsRequest,
    ExportRequest, ExtendRequest, HistoryRequest, KeepAliveRequest, KubeconfigRequest, ListRequest,
    OperationsRequest, OrphansRequest, OutputsRequest, PlanRequest, PricesRequest, ProvisionRequest,
    ResumeRequest, RosterRequest, SecretsRequest, SelectRequest, ShowPlanRequest, StatusRequest,
    TeardownRequest, VerifyPricesRequest, VerifyRequest,
};
use exokit_wire::verb::{Message, Verb};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::check_refusal;

/// Reads the bytes as every request; what is accepted as one is written and
/// read again as the same.
pub(crate) fn run(bytes: &[u8]) -> bool {
    let mut fields = match decode::object(bytes) {
        Ok(fields) => fields,
        Err(error) => return refused(&error),
    };
    let meta = match decode::meta(&mut fields) {
        Ok(meta) => meta,
        Err(error) => return refused(&error),
    };
    let read = Verb::ALL.iter().map(|verb| read_as(*verb, &meta, &fields));
    // Every one of them is to read it, not only the first that takes it.
    let accepted = read.fold(false, |any, one| any | one);
    if accepted {
        check_canonical(&fields);
    }
    accepted
}

/// Reads a request of this operation.
fn read_as(verb: Verb, meta: &Meta, fields: &Map<String, Value>) -> bool {
    let (read, of) = match verb {
        Verb::Select => reader::<SelectRequest>(),
        Verb::Plan => reader::<PlanRequest>(),
        Verb::Provision => reader::<ProvisionRequest>(),
        Verb::Teardown => reader::<TeardownRequest>(),
        Verb::Extend => reader::<ExtendRequest>(),
        Verb::Access => reader::<AccessRequest>(),
        Verb::Secrets => reader::<SecretsRequest>(),
        Verb::Kubeconfig => reader::<KubeconfigRequest>(),
        Verb::KeepAlive => reader::<KeepAliveRequest>(),
        Verb::Approve => reader::<ApproveRequest>(),
        Verb::Deny => reader::<DenyRequest>(),
        Verb::Status => reader::<StatusRequest>(),
        Verb::List => reader::<ListRequest>(),
        Verb::ShowPlan => reader::<ShowPlanRequest>(),
        Verb::Roster => reader::<RosterRequest>(),
        Verb::History => reader::<HistoryRequest>(),
        Verb::Events => reader::<EventsRequest>(),
        Verb::Verify => reader::<VerifyRequest>(),
        Verb::Outputs => reader::<OutputsRequest>(),
        Verb::Drift => reader::<DriftRequest>(),
        Verb::Orphans => reader::<OrphansRequest>(),
        Verb::Operations => reader::<OperationsRequest>(),
        Verb::Doctor => reader::<DoctorRequest>(),
        Verb::Prices => reader::<PricesRequest>(),
        Verb::VerifyPrices => reader::<VerifyPricesRequest>(),
        Verb::Audit => reader::<AuditRequest>(),
        Verb::Export => reader::<ExportRequest>(),
        Verb::Resume => reader::<ResumeRequest>(),
    };
    assert_eq!(of, verb, "it is read as another operation");
    read(meta, fields)
}

/// Reads a body as one message.
type Reader = fn(&Meta, &Map<String, Value>) -> bool;

fn reader<M: Message>() -> (Reader, Verb) {
    (read::<M>, M::VERB)
}

/// A request that is sent again is known by the canonical form of its body.
fn check_canonical(fields: &Map<String, Value>) {
    let Ok(canonical) = to_canonical_bytes("a request", fields) else { return };
    let again: Option<Map<String, Value>> = serde_json::from_slice(&canonical).ok();
    let again = again.and_then(|fields| to_canonical_bytes("a request", &fields).ok());
    assert_eq!(again, Some(canonical));
}

fn read<M: Message>(meta: &Meta, fields: &Map<String, Value>) -> bool {
    let message: M = match decode::body(fields.clone()) {
        Ok(message) => message,
        Err(error) => return refused(&error),
    };
    let written = meta.around(&message).map(|value| value.to_string());
    let again = written.ok().and_then(|text| {
        let mut fields = decode::object(text.as_bytes()).ok()?;
        Some((decode::meta(&mut fields).ok()?, decode::body::<M>(fields).ok()?))
    });
    let Some((meta_again, message_again)) = again else {
        panic!("{} is not read again as it is written", M::VERB.name());
    };
    assert_eq!(meta_again, *meta);
    assert_eq!(serde_json::to_value(message_again).ok(), serde_json::to_value(message).ok());
    true
}

fn refused(error: &DecodeError) -> bool {
    let failure = error.failure("fuzz");
    check_refusal(&failure.why, &failure.hint);
    false
}

/// What is published, by agent and orchestrator, as those read it who hear it:
/// what is accepted is written and read again as the same.
pub(crate) fn published(bytes: &[u8]) -> bool {
    let read = [
        again::<EventMessage>(bytes),
        again::<TaskUpdate>(bytes),
        again::<ApprovalRequested>(bytes),
        again::<AgentMessage>(bytes),
    ];
    read.contains(&true)
}

fn again<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> bool {
    let Ok(message) = serde_json::from_slice::<T>(bytes) else { return false };
    let written = serde_json::to_string(&message).expect("what was read has a JSON form");
    let again: T = serde_json::from_str(&written).expect("what was written is read");
    // Numbers with a fraction may differ in their last digit.
    let written_again = serde_json::to_string(&again).expect("what was read has a JSON form");
    assert!(written.contains('.') || written == written_again, "{written} {written_again}");
    true
}

pub(crate) fn published_seeds() -> Vec<Vec<u8>> {
    let event = r#"{"schema_version":1,"seq":7,"hash":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","at":"2026-11-23T10:00:00Z","environment":"first","operation":"op_abcdefghijklmnop","event":{"type":"operation-rolled-back"}}"#;
    let failure = r#"{"status":409,"code":"conflict","doing":"planning","on":"first","why":"it exists","hint":"choose another name"}"#;
    [
        event.to_owned(),
        r#"{"schema_version":1,"task":"infra.plan","update":{"answered":{"result":[1,"a"]}}}"#.to_owned(),
        format!(r#"{{"schema_version":1,"task":"infra.plan","update":{{"refused":{failure}}}}}"#),
        format!(r#"{{"schema_version":1,"task":"infra.plan","update":{{"progress":{event}}}}}"#),
        format!(r#"{{"schema_version":1,"task":"infra.plan","update":{{"ended":{event}}}}}"#),
        r#"{"schema_version":1,"agent":"AZ-INFRA-001","service":"az-infra-provisioner","version":"0.1.0","instance":"a","at":"2026-11-23T10:00:00Z","ready":true,"subjects":["infra.plan"]}"#.to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"schema_version":1,"database":"pg","hourly_max":"0.30","agents":["data-analyst"],"zone":"ch-gva-2"}"#,
        r#"{"schema_version":1,"requester":"kim","idempotency_key":"a/b:c.d-1","ask":{"template":"T3","name":"store","shape":{"nodes":3,"domain":"a.example"}}}"#,
        r#"{"schema_version":1,"ask":{"run_file":{"name":"r.yaml","text":"project_name: x\n"},"ttl_seconds":3600}}"#,
        r#"{"schema_version":1,"plan_id":"plan_abcdefghijklmnop","approval_token":["a.b.c","d.e.f"]}"#,
        r#"{"schema_version":1,"sealed":{"plan":"{}","seal":"0000000000000000000000000000000000000000000000000000000000000000"},"approval_token":"a.b.c"}"#,
        r#"{"schema_version":1,"teardown":{"environment":"first"}}"#,
        r#"{"schema_version":1,"extend":{"environment":"first","ttl_seconds":7200}}"#,
        r#"{"schema_version":1,"requester":"kim","environment":"first","role":"editor","ttl_seconds":3600,"recipient":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        r#"{"schema_version":1,"requester":"kim","environment":"first","values":["database-uri"],"recipient":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        r#"{"schema_version":1,"access":{"environment":"first","terms":{"access":{"kubeconfig":{"role":"admin","ttl_seconds":60}},"recipient":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}}"#,
        r#"{"schema_version":1,"remove":{"environment":"first"}}"#,
        r#"{"schema_version":1,"approval_token":"eyJ.eyJ.sig"}"#,
        r#"{"schema_version":1,"environment":"first","rollback":true}"#,
        r#"{"schema_version":1,"after":7,"operation":"op_abcdefghijklmnop"}"#,
        r#"{"schema_version":1,"plan":"0123456789abcdef"}"#,
        r#"{"schema_version":1,"requester":"kim","environment":"first"}"#,
        r#"{"schema_version":1,"all":true}"#,
        r#"{"schema_version":1,"skip_cloud":true}"#,
        r#"{"schema_version":1,"anchor":{"seq":7,"hash":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}"#,
        r#"{"schema_version":1}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
