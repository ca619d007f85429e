//! `exokit schema`: what the agent's messages may have.

use exokit_wire::schema::{all, openapi};
use serde_json::Value;

use crate::args::SchemaArgs;
use crate::error::CliError;
use crate::exit::Exit;
use crate::settings::Settings;
use crate::state_dir::replace;

/// Name under which the document of the HTTP routes is printed.
const OPENAPI: &str = "openapi";

pub(crate) fn run(settings: &Settings, args: &SchemaArgs) -> Result<Exit, CliError> {
    let mut known = all();
    known.push((OPENAPI.to_owned(), openapi(env!("CARGO_PKG_VERSION"))));
    match (&args.name, &args.out) {
        (Some(name), _) => {
            let found = known.iter().find(|(known, _)| known == name);
            let (_, schema) = found.ok_or_else(|| {
                let hint = "`exokit schema` prints all names";
                CliError::unusable("no-schema", "finding", name, "there is no such message", hint)
            })?;
            settings.output.raw(text(schema).as_bytes())?;
        }
        (None, Some(folder)) => {
            for (name, schema) in &known {
                replace(&folder.join(format!("{name}.json")), text(schema).as_bytes())?;
            }
            settings.output.note(&format!("{} files are in {}.", known.len(), folder.display()));
        }
        (None, None) => {
            let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            settings.output.data(&names, || names.iter().map(|name| format!("{name}\n")).collect())?;
        }
    }
    Ok(Exit::Done)
}

/// As it stands in a file: a schema has a JSON form by its making.
fn text(schema: &Value) -> String {
    format!("{schema:#}\n")
}
