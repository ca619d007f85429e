//! `exokit orphans`: what carries our mark and belongs to nothing.

use exokit_service::views;
use exokit_text::format::{duration, table};
use exokit_wire::reply::Orphan;

use crate::args::OrphansArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;

/// The verdict on what belongs to nothing.
const ORPHAN: &str = "orphan";

pub(crate) async fn run(settings: &Settings, args: &OrphansArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Cloud).await?;
    let zone = args.zone.as_ref().unwrap_or(&session.zone);
    let found = session.engine.orphans(zone).await.doing("sweeping", "the account")?;
    let found: Vec<Orphan> = found.iter().map(views::orphan).collect();
    show(settings, &found)
}

/// Prints what was found.
pub(crate) fn show(settings: &Settings, found: &[Orphan]) -> Result<Exit, CliError> {
    settings.output.data(&found, || match found.is_empty() {
        true => "No orphan: everything that carries our mark belongs to an environment.\n".to_owned(),
        false => {
            let rows: Vec<Vec<String>> = found
                .iter()
                .map(|orphan| {
                    let age = orphan.age_seconds.and_then(|age| u64::try_from(age).ok());
                    vec![
                        orphan.kind.to_string(),
                        orphan.name.to_string(),
                        orphan.id.to_string(),
                        orphan.zone.to_string(),
                        age.map_or_else(|| "?".to_owned(), duration),
                        orphan.verdict.to_string(),
                    ]
                })
                .collect();
            table(&["KIND", "NAME", "ID", "ZONE", "AGE", "VERDICT"], &rows)
        }
    })?;
    Ok(match found.iter().any(|orphan| orphan.verdict == ORPHAN) {
        true => Exit::Failed,
        false => Exit::Done,
    })
}
