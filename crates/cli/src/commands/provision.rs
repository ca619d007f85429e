//! `exokit provision`, or `up`: makes an environment.

use exokit_model::plan::Plan;

use crate::args::ProvisionArgs;
use crate::asked;
use crate::commands::plan::note;
use crate::error::CliError;
use crate::exit::Exit;
use crate::operate::Operator;
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &ProvisionArgs) -> Result<Exit, CliError> {
    let operator = Operator::open(settings, args.pace.steps_at_once).await?;
    if let Some(plan) = &args.plan {
        return operator.start(&plan.operation(), args.wait).await;
    }
    let planned = asked::plan(settings, &operator.session, &args.change).await?;
    note(settings, planned.selection.as_ref(), &planned.notes);
    announce(settings, &planned.plan);
    operator.propose(&planned.plan, args.wait).await
}

/// Says what is about to be made.
pub(crate) fn announce(settings: &Settings, plan: &Plan) {
    for correction in &plan.corrections {
        settings.output.note(&format!(
            "corrected {}: {} -> {}: {}",
            correction.field, correction.from, correction.to, correction.why
        ));
    }
    settings.output.note(&exokit_text::plan::heading(plan));
    settings.output.note(exokit_text::plan::total(plan).trim_end());
}
