//! The cloud behind loopback listeners, for clients of other processes.

use crate::connection::{Peer, connection, next};
use crate::control_plane::{ControlPlane, Supervisor, listener};
use crate::fault::Schedule;
use crate::tls;
use crate::world::Face;
use crate::{Config, EndpointUrls, InProcess, NowMs, Recorder, RoundTrip, SharedWorld, SimError, World};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How fast simulated time passes: latencies are divided by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// Divided by this number.
    Times(f64),
    /// No latency: pending in the first reply, final at the next request.
    Max,
}

/// Slower than this, latencies become longer than times can say.
const SPEED_MIN: f64 = 0.001;
/// Faster than this, there are no latencies left.
const SPEED_MAX: f64 = 1_000_000.0;

impl Speed {
    fn scale(self) -> f64 {
        match self {
            Self::Times(n) if n > 0.0 => 1.0 / n,
            Self::Times(_) => 1.0,
            Self::Max => 0.0,
        }
    }
}

impl std::str::FromStr for Speed {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(n) if (SPEED_MIN..=SPEED_MAX).contains(&n) => Ok(Self::Times(n)),
            _ => {
                let rule = format!("speed is a number from {SPEED_MIN} to {SPEED_MAX}, or 'max'");
                Err(SimError::Options(format!("{rule}, not '{text}'")))
            }
        }
    }
}

/// What to serve and where.
#[derive(Clone)]
pub struct ServeOptions {
    /// Address of the API; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of object storage; absent: a free port of the same address.
    pub sos_listen: Option<SocketAddr>,
    /// How fast.
    pub speed: Speed,
    /// Where the cloud is kept between runs; absent: in memory.
    pub state: Option<PathBuf>,
    /// A JSON object with `faults` and `latencies`, or an array of faults. A
    /// saved world keeps the latencies that it began with.
    pub faults: Option<PathBuf>,
    /// Where exchanges of the API are written down.
    pub record: Option<PathBuf>,
    /// How the control planes of clusters are made.
    pub control_plane: ControlPlane,
    /// Seed, zones, key pair and the rest.
    pub config: Config,
    /// The clock.
    pub now: NowMs,
}

/// A running server; it stops when this is dropped or shut down. The debug
/// form leaves the secret out.
pub struct Running {
    /// The API's base URL, with `/v2`.
    pub endpoint: String,
    /// The base URL of object storage.
    pub sos_endpoint: String,
    /// The base URL of the clusters' API servers, which the name in a TLS
    /// connection tells apart.
    pub kubernetes_endpoint: String,
    /// The default zone.
    pub zone: String,
    /// The unrestricted key.
    pub api_key: String,
    /// Its secret.
    pub api_secret: String,
    /// The world being served.
    pub world: SharedWorld,
    stop: watch::Sender<bool>,
    control_planes: Option<Supervisor>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Running {
    /// Stops accepting and closes all connections.
    pub fn shutdown(&self) {
        self.stop.send_replace(true);
    }

    /// Shuts down, and waits until the processes of real control planes have
    /// ended and their folders are removed.
    pub async fn finish(mut self) {
        self.shutdown();
        if let Some(supervisor) = self.control_planes.take() {
            supervisor.finished().await;
        }
    }

    /// The line that `exokit sim` prints.
    pub fn announcement(&self) -> serde_json::Value {
        serde_json::json!({
            "endpoint": self.endpoint, "sos_endpoint": self.sos_endpoint, "zone": self.zone,
            "api_key": self.api_key, "api_secret": self.api_secret,
        })
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimError> {
    let fail = |source| SimError::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
}

/// Serves a cloud until the result is dropped or shut down.
pub async fn serve(options: ServeOptions) -> Result<Running, SimError> {
    let (api, api_address) = bind(options.listen).await?;
    let sos_wanted = options.sos_listen.unwrap_or_else(|| SocketAddr::new(options.listen.ip(), 0));
    let (sos, sos_address) = bind(sos_wanted).await?;
    let mut config = options.config;
    config.latency_scale = options.speed.scale();
    let (kubernetes, kubernetes_address) = bind(SocketAddr::new(options.listen.ip(), 0)).await?;
    config.endpoints = Some(EndpointUrls {
        api: format!("http://{api_address}"),
        sos: format!("http://{sos_address}"),
        kubernetes: format!("https://{kubernetes_address}"),
    });
    if let Some(path) = options.faults {
        let text = std::fs::read(&path).map_err(|source| SimError::State { path: path.clone(), source })?;
        let schedule = Schedule::read(&text).map_err(|source| SimError::Format { path, source })?;
        config.faults = schedule.faults;
        config.latency.by_operation.extend(schedule.latencies);
    }
    config.has_real_control_planes = options.control_plane != ControlPlane::Simulated;
    let world = match options.state {
        Some(_) if config.has_real_control_planes => {
            let rule = "a real control plane is not kept in a state file: give either --state or --control-plane real";
            return Err(SimError::Options(rule.to_owned()));
        }
        Some(path) => SharedWorld::in_file(&path, config, options.now)?,
        None => SharedWorld::in_memory(World::new(config), options.now),
    };
    // A saved world has its own zones and keys: tell those.
    let config = world.with(|world| world.config().clone())?;
    let (stop, stopped) = watch::channel(false);
    let recorder = options.record.as_deref().map(Recorder::append).transpose()?;
    let service = InProcess::new(world.clone()).with_round_trip(RoundTrip::ZERO).recorded_by(recorder);
    for (listener, face) in [(api, Face::Api), (sos, Face::Sos)] {
        tokio::spawn(accept(listener, face, service.clone(), stopped.clone()));
    }
    let control_planes = match options.control_plane {
        ControlPlane::Simulated => {
            let acceptor = tls::acceptor(world.clone())?;
            tokio::spawn(tls::accept(kubernetes, acceptor, service, stopped));
            None
        }
        ControlPlane::Real { assets } => {
            let (supervisor, servers) = Supervisor::start(assets, world.clone(), stopped.clone())?;
            tokio::spawn(listener::accept(kubernetes, servers, stopped));
            Some(supervisor)
        }
    };
    Ok(Running {
        endpoint: format!("http://{api_address}/v2"),
        sos_endpoint: format!("http://{sos_address}"),
        kubernetes_endpoint: format!("https://{kubernetes_address}"),
        zone: config.default_zone().to_owned(),
        api_key: config.api_key,
        api_secret: config.api_secret,
        world,
        stop,
        control_planes,
    })
}

async fn accept(listener: TcpListener, face: Face, service: InProcess, stop: watch::Receiver<bool>) {
    while let Some(stream) = next(&listener, &stop).await {
        let peer = Peer { face, cluster: None };
        tokio::spawn(connection(stream, peer, service.clone(), stop.clone()));
    }
}
