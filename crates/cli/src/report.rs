//! Where an operation stands: for people, for programs, and as an exit code.

use exokit_model::plan::Action;
use exokit_text::operation;
use exokit_wire::reply::OperationReply;
use serde_json::Value;

use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::Settings;

/// Prints where an operation stands and says how the program ends.
pub(crate) fn report(settings: &Settings, operation: &OperationReply) -> Result<Exit, CliError> {
    settings.output.data(&in_full(operation), || match operation.phase.raw() {
        "awaiting-approval" => {
            format!("{}  {}  waiting for approval\n", operation.plan_id, operation.environment)
        }
        _ => operation::text(operation),
    })?;
    let exit = exit(operation);
    if exit == Exit::NeedsHuman {
        crate::output::say(&operation::what_to_do(operation));
    }
    Ok(exit)
}

/// How the program ends after an operation.
pub(crate) fn exit(operation: &OperationReply) -> Exit {
    match operation.phase.raw() {
        "awaiting-approval" => Exit::Waiting,
        "needs-human" => Exit::NeedsHuman,
        "rolled-back" | "rejected" => Exit::Failed,
        _ => Exit::Done,
    }
}

/// An operation for programs. Scripts expect the certificate of a teardown as
/// null before there is one.
pub(crate) fn in_full(operation: &OperationReply) -> Value {
    let mut value = serde_json::to_value(operation).unwrap_or_default();
    if operation.action == Action::Teardown && operation.certificate.is_none() {
        value["certificate"] = Value::Null;
    }
    value
}
