//! The process: all doors, the rounds and the events, from start to stop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use async_nats::{Client, Event};
use exokit_ledger::LedgerError;
use exokit_nats::{Connection, NatsError, NatsOptions, Permission, connect_with_permissions};
use exokit_service::publisher::{self, Publisher};
use exokit_service::worker::{Noticed, Worker, is_held};
use exokit_service::{Service, chain};
use exokit_wire::failure::Failure;
use exokit_wire::verb::Verb;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::cursor::FileCursor;
use crate::http::{self, Links, Rates, Waits};
use crate::metrics::Metrics;
use crate::nats::presence::{BROADCAST, Presence};
use crate::nats::{self, Counts, Described, Door, NatsBus};
use crate::tokens::{TokenFile, Tokens};

/// Name of the connection, for the operators of the server.
const NAME: &str = "exokit AZ-INFRA-001";

/// Pause before another attempt to publish events.
const RETRY: Duration = Duration::from_secs(2);

/// How often it is looked whether the ledger can be written.
const LEDGER_LOOK: Duration = Duration::from_secs(1);

/// How often it is looked whether the tokens have changed.
const TOKENS_LOOK: Duration = Duration::from_secs(2);

/// How the agent runs.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// The bus; none without one.
    pub nats: Option<NatsOptions>,
    /// Folder of the ledger, where the cursor of the events is kept.
    pub folder: PathBuf,
    /// File of the bearer tokens.
    pub tokens: PathBuf,
    /// How often may be asked over HTTP.
    pub rates: Rates,
}

