//! `exokit orphans`: what carries our mark and belongs to nothing.

use exokit_text::format::{duration, table};
use exokit_wire::reply::Orphan;
use exokit_wire::request::OrphansRequest;

use crate::args::OrphansArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;

/// The verdict on what belongs to nothing.
const ORPHAN: &str = "orphan";

pub(crate) async fn run(connection: &Connection<'_>, args: &OrphansArgs) -> Result<Exit, CliError> {
    let found = connection.call(&OrphansRequest { zone: args.zone.clone() }).await?.found;
    connection.settings.output.data(&found, || match found.is_empty() {
        true => "No orphan: everything that carries our mark belongs to an environment.\n".to_owned(),
        false => {
            let rows = found.iter().map(|orphan| {
                let age = orphan.age_seconds.and_then(|age| u64::try_from(age).ok());
                [
                    orphan.kind.to_string(),
                    orphan.name.to_string(),
                    orphan.id.to_string(),
                    orphan.zone.to_string(),
                    age.map_or_else(|| "?".to_owned(), duration),
                    orphan.verdict.to_string(),
                ]
            });
            table(["KIND", "NAME", "ID", "ZONE", "AGE", "VERDICT"], rows)
        }
    })?;
    Ok(Exit::of_comparison(found.iter().any(is_orphan)))
}

/// Whether a resource belongs to nothing.
pub(super) fn is_orphan(found: &Orphan) -> bool {
    found.verdict == ORPHAN
}
