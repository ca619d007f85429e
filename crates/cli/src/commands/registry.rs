//! `exokit registry`: the whole registry as one document.

use exokit_ledger::export;
use exokit_wire::request::ExportRequest;
use serde_json::json;

use crate::args::RegistryCommand;
use crate::connection::Connection;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::Session;
use crate::settings::Settings;
use crate::state_dir::{read_export, replace};

pub(crate) async fn run(settings: &Settings, command: &RegistryCommand) -> Result<Exit, CliError> {
    match command {
        RegistryCommand::Export { out } => {
            let connection = Connection::open(settings, None).await?;
            let text = format!("{}\n", export(&connection).await?);
            match out {
                None => settings.output.raw(text.as_bytes())?,
                Some(path) => {
                    replace(path, text.as_bytes())?;
                    settings.output.note(&format!("The registry is in {}.", path.display()));
                }
            }
        }
        RegistryCommand::Import { file } => {
            let session = Session::open(settings).await?;
            let ledger = session.engine.parts().ledger.as_ref();
            let head =
                export::import(ledger, &read_export(file)?).await.doing("importing", file.display())?;
            let value = json!({ "records": head.seq, "head": head.hash });
            let path = session.state.ledger();
            settings.output.data(&value, || format!("{} records are in {}.\n", head.seq, path.display()))?;
        }
    }
    Ok(Exit::Done)
}

/// Asks for all records, and makes the document that they are.
async fn export(connection: &Connection<'_>) -> Result<String, CliError> {
    let mut request = ExportRequest::default();
    let mut records = Vec::new();
    loop {
        let page = connection.call(&request).await?;
        records.extend(page.records);
        // A page that leads back would be asked for for ever.
        match page.next.filter(|next| *next > request.after) {
            Some(next) => request.after = next,
            None => break,
        }
    }
    let from = connection.client.transport.address();
    let document = export::document(records).doing("exporting", from)?;
    serde_json::to_string_pretty(&document).map_err(std::io::Error::other).doing("exporting", from)
}
