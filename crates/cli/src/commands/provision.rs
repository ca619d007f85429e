//! `exokit provision`, or `up`: makes an environment.

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
    note(settings, &planned);
    let plan = &planned.plan;
    for correction in &plan.corrections {
        settings.output.note(&format!(
            "corrected {}: {} -> {}: {}",
            correction.field, correction.from, correction.to, correction.why
        ));
    }
    settings.output.note(&exokit_text::plan::heading(plan));
    settings.output.note(exokit_text::plan::total(plan).trim_end());
    operator.propose(plan, args.wait).await
}
