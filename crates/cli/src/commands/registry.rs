//! `exokit registry`: the whole registry as one document.

use exokit_ledger::export;
use serde_json::json;

use crate::args::RegistryCommand;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;
use crate::state_dir::{read_export, replace};

pub(crate) async fn run(settings: &Settings, command: &RegistryCommand) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Ledger).await?;
    let ledger = session.engine.parts().ledger.as_ref();
    let from = session.state.ledger();
    match command {
        RegistryCommand::Export { out } => {
            let text = format!("{}\n", export::export(ledger).await.doing("exporting", from.display())?);
            match out {
                None => settings.output.raw(text.as_bytes())?,
                Some(path) => {
                    replace(path, text.as_bytes())?;
                    settings.output.note(&format!("The registry is in {}.", path.display()));
                }
            }
        }
        RegistryCommand::Import { file } => {
            let head =
                export::import(ledger, &read_export(file)?).await.doing("importing", file.display())?;
            let value = json!({ "records": head.seq, "head": head.hash });
            settings.output.data(&value, || format!("{} records are in {}.\n", head.seq, from.display()))?;
        }
    }
    Ok(Exit::Done)
}
