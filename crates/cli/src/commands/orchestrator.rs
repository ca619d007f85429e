//! `exokit orchestrator`: tasks of the platform become requests to the agent.

use exokit_cloud::clock::{Clock as _, SystemClock};
use exokit_model::text::excerpt;
use exokit_nats::{Connection, NatsError, NatsOptions};
use exokit_orchestrator::{AuditLog, Config, Orchestrator, Routes, connect};
use exokit_service::chain;
use exokit_templates::decode_yaml;
use serde_json::json;

use crate::args::OrchestratorArgs;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::interrupt::interrupted;
use crate::keys;
use crate::nats::nats_options;
use crate::settings::Settings;
use crate::state_dir::read;

/// The platform's table.
const ROUTES: &str = include_str!("../../../../communication/routes.yaml");

pub(crate) async fn run(settings: &Settings, args: &OrchestratorArgs) -> Result<Exit, CliError> {
    let routes = routes(args)?;
    let Some(nats) = nats_options(settings, &args.nats, "_INBOX.orchestrator")? else {
        let hint = "say where it is with --nats or EXOKIT_NATS_URL";
        return Err(CliError::unusable("usage", "routing", "tasks", "no NATS server is named", hint));
    };
    // The root key by which rosters are believed. Without one no vote verifies.
    let root = keys::root(settings, args.root.as_ref())?;
    let path = match &args.audit {
        Some(path) => path.clone(),
        None => {
            let state = &settings.workspace()?.state;
            state.create()?;
            state.root().join("orchestrator-audit.jsonl")
        }
    };
    let audit = AuditLog::open(&path).doing("opening the audit log", path.display())?;
    let stop = interrupted();
    tokio::pin!(stop);
    let reached = tokio::select! {
        biased;
        () = &mut stop => return Ok(Exit::Done),
        reached = reached(settings, &nats) => reached,
    };
    let connection = reached.doing("starting", "the orchestrator")?;
    let line = json!({ "tasks": routes.tasks.keys().collect::<Vec<_>>(), "root": root.is_some() });
    let config = Config { routes, root, audit, now: Box::new(|| SystemClock.now()) };
    let orchestrator = Orchestrator::open(connection, config).await.doing("routing", "tasks")?;
    settings.output.raw(format!("{line}\n").as_bytes())?;
    orchestrator.run(stop).await;
    Ok(Exit::Done)
}

/// The connection, as soon as there is one. That there is none yet is said
/// once, and each time in the log.
async fn reached(settings: &Settings, nats: &NatsOptions) -> Result<Connection, NatsError> {
    let mut is_told = false;
    connect(nats, |error| {
        let why = chain(error);
        tracing::warn!(error = why, "NATS is not reached yet");
        if !std::mem::replace(&mut is_told, true) {
            settings.output.note(&format!("NATS is not reached yet, and is tried again: {}", excerpt(&why)));
        }
    })
    .await
}

fn routes(args: &OrchestratorArgs) -> Result<Routes, CliError> {
    let (name, text) = match &args.routes {
        Some(path) => (path.display().to_string(), read(path)?),
        None => ("the platform's table".to_owned(), ROUTES.to_owned()),
    };
    let hint = "communication/routes.yaml shows how a table looks";
    let refused = |why: String| CliError::unusable("file", "reading", &name, why, hint);
    let routes: Routes = decode_yaml(&name, &text).map_err(|error| refused(error.to_string()))?;
    routes.check().map_err(refused)?;
    Ok(routes)
}
