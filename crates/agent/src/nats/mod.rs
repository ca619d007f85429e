//! The agent on NATS: requests come in, events go out. Losing the server never
//! stops or repeats work: everything that matters is in the ledger.

mod bus;
mod micro_service;
mod registration;
mod request_server;
mod request_stats;
mod stream_acks;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use exokit_nats::{Connection, NatsError, NatsOptions, Permission, connect_with_permissions, flush, watch};
use exokit_service::publisher::{self, Publisher};
use exokit_service::{Service, chain};
use exokit_wire::verb::Verb;
use tokio::sync::mpsc;
use tokio::sync::watch::{Receiver, Sender};

use self::bus::NatsBus;
use self::micro_service::MicroService;
use self::registration::{BROADCAST, Registration};
use self::request_server::{Handler, RequestServer};
use self::request_stats::RequestStats;
use crate::cursor::FileCursor;
use crate::metrics::Metrics;
use crate::status::{ServeError, ServeEvent, stopped};

/// Name of the connection, for the operators of the server.
const NAME: &str = "exokit AZ-INFRA-001";

/// Pause before another attempt to publish events.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

pub(crate) struct NatsServer {
    pub(crate) options: NatsOptions,
    /// Folder of the cursor of published events.
    pub(crate) folder: PathBuf,
    pub(crate) service: Service,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) connected: Sender<bool>,
    pub(crate) events: mpsc::UnboundedSender<ServeEvent>,
}

impl NatsServer {
    /// Serves until `stop` comes true. While the server is away, the ledger and
    /// HTTP do their work.
    pub(crate) async fn run(self, stop: Receiver<bool>) -> Result<(), ServeError> {
        self.begin_events().await?;
        let connected = tokio::select! {
            biased;
            () = stopped(stop.clone()) => return Ok(()),
            connected = self.connect() => connected,
        };
        let (Connection { client, events }, may_describe) = connected?;
        let stats = Arc::new(RequestStats::default());
        let handler = Handler {
            client: client.clone(),
            service: self.service.clone(),
            metrics: self.metrics.clone(),
            stats: stats.clone(),
        };
        let requests = RequestServer::subscribe(handler).await?;
        self.set_connected(true);
        let _ = self.events.send(ServeEvent::NatsConnected);
        let (service, connected) = (self.service.clone(), self.connected.subscribe());
        let registration = Registration { client: client.clone(), service, connected };
        let publishing = self.publish(NatsBus::new(client.clone()).await?);
        let serving = async {
            let (_, registered, described) = tokio::join!(
                requests.run(stopped(stop.clone())),
                registration.run(stopped(stop.clone())),
                self.describe(may_describe, &client, stats, stopped(stop.clone())),
            );
            registered.and(described)
        };
        tokio::select! {
            biased;
            served = serving => served?,
            never = publishing => match never {},
            () = watch(events, |is_connected| self.set_connected(is_connected)) => {}
        }
        flush(&client).await;
        Ok(())
    }

    /// Wakes the subscribers of `connected` only when the state changes.
    fn set_connected(&self, now: bool) {
        self.connected.send_if_modified(|before| std::mem::replace(before, now) != now);
    }

    /// Sets the cursor to the head of the ledger, unless there is a cursor: events
    /// begin with what is recorded from now on, even if the server is reached
    /// much later.
    async fn begin_events(&self) -> Result<(), ServeError> {
        // Another process that holds the cursor has set it.
        let Some(cursor) = self.cursor()? else { return Ok(()) };
        if let Err(error) = publisher::begin(&self.service, &cursor).await {
            tracing::warn!(error = %chain(&error), "events do not begin yet");
        }
        Ok(())
    }

    /// The cursor of events; none when another process holds it.
    fn cursor(&self) -> Result<Option<FileCursor>, ServeError> {
        let folder = &self.folder;
        FileCursor::open(folder).map_err(|source| ServeError::Cursor(folder.clone(), source))
    }

    /// Connects, and says whether the agent may be described as a micro service.
    async fn connect(&self) -> Result<(Connection, bool), NatsError> {
        let (required, optional) = (permissions(), micro_service::permissions());
        let report = |error: &NatsError| {
            let _ = self.events.send(ServeEvent::NatsUnreachable(chain(error)));
            tracing::warn!(error = %chain(error), "NATS is not reached yet");
        };
        connect_with_permissions((&self.options, NAME), &required, &optional, report).await
    }

    /// Describes the agent as a micro service, where that is allowed.
    async fn describe(
        &self,
        may_describe: bool,
        client: &Client,
        stats: Arc<RequestStats>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), NatsError> {
        if !may_describe {
            tracing::info!("not described as a NATS micro service: the server denies $SRV");
            return Ok(());
        }
        let now = self.service.engine().parts().clock.now();
        MicroService::new(client.clone(), stats, now).run(stop).await
    }

    /// Publishes events, unless another process of this ledger does.
    async fn publish(&self, bus: NatsBus) -> Infallible {
        loop {
            match self.cursor() {
                Ok(Some(cursor)) => Publisher::new(&self.service, &bus, &cursor).run().await,
                // The other process may end.
                Ok(None) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "events wait to be published"),
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }
}

/// The permissions that the agent needs. The check publishes only where nothing
/// subscribes.
fn permissions() -> Vec<Permission> {
    let publish = ["infra.preflight", "orchestrator.preflight"];
    let subscribe = Verb::ALL.iter().map(|verb| verb.subject()).chain([BROADCAST]);
    let publish = publish.into_iter().map(|subject| Permission::Publish(subject.to_owned()));
    publish.chain(subscribe.map(|subject| Permission::Subscribe(subject.to_owned()))).collect()
}