/// Why the agent does not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// HTTP cannot be served there.
    #[error("listening on {listen}")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The bus.
    #[error("using NATS")]
    Nats(#[from] NatsError),
    /// The tokens cannot be read.
    #[error("reading the tokens in {}", .path.display())]
    Tokens {
        /// Their file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A part of the agent broke off.
    #[error("a part of the agent broke off: {0}")]
    Broken(#[from] tokio::task::JoinError),
    /// The thread of the bus cannot be prepared.
    #[error("preparing the thread of the bus")]
    Thread(#[source] std::io::Error),
    /// The ledger takes nothing more in this process.
    #[error("writing the ledger")]
    Ledger(#[source] LedgerError),
    /// Where it is kept how far events were published.
    #[error("opening the cursor of the events in {}", .folder.display())]
    Cursor {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ServeError {
    /// What to do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            ServeError::Listen { .. } => "choose another address with --listen; port 0 takes a free one",
            ServeError::Nats(error) => error.hint(),
            ServeError::Broken(_) => "start it again, which loses nothing, and report it with the log",
            ServeError::Ledger(_) => {
                "check the disk, then start it again: only a new process may judge what is on it"
            }
            ServeError::Thread(_) => "check the limits of this host on open files",
            ServeError::Tokens { .. } => "restore the file, or remove it and make new tokens",
            ServeError::Cursor { .. } => "check the disk and the rights on the folder",
        }
    }
}

/// What is told to whoever started the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// HTTP is served here.
    Listening(SocketAddr),
    /// The bus is connected, and allows what is needed.
    Connected,
    /// The bus cannot be reached yet.
    Unreached(String),
}

/// Runs the agent until `stop` comes true: then no new requests are taken,
/// those under way are answered, and work is left to whoever comes next.
///
/// # Errors
/// When it cannot begin, and when the bus denies what is needed.
pub async fn serve(
    options: ServeOptions,
    service: Service,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
    tell: mpsc::UnboundedSender<Told>,
) -> Result<(), ServeError> {
    let (stopper, stopped) = watch::channel(false);
    let listener = TcpListener::bind(options.listen).await;
    let listen = options.listen;
    let listener = listener.map_err(|source| ServeError::Listen { listen, source })?;
    let tokens = Arc::new(RwLock::new(read_tokens(&options)?.0));
    let connected = options.nats.as_ref().map(|_| Arc::new(AtomicBool::new(false)));
    let router = http::router(http::Parts {
        service: service.clone(),
        metrics: metrics.clone(),
        tokens: tokens.clone(),
        links: Links { nats: connected.clone() },
        rates: options.rates,
        stopped: stopped.clone(),
    });
    let address = listener.local_addr().unwrap_or(listen);
    let mut tasks: JoinSet<Result<(), ServeError>> = JoinSet::new();
    let until = until_of(&stopped);
    tasks.spawn(async move {
        http::serve(listener, router, Waits::default(), until).await;
        Ok(())
    });
    let (worker, until_stopped) = (Worker::new(service.clone()), until_of(&stopped));
    let noted_in = metrics.clone();
    tasks.spawn(async move {
        worker.run(until_stopped, |noticed| note(noticed, &noted_in)).await;
        Ok(())
    });
    metrics.watch_commits(service.engine().parts().ledger.as_ref());
    let (counted, ledger, until_stopped) =
        (metrics.clone(), service.engine().parts().ledger.clone(), until_of(&stopped));
    tasks.spawn(async move {
        tokio::select! {
            biased;
            () = until_stopped => {}
            () = counted.follow(ledger.as_ref()) => {}
        }
        Ok(())
    });
    tasks.spawn(watch_ledger(service.clone(), until_of(&stopped)));
    tasks.spawn(follow_tokens(options.clone(), tokens, until_of(&stopped)));
    if let (Some(nats), Some(connected)) = (options.nats.clone(), connected) {
        let (options, tell, workers) = (options.clone(), tell.clone(), Handle::current());
        let bus = BusTask { options, nats, service, metrics, connected, tell, workers };
        let stopped = stopped.clone();
        tasks.spawn_blocking(move || bus.run_alone(stopped));
    }
    // Whoever started it may have gone away.
    let _ = tell.send(Told::Listening(address));
    tokio::pin!(stop);
    let first = tokio::select! {
        biased;
        () = &mut stop => Ok(()),
        ended = tasks.join_next() => flat(ended),
    };
    let _ = stopper.send(true);
    let mut result = first;
    while let Some(ended) = tasks.join_next().await {
        result = result.and(flat(Some(ended)));
    }
    result
}

fn flat(ended: Option<Result<Result<(), ServeError>, tokio::task::JoinError>>) -> Result<(), ServeError> {
    match ended {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(error.into()),
        None => Ok(()),
    }
}

/// Comes true when the agent stops.
fn until_of(stopped: &watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stopped = stopped.clone();
    async move {
        // An error says that the agent is gone.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

/// Notes what the rounds notice in the log, and counts what could not be looked
/// at.
fn note(noticed: Noticed, metrics: &Metrics) {
    match noticed {
        Noticed::Ended(operation, Ok(phase)) => {
            tracing::info!(%operation, phase = phase.name(), "operation ended");
        }
        Noticed::Ended(operation, Err(error)) if is_held(&error) => {
            tracing::debug!(%operation, "another process works on it");
        }
        Noticed::Ended(operation, Err(error)) => {
            tracing::warn!(%operation, code = error.code(), %error, "operation not run for now");
        }
        Noticed::Expired(plan) => {
            tracing::info!(environment = %plan.environment, plan = %plan.plan_id, "expired; this plan removes it");
        }
        Noticed::Ending(environment) => tracing::info!(%environment, "it expires soon"),
        Noticed::Blind(failure) => {
            metrics.blind_round();
            let Failure { code, doing, on, why, .. } = failure;
            tracing::warn!(code, doing, on, why, "something could not be looked at; it is tried again");
        }
    }
}

/// Ends the agent when its ledger takes nothing more: whoever watches over it
/// starts a new one, which reads what really is on the disk.
async fn watch_ledger(service: Service, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
    tokio::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(LEDGER_LOOK) => {}
        }
        if let Err(error @ LedgerError::Failed { .. }) = service.engine().parts().ledger.probe().await {
            return Err(ServeError::Ledger(error));
        }
    }
}

/// The tokens, and when their file changed last.
fn read_tokens(options: &ServeOptions) -> Result<(Tokens, Option<SystemTime>), ServeError> {
    let path = &options.tokens;
    let failed = |source| ServeError::Tokens { path: path.clone(), source };
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

/// Takes over new and removed tokens while the agent runs. A file that cannot
/// be read leaves nobody in: what was removed must not stay.
async fn follow_tokens(
    options: ServeOptions,
    tokens: Arc<RwLock<Tokens>>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    tokio::pin!(stop);
    let mut seen = None;
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(TOKENS_LOOK) => {}
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

/// Everything on the bus.
struct BusTask {
    options: ServeOptions,
    nats: NatsOptions,
    service: Service,
    metrics: Arc<Metrics>,
    connected: Arc<AtomicBool>,
    tell: mpsc::UnboundedSender<Told>,
    workers: Handle,
}

impl BusTask {
    /// Runs on this thread alone. What the server sends in one piece is read,
    /// answered and sent back in one piece; were reading and writing on
    /// different threads, each answer would wake the other one up.
    fn run_alone(self, stopped: watch::Receiver<bool>) -> Result<(), ServeError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)?;
        runtime.block_on(self.run(stopped))
    }

    async fn run(self, stopped: watch::Receiver<bool>) -> Result<(), ServeError> {
        self.begin_events().await?;
        let connected = tokio::select! {
            biased;
            () = until_of(&stopped) => return Ok(()),
            connected = self.connect() => connected,
        };
        let (Connection { client, events }, described) = connected?;
        let counts = Arc::new(Counts::default());
        let (service, metrics) = (self.service.clone(), self.metrics.clone());
        let door = Door::open(client.clone(), service, metrics, counts.clone(), self.workers.clone()).await?;
        self.connected.store(true, Ordering::Relaxed);
        let _ = self.tell.send(Told::Connected);
        let presence = Presence::new(client.clone(), self.service.clone());
        let publishing = self.publish(NatsBus::new(client.clone()).await?);
        let work = async {
            let (_, present, told) = tokio::join!(
                door.run(until_of(&stopped)),
                presence.run(until_of(&stopped)),
                self.describe(described, &client, counts, until_of(&stopped)),
            );
            present.and(told)
        };
        tokio::select! {
            biased;
            present = work => present?,
            never = publishing => match never {},
            () = listen(events, self.connected.clone()) => {}
        }
        exokit_nats::flush(&client).await;
        Ok(())
    }

    /// Events begin with what is recorded from now on, though the server may be
    /// reached much later.
    async fn begin_events(&self) -> Result<(), ServeError> {
        // Whoever has the cursor has begun.
        let Some(cursor) = self.cursor()? else { return Ok(()) };
        if let Err(error) = publisher::begin(&self.service, &cursor).await {
            tracing::warn!(error = %chain(&error), "events do not begin yet");
        }
        Ok(())
    }

    /// The cursor of the events; none when another process has it.
    fn cursor(&self) -> Result<Option<FileCursor>, ServeError> {
        let folder = &self.options.folder;
        FileCursor::open(folder).map_err(|source| ServeError::Cursor { folder: folder.clone(), source })
    }

    /// Connects with the permissions that the agent needs, and says whether it
    /// may be described as a micro service. While the server is away, the ledger
    /// and HTTP do their work.
    async fn connect(&self) -> Result<(Connection, bool), NatsError> {
        let (required, optional) = (permissions(), nats::description_permissions());
        let report = |error: &NatsError| {
            let _ = self.tell.send(Told::Unreached(chain(error)));
            tracing::warn!(error = %chain(error), "NATS is not reached yet");
        };
        connect_with_permissions((&self.nats, NAME), &required, &optional, report).await
    }

    /// Describes the agent as a micro service, where that is allowed.
    async fn describe(
        &self,
        allowed: bool,
        client: &Client,
        counts: Arc<Counts>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), NatsError> {
        if !allowed {
            tracing::info!("not described as a NATS micro service: the server denies $SRV");
            return Ok(());
        }
        let now = self.service.engine().parts().clock.now();
        Described::new(client.clone(), counts, now).run(stop).await
    }

    /// Publishes events, if no other process of this ledger does.
    async fn publish(&self, bus: NatsBus) -> Infallible {
        loop {
            match self.cursor() {
                Ok(Some(cursor)) => Publisher::new(&self.service, &bus, &cursor).run().await,
                // Another process publishes; it may end.
                Ok(None) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "events wait to be published"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// What the bus must allow. Only subjects that nobody listens to are tried.
fn permissions() -> Vec<Permission> {
    let publish = ["infra.preflight", "orchestrator.preflight"];
    let subscribe = Verb::ALL.iter().map(|verb| verb.subject()).chain([BROADCAST]);
    let publish = publish.into_iter().map(|subject| Permission::Publish(subject.to_owned()));
    publish.chain(subscribe.map(|subject| Permission::Subscribe(subject.to_owned()))).collect()
}

/// Notes what the server says until it says no more.
async fn listen(mut events: mpsc::UnboundedReceiver<Event>, connected: Arc<AtomicBool>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Connected => {
                connected.store(true, Ordering::Relaxed);
                tracing::info!("NATS is connected");
            }
            Event::Disconnected => {
                connected.store(false, Ordering::Relaxed);
                tracing::warn!("NATS is lost; work goes on");
            }
            other => tracing::warn!(said = %other, "NATS"),
        }
    }
    // Without the client's events there is nothing to wait for here.
    std::future::pending::<()>().await;
}
