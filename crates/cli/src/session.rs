//! A session: ledger, cloud and engine of one state directory.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use exokit_cloud::budget::Budget;
use exokit_cloud::client::Client;
use exokit_cloud::clock::{Clock, SystemClock};
use exokit_cloud::config::{self, CloudConfig};
use exokit_cloud::endpoint::Endpoints;
use exokit_cloud::network::{NetworkOptions, real};
use exokit_cloud::signing::Credentials;
use exokit_cloud::transport::Transport;
use exokit_engine::engine::{Engine, NoWatcher, Parts, Watcher};
use exokit_engine::entropy::SystemEntropy;
use exokit_engine::known::Known;
use exokit_engine::timing::Timing;
use exokit_ledger::{
    EnvironmentStory, EnvironmentView, Environments, Filter, Ledger as _, LedgerError, OperationSummary,
    OperationView, Operations, SqliteLedger,
};
use exokit_model::cost::PriceList;
use exokit_model::ids::{EnvironmentName, OperationId, Zone};
use exokit_service::admission::Limits;
use exokit_service::{Service, service};
use exokit_templates::{TemplateSet, prices};

use crate::args::CloudName;
use crate::embedded;
use crate::error::{CliError, Doing as _};
use crate::keys;
use crate::settings::{Place, Settings, parse_speed};
use crate::state_dir::{Marker, StateDir, read_optional};

/// Whether a command talks to the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Ledger and cloud.
    Cloud,
    /// Only the ledger: no credentials are needed.
    Ledger,
}

/// An open state directory.
pub(crate) struct Session {
    /// The engine.
    pub(crate) engine: Engine,
    /// The state directory.
    pub(crate) state: StateDir,
    /// Zone through which the account is asked.
    pub(crate) zone: Zone,
    /// Cloud seconds per real second.
    pub(crate) speed: f64,
}

/// The way to the cloud and what belongs to it.
struct Way {
    transport: Transport,
    account: CloudConfig,
    speed: f64,
}

impl Session {
    /// Opens ledger and cloud, watched by nobody.
    pub(crate) async fn open(settings: &Settings, reach: Reach) -> Result<Self, CliError> {
        Self::watched(settings, reach, None, Arc::new(NoWatcher)).await
    }

    /// Opens ledger and cloud, with so many steps of an operation at once.
    pub(crate) async fn watched(
        settings: &Settings,
        reach: Reach,
        steps_at_once: Option<NonZeroUsize>,
        watcher: Arc<dyn Watcher>,
    ) -> Result<Self, CliError> {
        let place = settings.place()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // Credentials first: without them nothing is made.
        let way = way(settings, place, reach, &clock)?;
        remember(place)?;
        let ledger = open_ledger(&place.state)?;
        let head = ledger.head().await.doing("reading the ledger", place.state.ledger().display())?;
        let keyring = keys::keyring(settings, &place.state, head.seq == 0)?;
        let client = Client::new(way.transport, &way.account, clock.clone(), budget(way.speed));
        let parts = Parts {
            ledger: Arc::new(ledger),
            client,
            clock,
            entropy: Arc::new(SystemEntropy),
            keyring,
            root: keys::pinned_root(&place.state)?,
            holder: holder()?,
            timing: Timing { speed: way.speed, ..Timing::default() },
            steps_at_once,
            watcher,
            known: Known::default(),
        };
        Ok(Self {
            engine: Engine::new(parts),
            state: place.state.clone(),
            zone: way.account.zone,
            speed: way.speed,
        })
    }

    /// What can be asked of this state directory.
    pub(crate) fn service(&self, settings: &Settings, limits: Limits) -> Result<Service, CliError> {
        Ok(Service::new(service::Parts {
            engine: self.engine.clone(),
            templates: templates(settings)?,
            prices: price_list(settings)?,
            zone: self.zone.clone(),
            limits,
        }))
    }

    /// Environments, as the ledger has them.
    pub(crate) async fn environments(&self, which: Environments) -> Result<Vec<EnvironmentView>, CliError> {
        let found = self.engine.parts().ledger.environments(which).await;
        found.doing("reading the ledger", self.state.ledger().display())
    }

    /// Operations without their plans, as the ledger has them.
    pub(crate) async fn operations(&self, which: Operations) -> Result<Vec<OperationSummary>, CliError> {
        let found = self.engine.parts().ledger.operations(which).await;
        found.doing("reading the ledger", self.state.ledger().display())
    }

    /// One environment with its operations in full; none when it was never
    /// heard of.
    pub(crate) async fn story(&self, name: &EnvironmentName) -> Result<Option<EnvironmentStory>, CliError> {
        let story = EnvironmentStory::read(self.engine.parts().ledger.as_ref(), name).await;
        story.doing("reading the ledger", self.state.ledger().display())
    }

    /// One operation in full; none when there is no such plan.
    pub(crate) async fn operation(&self, id: &OperationId) -> Result<Option<OperationView>, CliError> {
        let ledger = &self.engine.parts().ledger;
        let records = ledger.read(Filter::Operation(id.clone()), 0).await;
        let records = records.doing("reading the ledger", self.state.ledger().display())?;
        let view = OperationView::fold(ledger.plans(), id, &records).map_err(LedgerError::from);
        view.doing("reading the ledger", self.state.ledger().display())
    }
}

