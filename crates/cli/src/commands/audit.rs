//! `exokit audit verify`: whether the ledger is what was written.

use exokit_ledger::verify::FirstBad;
use exokit_ledger::{Audit, Head, Ledger as _, LedgerError, SqliteLedger, export};
use serde_json::json;

use crate::args::AuditArgs;
use crate::args::AuditCommand;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::settings::Settings;
use crate::state_dir::{StateDir, read_export};

pub(crate) async fn run(settings: &Settings, args: &AuditArgs) -> Result<Exit, CliError> {
    let AuditCommand::Verify { anchor } = &args.command;
    let state = &settings.place()?.state;
    let path = state.ledger();
    if !path.exists() {
        let hint = "say where the state is with --state, or make something first";
        return Err(CliError::new("ledger", "auditing", path.display(), "there is no ledger", hint));
    }
    let anchor = match anchor {
        None => None,
        Some(file) => Some(export::read(&read_export(file)?).doing("reading", file.display())?.head),
    };
    let audit = match audit(state, anchor).await {
        Err(LedgerError::Damaged { seq, why }) => {
            return Err(FirstBad { seq, why }).doing("auditing", path.display());
        }
        // A whole chain can still say things that cannot follow each other.
        Err(LedgerError::Misfit(misfit)) => {
            let hint = misfit.hint();
            return Err(CliError::new("bad-record", "auditing", path.display(), &misfit, hint));
        }
        audit => audit.doing("auditing", path.display())?,
    };
    if !audit.tables_agreed {
        settings
            .output
            .note("What was computed from the records did not agree with them; it was computed again.");
    }
    let (head, environments, operations) = (audit.head, audit.environments, audit.operations);
    let value = json!({
        "whole": true, "records": head.seq, "head": head.hash,
        "environments": environments, "operations": operations, "tables_agreed": audit.tables_agreed,
    });
    settings.output.data(&value, || {
        format!(
            "The ledger is whole: {} records, {environments} environments, {operations} operations.\nIts end is {} {}\n",
            head.seq, head.seq, head.hash
        )
    })?;
    Ok(Exit::Done)
}

async fn audit(state: &StateDir, anchor: Option<Head>) -> Result<Audit, LedgerError> {
    SqliteLedger::open(state.root())?.audit(anchor).await
}
