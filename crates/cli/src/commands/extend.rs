//! `exokit extend`: a longer life.

use exokit_engine::propose::ExtensionRequest;

use crate::args::ExtendArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::operate::Operator;
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &ExtendArgs) -> Result<Exit, CliError> {
    let operator = Operator::open(settings, None).await?;
    if let Some(plan) = &args.plan {
        return operator.start(&plan.operation(), args.wait).await;
    }
    let (Some(name), Some(seconds)) = (&args.environment, args.ttl) else {
        let hint = "name an environment and a time, such as `exokit extend first --ttl 4h`";
        return Err(CliError::new("usage", "reading", "the arguments", "something is missing", hint)
            .exit(Exit::Usage));
    };
    let request = ExtensionRequest {
        environment: name.clone(),
        seconds,
        requester: settings.person.clone(),
        break_glass: args.break_glass.clone(),
    };
    let plan = operator.session.engine.plan_extend(request, None).await;
    let plan = plan.doing("planning to extend", name)?;
    settings.output.note(&exokit_text::plan::heading(&plan));
    settings.output.note(exokit_text::plan::total(&plan).trim_end());
    operator.propose(&plan, args.wait).await
}
