//! `exokit audit verify`: whether the ledger is what was written.

use std::path::PathBuf;

use exokit_ledger::export;
use exokit_wire::request::{Anchor, AuditRequest};
use serde_json::json;

use crate::args::AuditCommand;
use crate::connection::Connection;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::state_dir::read_export;

pub(crate) async fn run(settings: &Settings, command: &AuditCommand) -> Result<Exit, CliError> {
    let AuditCommand::Verify { anchor } = command;
    let export = |file: &PathBuf| export::read(&read_export(file)?).doing("reading", file.display());
    let head = anchor.as_ref().map(export).transpose()?.map(|export| export.head);
    let anchor = head.map(|head| Anchor { seq: head.seq, hash: head.hash });
    // An audit makes no ledger.
    if settings.agent.is_none() {
        let path = settings.workspace()?.state.ledger();
        if !path.exists() {
            let hint = "say where the state is with --state, or make something first";
            return Err(CliError::new("ledger", "auditing", path.display(), "there is no ledger", hint));
        }
    }
    let audit = Connection::open(settings, None).await?.call(&AuditRequest { anchor }).await?;
    let mut value = serde_json::to_value(&audit).unwrap_or_default();
    value["whole"] = json!(true);
    settings.output.data(&value, || {
        format!(
            "The ledger is whole: {} records, {} environments, {} operations.\nIts end is {} {}\n",
            audit.records, audit.environments, audit.operations, audit.records, audit.head
        )
    })
}