/// Of a ledger with more records it is told how far computing has come.
const TOLD_RECORDS_MIN: u64 = 20_000;

/// Opens the ledger of a state directory.
pub(crate) fn open_ledger(state: &StateDir) -> Result<SqliteLedger, CliError> {
    state.create()?;
    let mut told = None;
    let ledger = SqliteLedger::open_telling(state.root(), &mut |seq, of| {
        let percent = seq * 100 / of.max(1);
        // A short ledger is done at once, and a long one is told in tenths.
        if of > TOLD_RECORDS_MIN && told.is_none_or(|before| percent >= before + 10) {
            crate::output::say(&format!("Computing the registry from {of} records: {percent} %\n"));
            told = Some(percent);
        }
    });
    ledger.doing("opening the ledger", state.ledger().display())
}

/// Writes down to which cloud the directory belongs, and how fast it runs.
fn remember(place: &Place) -> Result<(), CliError> {
    let marker = Marker {
        cloud: place.cloud.as_str().to_owned(),
        speed: (place.cloud == CloudName::Sim).then(|| place.speed_text.clone()),
    };
    match place.state.marker()? == Some(marker.clone()) {
        true => Ok(()),
        false => place.state.remember(&marker),
    }
}

fn way(settings: &Settings, place: &Place, reach: Reach, clock: &Arc<dyn Clock>) -> Result<Way, CliError> {
    match (reach, place.cloud) {
        (Reach::Ledger, cloud) => {
            let speed = if cloud == CloudName::Sim { embedded::factor(place.speed) } else { 1.0 };
            Ok(Way { transport: embedded::nowhere(), account: nobody()?, speed })
        }
        (Reach::Cloud, CloudName::Sim) => {
            let cloud = embedded::open(&place.state, place.speed, clock.clone())?;
            Ok(Way { transport: cloud.transport, account: cloud.account, speed: cloud.speed })
        }
        (Reach::Cloud, CloudName::Exoscale) => {
            let account = settings.account()?;
            let transport = real(&NetworkOptions::default()).doing("preparing", "the network")?;
            let speed = served_speed(settings, &account)?;
            Ok(Way { transport, account, speed })
        }
    }
}

/// How fast the cloud behind the endpoints runs. Exoscale runs in real time,
/// whatever is said; a simulated one on this host as fast as is said.
fn served_speed(settings: &Settings, account: &CloudConfig) -> Result<f64, CliError> {
    match (&settings.speed, account.endpoints.is_local()) {
        (Some(text), true) => Ok(embedded::factor(parse_speed(text)?)),
        _ => Ok(1.0),
    }
}

/// An account for a client that is never used.
fn nobody() -> Result<CloudConfig, CliError> {
    Ok(CloudConfig {
        credentials: Credentials::new("none", "none".to_owned()),
        origin: "nowhere".to_owned(),
        zone: config::ZONE_DEFAULT.parse().doing("reading", "the default zone")?,
        endpoints: Endpoints::default(),
    })
}

/// Ten calls a second at real speed, as many more as the cloud is faster.
fn budget(speed: f64) -> Budget {
    #[expect(clippy::cast_possible_truncation, reason = "the value is limited just before")]
    #[expect(clippy::cast_sign_loss, reason = "the value is limited just before")]
    let times =
        |base: f64| NonZeroU32::new((base * speed).clamp(1.0, 100_000.0) as u32).unwrap_or(NonZeroU32::MIN);
    Budget::new(times(10.0), times(20.0))
}

/// A name that no other process has.
fn holder() -> Result<String, CliError> {
    let random = data_encoding::HEXLOWER.encode(&keys::random::<6>()?);
    Ok(format!("exokit-{}-{random}", std::process::id()))
}

/// The templates: the embedded ones and those of the state directory.
pub(crate) fn templates(settings: &Settings) -> Result<TemplateSet, CliError> {
    let files = match &settings.place {
        Ok(place) => place.state.template_files()?,
        Err(_) => Vec::new(),
    };
    TemplateSet::with_overrides(files).doing("reading", "the templates")
}

/// The price list in use: that of the state directory, which can raise prices
/// and add some, or the embedded one.
pub(crate) fn price_list(settings: &Settings) -> Result<PriceList, CliError> {
    let known = prices::embedded().doing("reading", "the prices")?;
    Ok(match own_prices(settings)? {
        Some(own) => prices::never_below(own, &known),
        None => known,
    })
}

/// The price list of the state directory, as it stands there.
pub(crate) fn own_prices(settings: &Settings) -> Result<Option<PriceList>, CliError> {
    let Ok(place) = &settings.place else { return Ok(None) };
    let path = place.state.prices();
    let Some(text) = read_optional(&path)? else { return Ok(None) };
    Ok(Some(prices::decode(&path.display().to_string(), &text).doing("reading", "the prices")?))
}
