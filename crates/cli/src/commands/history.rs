//! `exokit history`: the story.

use exokit_engine::error::EngineError;
use exokit_ledger::Filter;
use exokit_ledger::history::history;
use exokit_text::format::moment;
use exokit_wire::reply::HistoryLine;

use crate::args::HistoryArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::session::{Reach, Session};
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, args: &HistoryArgs) -> Result<Exit, CliError> {
    let session = Session::open(settings, Reach::Ledger).await?;
    let filter = match &args.environment {
        Some(name) => Filter::Environment(name.clone()),
        None => Filter::All,
    };
    let records = session.engine.parts().ledger.read(filter, 0).await;
    let records = records.doing("reading the ledger", session.state.ledger().display())?;
    if let (Some(name), true) = (&args.environment, records.is_empty()) {
        return Err(EngineError::NoEnvironment(name.clone())).doing("telling the history of", name);
    }
    let lines = history(&records).into_iter();
    let lines: Vec<_> = lines.map(|line| HistoryLine { at: line.at, text: line.text.into() }).collect();
    show(settings, &lines)
}

/// Prints what happened.
pub(crate) fn show(settings: &Settings, lines: &[HistoryLine]) -> Result<Exit, CliError> {
    settings.output.data(&lines, || {
        lines.iter().map(|line| format!("{}  {}\n", moment(line.at), line.text)).collect()
    })?;
    Ok(Exit::Done)
}
