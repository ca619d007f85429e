//! `exokit orphans`: what carries our mark and belongs to nothing.

use exokit_engine::sweep::Verdict;
use exokit_text::format::{duration, plain, table};
use serde_json::Value;

use crate::args::OrphansArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &OrphansArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Cloud).await?;
    let zone = args.zone.as_ref().unwrap_or(&session.zone);
    let found = session.engine.orphans(zone).await.doing("sweeping", "the account")?;
    settings.output.data(&found, || match found.is_empty() {
        true => "No orphan: everything that carries our mark belongs to an environment.\n".to_owned(),
        false => {
            let rows: Vec<Vec<String>> = found
                .iter()
                .map(|orphan| {
                    let verdict = serde_json::to_value(orphan.verdict).ok();
                    let verdict = verdict.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
                    let age = orphan.age_seconds.and_then(|age| u64::try_from(age).ok());
                    vec![
                        orphan.kind.to_string(),
                        plain(&orphan.name),
                        orphan.id.clone(),
                        orphan.zone.to_string(),
                        age.map_or_else(|| "?".to_owned(), duration),
                        verdict,
                    ]
                })
                .collect();
            table(&["KIND", "NAME", "ID", "ZONE", "AGE", "VERDICT"], &rows)
        }
    })?;
    Ok(match found.iter().any(|orphan| orphan.verdict == Verdict::Orphan) {
        true => Exit::Failed,
        false => Exit::Done,
    })
}
