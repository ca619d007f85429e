//! `exokit drift`: how the cloud differs from the plan.

use exokit_text::format::table;
use exokit_wire::reply::DriftReply;

use crate::args::DriftArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &DriftArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Cloud).await?;
    let name = &args.environment;
    let drift = session.engine.drift(name).await.doing("comparing", name)?;
    let drifted = !drift.differences.is_empty();
    let (environment, compared) = (name.clone(), drift.compared);
    show(settings, &DriftReply { environment, compared, drifted, differences: drift.differences })
}

/// Prints what differs.
pub(crate) fn show(settings: &Settings, drift: &DriftReply) -> Result<Exit, CliError> {
    let name = &drift.environment;
    let value = serde_json::to_value(drift).unwrap_or_default();
    settings.output.data(&value, || match drift.differences.is_empty() {
        true => format!("No drift: {} resources of {name} are as planned.\n", drift.compared),
        false => {
            let rows: Vec<Vec<String>> = drift
                .differences
                .iter()
                .map(|d| {
                    vec![
                        d.node.to_string(),
                        d.field.to_string(),
                        d.planned.to_string(),
                        d.observed.to_string(),
                    ]
                })
                .collect();
            format!(
                "Drift: {} differences in {} resources of {name}; nothing was repaired.\n\n{}",
                rows.len(),
                drift.compared,
                table(&["RESOURCE", "FIELD", "PLANNED", "OBSERVED"], &rows)
            )
        }
    })?;
    Ok(match drift.differences.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    })
}
