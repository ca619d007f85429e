//! Names, ids and numbers: what comes in through arguments, files and replies.

use std::fmt::Display;
use std::str::FromStr;

use exokit_model::canonical::Digest;
use exokit_model::ids::{
    EnvironmentName, KeyId, NodeKey, OperationId, OwnerToken, PersonId, PlanId, ResourceId, RoleName,
    TemplateId, Zone,
};
use exokit_model::kind::Kind;
use exokit_sim::Speed;
use serde_json::Value;

/// How much slower than the real cloud a simulated one can be asked to be.
const SCALE_MAX: f64 = 1_000.0;

/// Every reader of a name on one text: what is accepted is written back the
/// same and has no character that means something in a path, a shell, a label
/// or a log.
pub(crate) fn run(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let slugs = [
        name::<EnvironmentName>(text),
        name::<Zone>(text),
        name::<NodeKey>(text),
        name::<PersonId>(text),
        name::<RoleName>(text),
        name::<KeyId>(text),
        name::<OwnerToken>(text),
        name::<Digest>(text),
        name::<PlanId>(text),
        name::<OperationId>(text),
        name::<ResourceId>(text),
    ];
    if let Ok(plan) = text.parse::<PlanId>() {
        assert_eq!(plan.operation().plan(), plan);
    }
    if let Ok(template) = text.parse::<TemplateId>() {
        assert_eq!(template.to_string().parse::<TemplateId>().ok(), Some(template));
    }
    if let Ok(kind) = serde_json::from_value::<Kind>(Value::String(text.to_owned())) {
        assert_eq!(serde_json::to_value(kind).ok(), Some(Value::String(text.to_owned())));
    }
    if let Ok(Speed::Times(times)) = text.parse::<Speed>() {
        let scale = 1.0 / times;
        assert!(scale > 0.0 && scale <= SCALE_MAX, "{text}: {scale}");
    }
    slugs.contains(&true) || text.parse::<TemplateId>().is_ok() || text.parse::<Speed>().is_ok()
}

fn name<T: FromStr + Display>(text: &str) -> bool
where
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(name) => {
            assert_eq!(name.to_string(), text);
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            assert!(text.bytes().all(plain) && text != "." && text != "..", "{text:?}");
            true
        }
        Err(error) => {
            assert!(error.to_string().len() < 1_500, "{error}");
            false
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "stargate-t1-20261123",
        "ch-dk-2",
        "T3",
        "plan_uvzvy6cjfropkqjf",
        "op_uvzvy6cjfropkqjf",
        "uvzvy6cjfropkqjf",
        "0123456789abcdef",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "00000000-0000-4000-8000-000000000002",
        "60",
        "max",
        "1e3",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}
