//! A session: the ledger and engine of one state directory, with or without the
//! way to its cloud.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use exokit_cloud::budget::Budget;
use exokit_cloud::client::Client;
use exokit_cloud::clock::{Clock, SystemClock};
use exokit_cloud::config::{self, CloudConfig};
use exokit_cloud::endpoint::Endpoints;
use exokit_cloud::network::{NetworkOptions, real};
use exokit_cloud::signing::Credentials;
use exokit_engine::engine::{Engine, NoWatcher, Parts, Watcher};
use exokit_engine::entropy::SystemEntropy;
use exokit_engine::roster_cache::RosterCache;
use exokit_engine::timing::Timing;
use exokit_ledger::{Ledger as _, SqliteLedger};
use exokit_model::cost::PriceList;
use exokit_model::ids::Zone;
use exokit_service::admission::Limits;
use exokit_service::{Service, service};
use exokit_templates::{TemplateSet, prices};

use crate::args::CloudName;
use crate::embedded::{self, Cloud};
use crate::error::{CliError, Doing as _};
use crate::keys;
use crate::settings::{Settings, Workspace, parse_speed};
use crate::state_dir::{Marker, StateDir, read_optional};

pub(crate) struct Session {
    pub(crate) engine: Engine,
    pub(crate) state: StateDir,
    /// Zone through which the account is asked.
    zone: Zone,
}

impl Session {
    /// Opens the ledger. Its engine has no way to a cloud.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, CliError> {
        let workspace = settings.workspace()?;
        Self::open_state(settings, &workspace.state, Some(workspace)).await
    }

    /// Opens the ledger of a state directory, which remembers the cloud that it
    /// belongs to.
    pub(crate) async fn open_state(
        settings: &Settings,
        state: &StateDir,
        workspace: Option<&Workspace>,
    ) -> Result<Self, CliError> {
        workspace.map_or(Ok(()), remember)?;
        let ledger = open_ledger(state)?;
        let head = ledger.head().await.doing("reading the ledger", state.ledger().display())?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let cloud = Cloud::none()?;
        let parts = Parts {
            ledger: Arc::new(ledger),
            client: cloud.client(&clock),
            clock,
            entropy: Arc::new(SystemEntropy),
            keyring: keys::keyring(settings, state, head.seq == 0)?,
            root: keys::pinned_root(state)?,
            holder: holder()?,
            timing: Timing::default(),
            steps_at_once: None,
            watcher: Arc::new(NoWatcher),
            roster_cache: RosterCache::default(),
            registry_logins: Arc::new(state.clone()),
        };
        Ok(Self { engine: Engine::new(parts), state: state.clone(), zone: cloud.account.zone })
    }

    /// Gives the engine the way to a cloud, with at most so many steps of an
    /// operation under way at once.
    pub(crate) fn with_cloud(
        self,
        cloud: Cloud,
        steps_at_once: Option<NonZeroUsize>,
        watcher: Arc<dyn Watcher>,
    ) -> Self {
        let parts = self.engine.parts().clone();
        let parts = Parts {
            client: cloud.client(&parts.clock),
            timing: Timing { speed: cloud.speed, ..Timing::default() },
            steps_at_once,
            watcher,
            ..parts
        };
        Self { engine: Engine::new(parts), state: self.state, zone: cloud.account.zone }
    }

    /// The service, with templates and prices.
    pub(crate) fn service(&self, settings: &Settings, limits: Limits) -> Result<Service, CliError> {
        Ok(self.service_with(templates(settings)?, price_list(settings)?, limits))
    }

    /// The service for what needs neither templates nor prices: to read them
    /// takes longer than most reads of the ledger.
    pub(crate) fn service_of_ledger(&self) -> Service {
        self.service_with(TemplateSet::default(), PriceList::default(), Limits::default())
    }

    fn service_with(&self, templates: TemplateSet, prices: PriceList, limits: Limits) -> Service {
        let (engine, zone) = (self.engine.clone(), self.zone.clone());
        Service::new(service::Parts { engine, templates, prices, zone, limits })
    }
}

impl Cloud {
    /// The cloud of the settings, with its credentials.
    pub(crate) fn open(settings: &Settings) -> Result<Self, CliError> {
        let workspace = settings.workspace()?;
        match workspace.cloud {
            CloudName::Sim => {
                let clock: Arc<dyn Clock> = Arc::new(SystemClock);
                embedded::open(&workspace.state, workspace.speed, clock)
            }
            CloudName::Exoscale => {
                let account = settings.account()?;
                let transport = real(&NetworkOptions::default()).doing("preparing", "the network")?;
                let speed = served_speed(settings, &account)?;
                Ok(Self { transport, account, speed })
            }
        }
    }

    /// The network of the cloud, for what is asked without a signature.
    pub(crate) fn without_account(settings: &Settings) -> Result<Self, CliError> {
        let transport = match &settings.workspace {
            Ok(workspace) if workspace.cloud == CloudName::Sim => return Self::open(settings),
            _ => real(&NetworkOptions::default()).doing("preparing", "the network")?,
        };
        Ok(Self { transport, ..Self::none()? })
    }

    /// No cloud: each call fails.
    fn none() -> Result<Self, CliError> {
        let account = CloudConfig {
            credentials: Credentials::new("none", "none".to_owned()),
            origin: "nowhere".to_owned(),
            zone: config::ZONE_DEFAULT.parse().doing("reading", "the default zone")?,
            endpoints: Endpoints::default(),
        };
        Ok(Self { transport: embedded::nowhere(), account, speed: 1.0 })
    }

    fn client(&self, clock: &Arc<dyn Clock>) -> Client {
        Client::new(self.transport.clone(), &self.account, clock.clone(), budget(self.speed))
    }
}

/// Cloud seconds per real second, for predicted times.
pub(crate) fn speed(settings: &Settings) -> Result<f64, CliError> {
    match (&settings.workspace, &settings.agent, &settings.speed) {
        (Ok(workspace), None, _) if workspace.cloud == CloudName::Sim => {
            Ok(embedded::factor(workspace.speed))
        }
        (Ok(_), None, Some(_)) => served_speed(settings, &settings.account()?),
        (_, Some(_), Some(text)) => Ok(embedded::factor(parse_speed(text)?)),
        _ => Ok(1.0),
    }
}

/// Of a ledger with more records it is told how far computing has come.
const TOLD_RECORDS_MIN: u64 = 20_000;

pub(crate) fn open_ledger(state: &StateDir) -> Result<SqliteLedger, CliError> {
    state.create()?;
    let mut told = None;
    let ledger = SqliteLedger::open_with_progress(state.root(), &mut |seq, of| {
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
fn remember(workspace: &Workspace) -> Result<(), CliError> {
    let marker = Marker {
        cloud: workspace.cloud.as_str().to_owned(),
        speed: (workspace.cloud == CloudName::Sim).then(|| workspace.speed_text.clone()),
    };
    match workspace.state.marker()? == Some(marker.clone()) {
        true => Ok(()),
        false => workspace.state.remember(&marker),
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
    let files = match &settings.workspace {
        Ok(workspace) => workspace.state.template_files()?,
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
    let Ok(workspace) = &settings.workspace else { return Ok(None) };
    let path = workspace.state.prices();
    let Some(text) = read_optional(&path)? else { return Ok(None) };
    Ok(Some(prices::decode(&path.display().to_string(), &text).doing("reading", "the prices")?))
}
