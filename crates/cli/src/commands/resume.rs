//! `exokit resume`: lets a parked operation go on.

use exokit_model::phase::Phase;

use crate::args::ResumeArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::operate::Operator;
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &ResumeArgs) -> Result<Exit, CliError> {
    let operator = Operator::open(settings, args.pace.steps_at_once).await?;
    let name = &args.environment;
    let story = operator.session.story(name).await?;
    let parked = story
        .iter()
        .flat_map(|story| story.operations.iter().rev())
        .find(|operation| matches!(operation.phase, Phase::NeedsHuman { .. }));
    let Some(parked) = parked else {
        let hint = format!(
            "`exokit show {name}` tells where it stands; `exokit watch {name}` takes up unfinished work"
        );
        return Err(CliError::new("wrong-phase", "resuming", name, "nothing of it waits for a human", hint));
    };
    let by = settings.person.as_str();
    operator.session.engine.unpark(&parked.operation, by, args.rollback).await.doing("resuming", name)?;
    operator.run_to_the_end(&parked.operation).await
}
