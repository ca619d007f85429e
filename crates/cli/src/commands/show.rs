//! `exokit show`: one environment.

use exokit_engine::error::EngineError;
use exokit_ledger::{OperationView, Registry};
use exokit_model::ids::EnvironmentName;

use crate::args::EnvironmentArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;
use crate::views;

pub(crate) async fn run(settings: &Settings, args: &EnvironmentArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Ledger).await?;
    let registry = session.registry().await?;
    let name = &args.environment;
    let view = registry.environment(name);
    let view = view.ok_or_else(|| EngineError::NoEnvironment(name.clone())).doing("showing", name)?;
    let operations = operations(&registry, name);
    let mut value = serde_json::to_value(view).unwrap_or_default();
    let open = operations.iter().filter(|operation| !operation.phase.is_terminal());
    value["open"] = open.map(|operation| views::operation::json(operation)).collect();
    let now = session.engine.parts().clock.now();
    settings.output.data(&value, || views::environment::show(view, &operations, now))?;
    Ok(Exit::Done)
}

/// The operations of an environment, oldest first.
pub(crate) fn operations<'r>(registry: &'r Registry, name: &EnvironmentName) -> Vec<&'r OperationView> {
    let view = registry.environment(name);
    view.iter().flat_map(|view| &view.operations).filter_map(|id| registry.operation(id)).collect()
}
