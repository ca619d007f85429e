//! `exokit audit verify`: whether the ledger is what was written.

use exokit_ledger::verify::{verify, verify_to};
use exokit_ledger::{Filter, Ledger as _, LedgerError, Registry, export};
use serde_json::json;

use crate::args::AuditArgs;
use crate::args::AuditCommand;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::open_ledger;
use crate::settings::Settings;
use crate::state_dir::read;

pub(crate) async fn run(settings: &Settings, args: &AuditArgs) -> Result<Exit, CliError> {
    let AuditCommand::Verify { anchor } = &args.command;
    let state = &settings.place()?.state;
    let path = state.ledger();
    if !path.exists() {
        let hint = "say where the state is with --state, or make something first";
        return Err(CliError::new("ledger", "auditing", path.display(), "there is no ledger", hint));
    }
    let ledger = open_ledger(state)?;
    let records = match ledger.read(Filter::All, 0).await {
        Err(LedgerError::Damaged { seq, why }) => {
            let bad = exokit_ledger::verify::FirstBad { seq, why };
            return Err(bad).doing("auditing", path.display());
        }
        records => records.doing("auditing", path.display())?,
    };
    let head = match anchor {
        None => verify(&records),
        Some(file) => {
            let anchor = export::read(&read(file)?).doing("reading", file.display())?.head;
            verify_to(&records, &anchor)
        }
    };
    let head = head.doing("auditing", path.display())?;
    // A whole chain can still say things that cannot follow each other.
    let registry = Registry::fold(&records)
        .map_err(|misfit| CliError::new("bad-record", "auditing", path.display(), &misfit, misfit.hint()))?;
    let value = json!({
        "whole": true, "records": head.seq, "head": head.hash,
        "environments": registry.environments().len(), "operations": registry.operations().len(),
    });
    settings.output.data(&value, || {
        format!(
            "The ledger is whole: {} records, {} environments, {} operations.\nIts end is {} {}\n",
            head.seq,
            registry.environments().len(),
            registry.operations().len(),
            head.seq,
            head.hash
        )
    })?;
    Ok(Exit::Done)
}
