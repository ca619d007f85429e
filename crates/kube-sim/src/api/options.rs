//! Options of writes: dry run, field manager, field validation.

use super::call::Call;
use crate::refusal::{Cause, Refusal};
use serde_json::json;

/// The longest name of a field manager.
const MANAGER_BYTES_MAX: usize = 128;

/// Refuses options that the server does not know.
pub(crate) fn check_write(call: &Call<'_>, kind: &str) -> Result<(), Refusal> {
    check_dry_run(call.query.get("dryRun"), kind)?;
    if call.query.get("fieldManager").is_some_and(|manager| manager.len() > MANAGER_BYTES_MAX) {
        return Err(Refusal::invalid_options(kind, &Cause::too_long("fieldManager", MANAGER_BYTES_MAX)));
    }
    let validation = call.query.get("fieldValidation").unwrap_or_default();
    let choices = ["", "Ignore", "Strict", "Warn"];
    if choices.contains(&validation) {
        return Ok(());
    }
    let choices = choices.map(str::to_owned);
    let cause = Cause::unsupported("fieldValidation", &json!(validation), &choices);
    Err(Refusal::invalid_options(kind, &cause))
}

/// Refuses a dry run of another kind than the one that there is.
pub(crate) fn check_dry_run(value: Option<&str>, kind: &str) -> Result<(), Refusal> {
    match value {
        None | Some("All") => Ok(()),
        Some(other) => {
            let cause = Cause::unsupported("dryRun", &json!([other]), &["All".to_owned()]);
            Err(Refusal::invalid_options(kind, &cause))
        }
    }
}
