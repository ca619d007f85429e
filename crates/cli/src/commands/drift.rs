//! `exokit drift`: how the cloud differs from the plan.

use exokit_text::format::table;
use exokit_wire::request::DriftRequest;

use crate::args::EnvironmentArgs;
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;

pub(crate) async fn run(connection: &Connection<'_>, args: &EnvironmentArgs) -> Result<Exit, CliError> {
    let drift = connection.call(&DriftRequest { environment: args.environment.clone() }).await?;
    let name = &drift.environment;
    connection.settings.output.data(&drift, || match drift.differences.is_empty() {
        true => format!("No drift: {} resources of {name} are as planned.\n", drift.compared),
        false => {
            let rows = drift.differences.iter().map(|d| {
                [d.node.to_string(), d.field.to_string(), d.planned.to_string(), d.observed.to_string()]
            });
            format!(
                "Drift: {} differences in {} resources of {name}; nothing was repaired.\n\n{}",
                drift.differences.len(),
                drift.compared,
                table(["RESOURCE", "FIELD", "PLANNED", "OBSERVED"], rows)
            )
        }
    })?;
    Ok(Exit::of_comparison(!drift.differences.is_empty()))
}
