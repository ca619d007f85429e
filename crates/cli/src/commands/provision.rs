//! `exokit provision`, or `up`: makes an environment.

use exokit_model::plan::Plan;
use exokit_wire::request::PlanRequest;

use crate::args::ProvisionArgs;
use crate::change::{change, start};
use crate::connection::Connection;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::Output;
use crate::request_args::ask;

pub(crate) async fn run(connection: &Connection<'_>, args: &ProvisionArgs) -> Result<Exit, CliError> {
    if let Some(plan) = &args.plan {
        return start(connection, plan, args.wait).await;
    }
    let request = PlanRequest::Provision(Box::new(ask(&args.change)?));
    change(connection, &request, args.wait, |plan| announce(&connection.settings.output, plan)).await
}

/// Says what is about to be made.
fn announce(output: &Output, plan: &Plan) {
    for correction in &plan.corrections {
        output.note(&format!(
            "corrected {}: {} -> {}: {}",
            correction.field, correction.from, correction.to, correction.why
        ));
    }
    output.note(&exokit_text::plan::heading(plan));
    output.note(exokit_text::plan::total(plan).trim_end());
}
