//! `exokit teardown`, or `down`: removes an environment and proves it.

use crate::args::TeardownArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::operate::Operator;
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &TeardownArgs) -> Result<Exit, CliError> {
    let operator = Operator::open(settings, args.pace.steps_at_once).await?;
    if let Some(plan) = &args.plan {
        return operator.start(&plan.operation(), args.wait).await;
    }
    let Some(name) = &args.environment else {
        return Err(CliError::new("usage", "reading", "the arguments", "no environment", "name one"));
    };
    let plan = operator.session.engine.plan_teardown(name, &settings.person, None).await;
    let plan = plan.doing("planning to remove", name)?;
    settings.output.note(&exokit_text::plan::heading(&plan));
    settings.output.note(exokit_text::plan::destroys(&plan).trim_end());
    operator.propose(&plan, args.wait).await
}
