//! `exokit schema`: what the agent's messages may have.

use exokit_wire::openapi;
use exokit_wire::schema::{Named, all};
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
    let document = openapi::document(env!("CARGO_PKG_VERSION"));
    known.push(Named { name: OPENAPI.to_owned(), schema: document });
    match (&args.name, &args.out) {
        (Some(name), _) => {
            let found = known.iter().find(|named| named.name == *name);
            let found = found.ok_or_else(|| {
                let hint = "`exokit schema` prints all names";
                CliError::new("no-schema", "finding", name, "there is no such message", hint)
                    .exit(Exit::Usage)
            })?;
            settings.output.raw(text(&found.schema).as_bytes())?;
        }
        (None, Some(folder)) => {
            for named in &known {
                replace(&folder.join(format!("{}.json", named.name)), text(&named.schema).as_bytes())?;
            }
            settings.output.note(&format!("{} files are in {}.", known.len(), folder.display()));
        }
        (None, None) => {
            let names: Vec<&str> = known.iter().map(|named| named.name.as_str()).collect();
            settings.output.data(&names, || names.iter().map(|name| format!("{name}\n")).collect())?;
        }
    }
    Ok(Exit::Done)
}

/// As it stands in a file: a schema has a JSON form by its making.
fn text(schema: &Value) -> String {
    format!("{schema:#}\n")
}
