//! `exokit serve`: the agent.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use exokit_agent::http::Rates;
use exokit_agent::metrics::Metrics;
use exokit_agent::serve::{ServeEvent, ServeOptions, serve};
use exokit_model::text::excerpt;
use exokit_service::admission::Limits;
use serde_json::json;
use tokio::sync::mpsc;

use crate::args::ServeArgs;
use crate::embedded::Cloud;
use crate::error::{CliError, Doing as _};
use crate::exit::Exit;
use crate::interrupt::interrupted;
use crate::nats::nats_options;
use crate::session::Session;
use crate::settings::Settings;

pub(crate) async fn run(
    settings: &Settings,
    args: &ServeArgs,
    dropped: Arc<AtomicU64>,
) -> Result<Exit, CliError> {
    let metrics = Arc::new(Metrics::new(dropped));
    let cloud = Cloud::open(settings)?;
    let session = Session::open(settings).await?;
    let session = session.with_cloud(cloud, args.pace.steps_at_once, metrics.clone());
    let limits = Limits { requests: args.requests, operations: args.operations, ..Limits::default() };
    let service = session.service(settings, limits)?;
    let options = ServeOptions {
        listen: args.listen,
        nats: nats_options(settings, &args.nats, "_INBOX.infra")?,
        folder: session.state.root().to_path_buf(),
        tokens: session.state.tokens(),
        rates: Rates { token: args.rate, ..Rates::default() },
    };
    let (tell, told) = mpsc::unbounded_channel();
    let announced = announce(settings, options.nats.is_some(), told);
    let served = serve(options, service, metrics, interrupted(), tell);
    let (served, announced) = tokio::join!(served, announced);
    served.doing("serving", "the agent")?;
    announced?;
    Ok(Exit::Done)
}

/// Prints one line once every door is open; what is missing until then is
/// said once.
async fn announce(
    settings: &Settings,
    with_nats: bool,
    mut told: mpsc::UnboundedReceiver<ServeEvent>,
) -> Result<(), CliError> {
    let (mut http, mut connected, mut missed) = (None, !with_nats, false);
    while let Some(news) = told.recv().await {
        match news {
            ServeEvent::Listening(address) => http = Some(address),
            ServeEvent::NatsConnected => connected = true,
            ServeEvent::NatsUnreachable(why) if !std::mem::replace(&mut missed, true) => {
                let why = excerpt(&why);
                settings.output.note(&format!("NATS is not reached yet, and is tried again: {why}"));
            }
            ServeEvent::NatsUnreachable(_) => {}
        }
        if let (Some(address), true) = (http, connected) {
            let line = json!({ "http": format!("http://{address}"), "nats": with_nats });
            settings.output.raw(format!("{line}\n").as_bytes())?;
            return Ok(());
        }
    }
    Ok(())
}
