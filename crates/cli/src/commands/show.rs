//! `exokit show`: one environment.

use exokit_engine::error::EngineError;
use exokit_service::views;

use crate::args::EnvironmentArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::operate::{in_full, open_lines};
use crate::session::{Reach, Session};
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &EnvironmentArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Ledger).await?;
    let name = &args.environment;
    let story = session.story(name).await?;
    let story = story.ok_or_else(|| EngineError::NoEnvironment(name.clone())).doing("showing", name)?;
    let (view, operations) = (&story.view, &story.operations);
    let mut value = serde_json::to_value(view).unwrap_or_default();
    let open = operations.iter().filter(|operation| !operation.phase.is_terminal());
    value["open"] = open.map(|view| in_full(&views::operation(view))).collect();
    let now = session.engine.parts().clock.now();
    settings
        .output
        .data(&value, || exokit_text::environment::show(view, &open_lines(operations, now), now))?;
    Ok(Exit::Done)
}
