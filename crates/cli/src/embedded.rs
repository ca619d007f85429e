//! The embedded cloud: the simulated Exoscale in this process, kept in a file
//! of the state directory that several processes share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use exokit_cloud::clock::Clock;
use exokit_cloud::cluster_identity::ClusterIdentity;
use exokit_cloud::config::{self, CloudConfig};
use exokit_cloud::transport::{HttpRequest, Transport, TransportError, host_of};
use exokit_sim::{ClientCertificate, Config, InProcess, NowMs, RoundTrip, SharedWorld, SimError, Speed};
use exokit_templates::ZONES;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

use crate::error::{CliError, Doing as _};
use crate::state_dir::StateDir;

/// How fast a cloud without any latency counts as being.
const SPEED_MAX: f64 = 1000.0;

/// The way to a cloud.
pub(crate) struct Cloud {
    pub(crate) transport: Transport,
    /// Credentials and endpoints.
    pub(crate) account: CloudConfig,
    /// Cloud seconds per real second.
    pub(crate) speed: f64,
}

/// Cloud seconds per real second.
pub(crate) fn factor(speed: Speed) -> f64 {
    match speed {
        Speed::Times(n) => n,
        Speed::Max => SPEED_MAX,
    }
}

/// The clock of the simulated cloud: the host's.
pub(crate) fn now_ms(clock: Arc<dyn Clock>) -> NowMs {
    Arc::new(move || clock.now().as_millisecond())
}

/// Settings of a simulated cloud with every zone of the real one.
pub(crate) fn config(speed: Speed) -> Config {
    let latency_scale = match speed {
        Speed::Times(n) => 1.0 / n,
        Speed::Max => 0.0,
    };
    let mut zones: Vec<String> = ZONES.iter().map(|zone| (*zone).to_owned()).collect();
    zones.sort_by_key(|zone| zone != config::ZONE_DEFAULT);
    Config { zones, latency_scale, ..Config::default() }
}

/// Opens the embedded cloud of a state directory, or makes it.
pub(crate) fn open(state: &StateDir, speed: Speed, clock: Arc<dyn Clock>) -> Result<Cloud, CliError> {
    state.create()?;
    let settings = config(speed);
    let path = state.embedded_cloud();
    let world = SharedWorld::in_file(&path, settings, now_ms(clock));
    let world = world.doing("opening the embedded cloud", path.display())?;
    let settings = world.with(|world| world.config().clone());
    let settings = settings.doing("opening the embedded cloud", path.display())?;
    let variables: BTreeMap<String, String> = [
        ("EXOSCALE_API_KEY", settings.api_key.clone()),
        ("EXOSCALE_API_SECRET", settings.api_secret.clone()),
        ("EXOSCALE_ZONE", settings.default_zone().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let account = config::resolve(&variables, None).doing("opening the embedded cloud", path.display())?;
    let speed = factor(speed);
    let travel = Duration::from_millis(30).div_f64(speed);
    let service = InProcess::new(world).with_round_trip(RoundTrip { before: travel, after: travel });
    Ok(Cloud { transport: transport(service), account, speed })
}

/// The embedded cloud behind the seam. Whatever breaks in it leaves the
/// outcome of the request open. The certificate of a client is taken as shown:
/// there is no connection on which to prove the key.
fn transport(service: InProcess) -> Transport {
    BoxCloneSyncService::new(tower::service_fn(move |mut request: HttpRequest| {
        let (service, host) = (service.clone(), host_of(request.uri()));
        if let Some(identity) = request.extensions_mut().remove::<Arc<ClusterIdentity>>() {
            request.extensions_mut().insert(ClientCertificate(identity.certificate_pem.clone()));
        }
        async move {
            let reply: Result<http::Response<Bytes>, _> = service.oneshot(request).await;
            reply.map_err(|error| match error {
                SimError::Unreachable => TransportError::NotConnected { host, source: Box::new(error) },
                error => TransportError::InDoubt { host, source: Box::new(error) },
            })
        }
    }))
}

/// No way to any cloud, for commands that only use the ledger.
pub(crate) fn nowhere() -> Transport {
    BoxCloneSyncService::new(tower::service_fn(|request: HttpRequest| async move {
        Err(TransportError::NotConnected {
            host: host_of(request.uri()),
            source: "this command does not use the cloud".into(),
        })
    }))
}
