//! Options of writes (dry run, field manager, field validation) and of lists.

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

/// Refuses options of a list or a watch that contradict each other.
pub(crate) fn check_list(call: &Call<'_>, is_watch: bool) -> Result<(), Refusal> {
    let matching = call.query.get("resourceVersionMatch").unwrap_or_default();
    let version = call.query.get("resourceVersion").unwrap_or_default();
    let is_initial = call.query.get("sendInitialEvents").is_some();
    let forbidden =
        |field: &str, why: &str| Err(Refusal::invalid_options("ListOptions", &Cause::forbidden(field, why)));
    if is_initial && !is_watch {
        return forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list");
    }
    if is_initial && matching != "NotOlderThan" {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return forbidden("resourceVersionMatch", why);
    }
    if !is_watch && !matching.is_empty() && version.is_empty() {
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        return forbidden("resourceVersionMatch", why);
    }
    if !is_watch && matching == "Exact" && version == "0" {
        let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
        return forbidden("resourceVersionMatch", why);
    }
    if !is_watch && !version.is_empty() && version.parse::<u64>().is_err() {
        let why = format!("invalid resource version: {}", unreadable_version(version));
        return Err(Refusal::bad_request(why));
    }
    Ok(())
}

/// The most items that a list may have; 0 is no limit.
pub(crate) fn limit(call: &Call<'_>) -> Result<Option<usize>, Refusal> {
    let Some(text) = call.query.get("limit") else {
        return Ok(None);
    };
    let limit: usize = text
        .parse()
        .map_err(|_| Refusal::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))?;
    Ok((limit > 0).then_some(limit))
}

/// As the real server words a version that is no number.
pub(crate) fn unreadable_version(text: &str) -> String {
    format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")
}
