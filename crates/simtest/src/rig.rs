//! Wiring: an engine on a memory ledger and an in-process cloud, on one
//! virtual clock, with a roster of people who have real keys.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use exokit_approval::keys::SecretKey;
use exokit_approval::roster::{SignedRoster, revoke_key};
use exokit_approval::token::sign_vote;
use exokit_cloud::budget::Budget;
use exokit_cloud::client::Client;
use exokit_cloud::clock::Clock;
use exokit_cloud::config;
use exokit_cloud::transport::{Transport, TransportError};
use exokit_engine::engine::{Engine, NoWatcher, Parts};
use exokit_engine::entropy::{Entropy, EntropyError};
use exokit_engine::keyring::Keyring;
use exokit_engine::propose::ProvisionRequest;
use exokit_engine::state::OperationState;
use exokit_engine::timing::Timing;
use exokit_ledger::MemoryLedger;
use exokit_model::approval::{ApprovalClaims, ApproverKey, Decision, Person, Roster};
use exokit_model::cost::CostPolicy;
use exokit_model::ids::{PersonId, TemplateId};
use exokit_sim::{Config, InProcess, SharedWorld, World};
use exokit_templates::InstantiateOptions;
use exokit_templates::{TemplateSet, prices};
use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tower::ServiceExt as _;

/// The virtual clock: a fixed day plus what tokio's clock has advanced.
#[derive(Debug, Clone, Copy)]
pub struct VirtualClock {
    base: Timestamp,
    start: Instant,
}

