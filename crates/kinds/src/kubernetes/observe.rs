//! An object as the API server of its cluster shows it.

use exokit_model::kind::Kind;
use serde_json::Value;

use crate::{DecodeError, Lifecycle, Observed, decode, ownership};

/// Reads an object. What it says of a secret is left out.
pub(crate) fn observe(
    kind: Kind,
    lifecycle: fn(&Value) -> Lifecycle,
    raw: &Value,
) -> Result<Observed, DecodeError> {
    let metadata = raw.get("metadata").unwrap_or(&Value::Null);
    let mut shown = raw.clone();
    if let (Kind::Secret, Some(fields)) = (kind, shown.as_object_mut()) {
        fields.remove("data");
    }
    let is_leaving = metadata.get("deletionTimestamp").is_some();
    Ok(Observed {
        kind,
        id: decode::id(metadata, "uid")?,
        name: decode::text(metadata, "name")?.to_owned(),
        marks: ownership::candidates(metadata, ""),
        lifecycle: if is_leaving { Lifecycle::Deleting } else { lifecycle(raw) },
        created_at: metadata.get("creationTimestamp").and_then(Value::as_str).and_then(|at| at.parse().ok()),
        parent: None,
        raw: shown,
    })
}
