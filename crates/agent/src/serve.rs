//! The agent's process: HTTP, NATS and the worker, from start to stop.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use exokit_ledger::LedgerError;
use exokit_nats::NatsOptions;
use exokit_service::Service;
use exokit_service::worker::{Worker, WorkerEvent, is_held};
use exokit_wire::failure::Failure;
use futures_util::FutureExt as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::http::{self, Rates, Timeouts};
use crate::metrics::Metrics;
use crate::nats::NatsServer;
use crate::status::stopped;
use crate::tokens::{TokenFile, Tokens};

pub use crate::status::{ServeError, ServeEvent};

/// Interval of checks that the ledger can be written.
const LEDGER_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Interval of checks for a changed token file.
const TOKENS_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How the agent runs.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address of HTTP.
    pub listen: SocketAddr,
    /// The NATS server, if any.
    pub nats: Option<NatsOptions>,
    /// Folder of the ledger and of the cursor of published events.
    pub folder: PathBuf,
    /// File of the bearer tokens.
    pub tokens: PathBuf,
    /// Rate limits of HTTP.
    pub rates: Rates,
}

/// Runs the agent until `stop` completes. Then it takes no new requests, answers
/// those in flight, and leaves running operations to the next process.
///
/// # Errors
/// When the agent cannot start, when NATS denies a permission, and when the
/// ledger cannot be written any more.
pub async fn serve(
    options: ServeOptions,
    service: Service,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
    events: mpsc::UnboundedSender<ServeEvent>,
) -> Result<(), ServeError> {
    let (stopper, stop_signal) = watch::channel(false);
    let listen = options.listen;
    let listener = TcpListener::bind(listen).await;
    let listener = listener.map_err(|source| ServeError::Listen(listen, source))?;
    let address = listener.local_addr().unwrap_or(listen);
    let tokens = Arc::new(RwLock::new(read_tokens(&options)?.0));
    let connected = watch::Sender::new(false);
    let router = http::router(http::RouterConfig {
        service: service.clone(),
        metrics: metrics.clone(),
        tokens: tokens.clone(),
        nats: options.nats.as_ref().map(|_| connected.subscribe()),
        rates: options.rates,
        stop: stop_signal.clone(),
    });
    metrics.watch_commits(service.engine().parts().ledger.as_ref());
    let mut tasks: JoinSet<Result<(), ServeError>> = JoinSet::new();
    let until_stopped = || stopped(stop_signal.clone());
    tasks.spawn(http::serve(listener, router, Timeouts::default(), until_stopped()).map(Ok));
    tasks.spawn(work(service.clone(), metrics.clone(), until_stopped()).map(Ok));
    tasks.spawn(count(service.clone(), metrics.clone(), until_stopped()).map(Ok));
    tasks.spawn(check_ledger(service.clone(), until_stopped()));
    tasks.spawn(reload_tokens(options.clone(), tokens, until_stopped()).map(Ok));
    if let Some(nats) = options.nats {
        let (folder, events) = (options.folder, events.clone());
        let server = NatsServer { options: nats, folder, service, metrics, connected, events };
        tasks.spawn(server.run(stop_signal.clone()));
    }
    // The caller may have gone away.
    let _ = events.send(ServeEvent::Listening(address));
    tokio::pin!(stop);
    let mut result = tokio::select! {
        biased;
        () = &mut stop => Ok(()),
        Some(ended) = tasks.join_next() => ended.unwrap_or_else(|error| Err(error.into())),
    };
    let _ = stopper.send(true);
    while let Some(ended) = tasks.join_next().await {
        result = result.and(ended.unwrap_or_else(|error| Err(error.into())));
    }
    result
}

async fn work(service: Service, metrics: Arc<Metrics>, stop: impl Future<Output = ()>) {
    Worker::new(service).run(stop, |noticed| note(noticed, &metrics)).await;
}

async fn count(service: Service, metrics: Arc<Metrics>, stop: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = stop => {}
        () = metrics.operations.run(service.engine().parts().ledger.as_ref()) => {}
    }
}

/// Logs what the worker reports, and counts failed polls.
fn note(noticed: WorkerEvent, metrics: &Metrics) {
    match noticed {
        WorkerEvent::Ended(operation, Ok(phase)) => {
            tracing::info!(%operation, phase = phase.name(), "operation ended");
        }
        WorkerEvent::Ended(operation, Err(error)) if is_held(&error) => {
            tracing::debug!(%operation, "another process works on it");
        }
        WorkerEvent::Ended(operation, Err(error)) => {
            tracing::warn!(%operation, code = error.code(), %error, "operation not run for now");
        }
        WorkerEvent::Expired(plan) => {
            tracing::info!(environment = %plan.environment, plan = %plan.plan_id, "expired; this plan removes it");
        }
        WorkerEvent::Ending(environment) => tracing::info!(%environment, "it expires soon"),
        WorkerEvent::Blind(failure) => {
            metrics.failed_polls.inc();
            let Failure { code, doing, on, why, .. } = failure;
            tracing::warn!(code, doing, on, why, "something could not be looked at; it is tried again");
        }
    }
}

/// Ends the agent when its ledger cannot be written any more: a new process must
/// read what really is on the disk.
async fn check_ledger(service: Service, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(LEDGER_CHECK_INTERVAL) => {}
        }
        if let Err(error @ LedgerError::Failed { .. }) = service.engine().parts().ledger.probe().await {
            return Err(ServeError::Ledger(error));
        }
    }
}

/// The tokens, and when their file was changed.
fn read_tokens(options: &ServeOptions) -> Result<(Tokens, Option<SystemTime>), ServeError> {
    let path = &options.tokens;
    let failed = |source| ServeError::Tokens(path.clone(), source);
    let changed = match std::fs::metadata(path) {
        Ok(metadata) => metadata.modified().ok(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Tokens::default(), None)),
        Err(error) => return Err(failed(error)),
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let file: TokenFile =
        serde_json::from_str(&text).map_err(|error| failed(std::io::Error::other(error)))?;
    Ok((Tokens::new(file), changed))
}

/// Reloads the tokens when their file changes. While the file cannot be read no
/// token is valid, so that a removed token does not stay valid.
async fn reload_tokens(options: ServeOptions, tokens: Arc<RwLock<Tokens>>, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    let mut seen = None;
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return,
            () = tokio::time::sleep(TOKENS_CHECK_INTERVAL) => {}
        }
        let read = read_tokens(&options).unwrap_or_else(|error| {
            tracing::error!(error = %error, "no token is valid until the file can be read");
            (Tokens::default(), None)
        });
        if seen != Some(read.1) {
            *tokens.write().unwrap_or_else(PoisonError::into_inner) = read.0;
            seen = Some(read.1);
        }
    }
}