impl VirtualClock {
    /// A clock that starts now, at a fixed time of day.
    #[must_use]
    pub fn start() -> Self {
        Self { base: Timestamp::constant(1_795_428_000, 0), start: Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.base + self.start.elapsed()
    }
}

/// Randomness that is the same in each run: bytes of a counter.
#[derive(Debug, Default)]
pub struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in buffer.chunks_mut(8) {
            let count = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            chunk.copy_from_slice(&count.to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Everything outside the engine, which survives its crashes.
pub struct Rig {
    /// The cloud.
    pub world: SharedWorld,
    /// What is durable.
    pub ledger: MemoryLedger,
    clock: VirtualClock,
    entropy: Arc<CountingEntropy>,
    people: Arc<BTreeMap<PersonId, SecretKey>>,
    engines: AtomicU64,
    nonces: Mutex<u64>,
    /// Time limits of the engines.
    pub timing: Timing,
    /// API budget per second and engine.
    pub budget_per_second: u32,
}

/// A name that stands in a test.
///
/// # Panics
/// When it is no valid name, which is a mistake in the test.
#[must_use]
pub fn person(text: &str) -> PersonId {
    match text.parse() {
        Ok(person) => person,
        Err(error) => panic!("{error}"),
    }
}

fn root() -> SecretKey {
    SecretKey::from_random([9; 32])
}

/// Who may vote: three people in two roles; `dana` requests.
const PEOPLE: [(&str, &[&str]); 4] =
    [("dana", &["platform"]), ("alex", &["platform"]), ("robin", &["finance"]), ("sam", &["platform"])];

impl Rig {
    /// A rig on a cloud with these settings.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let clock = VirtualClock::start();
        let now = Arc::new(move || clock.now().as_millisecond());
        let people = PEOPLE.iter().enumerate().map(|(at, (name, _))| {
            let seed = u8::try_from(at).unwrap_or(u8::MAX) + 1;
            (person(name), SecretKey::from_random([seed; 32]))
        });
        Self {
            world: SharedWorld::in_memory(World::new(config), now),
            ledger: MemoryLedger::new(),
            clock,
            entropy: Arc::default(),
            people: Arc::new(people.collect()),
            engines: AtomicU64::new(0),
            nonces: Mutex::new(0),
            timing: Timing::default(),
            budget_per_second: 20,
        }
    }

    /// A copy of everything outside the engine, with a clock of its own that
    /// goes on from `at`. What happens to one is not seen by the other.
    ///
    /// # Panics
    /// When the simulated cloud cannot be read, which cannot happen in memory.
    #[must_use]
    pub fn fork(&self, at: Timestamp) -> Self {
        let clock = VirtualClock { base: at, start: Instant::now() };
        let Ok(world) = self.world.peek(World::clone) else {
            panic!("the simulated cloud is in memory");
        };
        let nonce = *self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            world: SharedWorld::in_memory(world, Arc::new(move || clock.now().as_millisecond())),
            ledger: self.ledger.crash(true),
            clock,
            entropy: Arc::new(CountingEntropy(AtomicU64::new(self.entropy.0.load(Ordering::Relaxed)))),
            people: Arc::clone(&self.people),
            engines: AtomicU64::new(self.engines.load(Ordering::Relaxed)),
            nonces: Mutex::new(nonce),
            timing: self.timing,
            budget_per_second: self.budget_per_second,
        }
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new engine process on the same ledger and cloud.
    #[must_use]
    pub fn engine(&self) -> Engine {
        let number = self.engines.fetch_add(1, Ordering::Relaxed);
        Engine::new(Parts {
            ledger: Arc::new(self.ledger.clone()),
            client: self.client(),
            clock: Arc::new(self.clock),
            entropy: Arc::clone(&self.entropy) as Arc<dyn Entropy>,
            keyring: Keyring::new(&[5; 32]),
            root: Some(root().public()),
            holder: format!("engine-{number}"),
            timing: self.timing,
            watcher: Arc::new(NoWatcher),
        })
    }

    fn client(&self) -> Client {
        let service = InProcess::new(self.world.clone());
        let transport: Transport = tower::util::BoxCloneSyncService::new(service.map_err(|error| {
            TransportError::InDoubt { host: "simulated cloud".to_owned(), source: Box::new(error) }
        }));
        let (key, secret) = match self
            .world
            .with(|world| (world.config().api_key.clone(), world.config().api_secret.clone()))
        {
            Ok(pair) => pair,
            Err(error) => panic!("reading the simulated cloud: {error}"),
        };
        let variables = BTreeMap::from([
            ("EXOSCALE_API_KEY".to_owned(), key),
            ("EXOSCALE_API_SECRET".to_owned(), secret),
        ]);
        let config = match config::resolve(&variables, None) {
            Ok(config) => config,
            Err(error) => panic!("configuring the client: {error}"),
        };
        let per_second =
            std::num::NonZeroU32::new(self.budget_per_second).unwrap_or(std::num::NonZeroU32::MIN);
        Client::new(transport, &config, Arc::new(self.clock), Budget::new(per_second, per_second))
    }

    /// The crash of every engine: what is left on the ledger, with their
    /// leases proven free.
    pub fn crash(&mut self, keep_volatile: bool) {
        self.ledger = self.ledger.crash(keep_volatile);
    }

    /// The roster of everyone who may vote.
    #[must_use]
    pub fn roster(&self) -> Roster {
        let entry = |(name, roles): &(&str, &[&str])| {
            let id = person(name);
            let public = self.people[&id].public();
            let roles = roles.iter().filter_map(|role| role.parse().ok()).collect();
            let keys = vec![ApproverKey { id: public.id(), public: public.to_text(), revoked_at: None }];
            Person { id, roles, team: None, agent_of: None, keys }
        };
        // Tests are about crashes, not about caps.
        let policy = CostPolicy { requester_daily_max: None, team_daily_max: None, ..CostPolicy::default() };
        Roster { version: 1, issued_at: self.now(), persons: PEOPLE.iter().map(entry).collect(), policy }
    }

    /// Signs the roster and installs it.
    pub async fn install_roster(&self) {
        let signed = match SignedRoster::sign(&root(), &self.roster()) {
            Ok(signed) => signed,
            Err(error) => panic!("signing the roster: {error}"),
        };
        if let Err(error) = self.engine().install_roster(&signed).await {
            panic!("installing the roster: {error}");
        }
    }

    /// The second version of the roster, in which a person's key is revoked.
    ///
    /// # Panics
    /// When the roster contradicts itself, which is a mistake in the rig.
    #[must_use]
    pub fn next_roster(&self, without: &str) -> SignedRoster {
        let key = self.people[&person(without)].public().id();
        let next = revoke_key(&self.roster(), &key, self.now());
        match next.and_then(|roster| SignedRoster::sign(&root(), &roster)) {
            Ok(signed) => signed,
            Err(error) => panic!("changing the roster: {error}"),
        }
    }

    /// A vote of a person on a plan.
    #[must_use]
    pub fn vote(&self, name: &str, state: &OperationState, decision: Decision) -> String {
        let key = &self.people[&person(name)];
        let mut nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        *nonce += 1;
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&nonce.to_be_bytes());
        let claims = ApprovalClaims {
            plan_digest: state.digest,
            decision,
            action: state.plan.action,
            level: state.plan.level,
            environment: state.plan.environment.clone(),
            person: person(name),
            key_id: key.public().id(),
            issued_at: self.now(),
            expires_at: self.now() + SignedDuration::from_hours(12),
            nonce: data_encoding::BASE64URL_NOPAD.encode(&bytes),
        };
        match sign_vote(key, &claims) {
            Ok(token) => token,
            Err(error) => panic!("signing a vote: {error}"),
        }
    }

    /// The votes that a plan needs, from `alex` and `robin`.
    pub async fn approve(&self, state: &OperationState) {
        for name in ["alex", "robin"].into_iter().take(state.plan.level.persons()) {
            let token = self.vote(name, state, Decision::Approve);
            if let Err(error) = self.engine().vote(&state.operation, &token).await {
                panic!("voting: {error}");
            }
        }
    }
}

/// The request for a template with its defaults, by `dana`.
///
/// # Panics
/// When the embedded templates cannot be read.
#[must_use]
pub fn request(template: u16) -> ProvisionRequest {
    let set = match TemplateSet::embedded() {
        Ok(set) => set,
        Err(error) => panic!("embedded templates: {error}"),
    };
    let Some(found) = set.get(TemplateId(template)) else { panic!("no template T{template}") };
    let spec = match found.instantiate(&InstantiateOptions::new(date(2026, 11, 23))) {
        Ok(spec) => spec,
        Err(error) => panic!("instantiating T{template}: {error}"),
    };
    let Ok(prices) = prices::embedded() else { panic!("the embedded prices can be read") };
    let Ok(price_digest) = prices::digest(&prices) else { panic!("the price list has a digest") };
    ProvisionRequest {
        spec,
        template_level: found.level,
        template_digest: found.digest(),
        prices,
        price_digest,
        requester: person("dana"),
        corrections: Vec::new(),
        wanted_level: None,
    }
}
