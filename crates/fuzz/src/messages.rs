//! The messages of the agent: every request, as it comes over NATS or HTTP.

use exokit_model::canonical::to_canonical_bytes;
use exokit_wire::decode::{self, DecodeError};
use exokit_wire::envelope::Meta;
use exokit_wire::request::{
    ApproveRequest, DenyRequest, DriftRequest, EventsRequest, ExtendRequest, HistoryRequest, ListRequest,
    OrphansRequest, PlanRequest, ProvisionRequest, ResumeRequest, RosterRequest, SelectRequest,
    ShowPlanRequest, StatusRequest, TeardownRequest,
};
use exokit_wire::verb::Message;
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
    let accepted = [
        read::<SelectRequest>(&meta, &fields),
        read::<PlanRequest>(&meta, &fields),
        read::<ProvisionRequest>(&meta, &fields),
        read::<TeardownRequest>(&meta, &fields),
        read::<ExtendRequest>(&meta, &fields),
        read::<ApproveRequest>(&meta, &fields),
        read::<DenyRequest>(&meta, &fields),
        read::<StatusRequest>(&meta, &fields),
        read::<ListRequest>(&meta, &fields),
        read::<ShowPlanRequest>(&meta, &fields),
        read::<RosterRequest>(&meta, &fields),
        read::<HistoryRequest>(&meta, &fields),
        read::<EventsRequest>(&meta, &fields),
        read::<DriftRequest>(&meta, &fields),
        read::<OrphansRequest>(&meta, &fields),
        read::<ResumeRequest>(&meta, &fields),
    ];
    let accepted = accepted.contains(&true);
    if accepted {
        check_canonical(&fields);
    }
    accepted
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
    let again = written.map(|text| decode::request::<M>(text.as_bytes()));
    let Ok(Ok((meta_again, message_again))) = again else {
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

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        r#"{"schema_version":1,"database":"pg","hourly_max":"0.30","agents":["data-analyst"],"zone":"ch-gva-2"}"#,
        r#"{"schema_version":1,"requester":"kim","idempotency_key":"a/b:c.d-1","ask":{"template":"T3","name":"store","shape":{"nodes":3,"domain":"a.example"}}}"#,
        r#"{"schema_version":1,"ask":{"run_file":{"name":"r.yaml","text":"project_name: x\n"},"ttl_seconds":3600}}"#,
        r#"{"schema_version":1,"plan_id":"plan_abcdefghijklmnop","approval_token":["a.b.c","d.e.f"]}"#,
        r#"{"schema_version":1,"sealed":{"plan":"{}","seal":"0000000000000000000000000000000000000000000000000000000000000000"},"approval_token":"a.b.c"}"#,
        r#"{"schema_version":1,"teardown":{"environment":"first"}}"#,
        r#"{"schema_version":1,"extend":{"environment":"first","ttl_seconds":7200}}"#,
        r#"{"schema_version":1,"remove":{"environment":"first"}}"#,
        r#"{"schema_version":1,"approval_token":"eyJ.eyJ.sig"}"#,
        r#"{"schema_version":1,"environment":"first","rollback":true}"#,
        r#"{"schema_version":1,"after":7,"operation":"op_abcdefghijklmnop"}"#,
        r#"{"schema_version":1,"plan":"0123456789abcdef"}"#,
        r#"{"schema_version":1,"all":true}"#,
        r#"{"schema_version":1}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
