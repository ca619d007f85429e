//! Wiring: an engine on a memory ledger and an in-process cloud, on one
//! virtual clock, with a roster of people who have real keys.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use exokit_approval::keys::SecretKey;
use exokit_approval::roster::{SignedRoster, revoke_key};
use exokit_approval::token::sign_vote;
use exokit_cloud::budget::Budget;
use exokit_cloud::client::Client;
use exokit_cloud::clock::Clock;
use exokit_cloud::cluster_identity::ClusterIdentity;
use exokit_cloud::config;
use exokit_cloud::transport::{HttpRequest, HttpResponse, Transport, TransportError};
use exokit_engine::engine::{Engine, NoWatcher, Parts};
use exokit_engine::entropy::{Entropy, EntropyError};
use exokit_engine::keyring::Keyring;
use exokit_engine::propose::{ExtensionRequest, ProvisionRequest};
use exokit_engine::registry_logins::{NoLogin, RegistryLogins};
use exokit_engine::roster_cache::RosterCache;
use exokit_engine::timing::Timing;
use exokit_ledger::OperationState;
use exokit_ledger::{Ledger, MemoryLedger};
use exokit_model::approval::{ApprovalClaims, ApproverKey, Decision, Person, Roster};
use exokit_model::cost::CostPolicy;
use exokit_model::ids::{EnvironmentName, PersonId, TemplateId};
use exokit_mutant::{Mutant, planted};
use exokit_sim::{ClientCertificate, Config, InProcess, SharedWorld, SimError, World};
use exokit_templates::InstantiateOptions;
use exokit_templates::{TemplateSet, prices};
use jiff::civil::date;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
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

/// The clock of the store, which is never wrong.
fn store_clock(clock: VirtualClock) -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    Arc::new(move || clock.now())
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
    engines: AtomicU64,
    nonces: Mutex<u64>,
    /// Engines of one rig read the same plans and rosters: dozens of processes,
    /// and as many copies.
    roster_cache: RosterCache,
    /// Time limits of the engines.
    pub timing: Timing,
    /// API budget per second and engine.
    pub budget_per_second: u32,
    /// Most steps of one operation at once; none: as many as the plan allows.
    pub steps_at_once: Option<NonZeroUsize>,
    /// The policy of the roster. By default it has no caps on what one person
    /// may ask for in a day: most tests are about crashes.
    pub policy: CostPolicy,
}

/// What one engine process sees of the world outside it.
pub struct Outfit {
    /// Its way to the ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// Its way to the cloud.
    pub transport: Transport,
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

/// Who signs rosters.
static ROOT: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::from_random([9; 32]));

/// Who is on the roster: name, roles, number of keys, whose agent. `dana`
/// requests, her agent too; `alex` has two keys.
const PEOPLE: [(&str, &[&str], u8, Option<&str>); 6] = [
    ("dana", &["platform"], 1, None),
    ("alex", &["platform"], 2, None),
    ("robin", &["finance"], 1, None),
    ("sam", &["platform"], 1, None),
    ("kim", &["platform"], 1, None),
    ("dana-agent", &["platform"], 0, Some("dana")),
];

/// The keys of all of them.
static KEYS: LazyLock<BTreeMap<PersonId, Vec<SecretKey>>> = LazyLock::new(|| {
    let people = PEOPLE.iter().enumerate();
    people.map(|(at, (name, _, number, _))| (person(name), keys(at, *number))).collect()
});

/// The registry login that engines of a rig have.
pub const LOGIN: (&str, &str) = ("corp", r#"{"auths":{"registry.example":{"auth":"Y2FuYXJ5OmxvZ2lu"}}}"#);

struct OneLogin;

impl RegistryLogins for OneLogin {
    fn read(&self, name: &str) -> Result<SecretString, NoLogin> {
        match name == LOGIN.0 {
            true => Ok(SecretString::from(LOGIN.1)),
            false => Err(NoLogin { why: format!("no login {name}"), hint: "none".to_owned() }),
        }
    }
}

/// The keys of every engine here.
pub(crate) fn keyring() -> Keyring {
    Keyring::new(&[5; 32])
}

/// The keys of the person at this place of [`PEOPLE`].
fn keys(at: usize, number: u8) -> Vec<SecretKey> {
    let first = u8::try_from(at).unwrap_or(u8::MAX) + 1;
    (0..number).map(|more| SecretKey::from_random([first + 100 * more; 32])).collect()
}

/// Who votes for a plan, as many as it needs: people of two roles.
pub const VOTERS: [&str; 2] = ["alex", "robin"];

impl Rig {
    /// A rig on a cloud with these settings.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let clock = VirtualClock::start();
        let now = Arc::new(move || clock.now().as_millisecond());
        Self {
            world: SharedWorld::in_memory(World::new(config), now),
            ledger: MemoryLedger::new(store_clock(clock)),
            clock,
            entropy: Arc::default(),
            engines: AtomicU64::new(0),
            nonces: Mutex::new(0),
            roster_cache: RosterCache::default(),
            timing: Timing::default(),
            budget_per_second: 20,
            steps_at_once: None,
            policy: CostPolicy { requester_daily_max: None, team_daily_max: None, ..CostPolicy::default() },
        }
    }

    /// A copy of everything outside the engine, with a clock of its own that
    /// goes on from `at`. What happens to one is not seen by the other.
    ///
    /// # Panics
    /// When the simulated cloud cannot be read, which cannot happen in memory.
    #[must_use]
    pub fn fork(&self, at: Timestamp) -> Self {
        let Ok(world) = self.world.peek(World::clone) else {
            panic!("the simulated cloud is in memory");
        };
        self.copy(world, self.ledger.crash(true), at)
    }

    /// A rig of its own with what would be left if every engine died at this
    /// very moment. The engines live on here, and their requests arrive.
    ///
    /// # Panics
    /// As [`Rig::fork`].
    #[must_use]
    pub fn crashed(&self, keep_volatile: bool) -> Self {
        let Ok(world) = self.world.without_clients() else {
            panic!("the simulated cloud is in memory");
        };
        self.copy(world, self.ledger.crash(keep_volatile), self.now())
    }

    fn copy(&self, world: World, ledger: MemoryLedger, at: Timestamp) -> Self {
        let clock = VirtualClock { base: at, start: Instant::now() };
        let nonce = *self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            world: SharedWorld::in_memory(world, Arc::new(move || clock.now().as_millisecond())),
            ledger: ledger.with_clock(store_clock(clock)),
            clock,
            entropy: Arc::new(CountingEntropy(AtomicU64::new(self.entropy.0.load(Ordering::Relaxed)))),
            engines: AtomicU64::new(self.engines.load(Ordering::Relaxed)),
            nonces: Mutex::new(nonce),
            roster_cache: self.roster_cache.clone(),
            timing: self.timing,
            budget_per_second: self.budget_per_second,
            steps_at_once: self.steps_at_once,
            policy: self.policy.clone(),
        }
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Looks at the cloud as the last request left it.
    ///
    /// # Panics
    /// When it cannot be read, which cannot happen in memory: a judge that saw
    /// nothing would find nothing wrong.
    pub fn cloud<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        match self.world.peek(look) {
            Ok(seen) => seen,
            Err(error) => panic!("the simulated cloud is in memory: {error}"),
        }
    }

    /// Does something to the cloud behind the engine's back.
    ///
    /// # Panics
    /// As [`Rig::cloud`].
    pub fn cloud_mut<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        match self.world.with(work) {
            Ok(done) => done,
            Err(error) => panic!("the simulated cloud is in memory: {error}"),
        }
    }

    /// The clock of this host.
    #[must_use]
    pub fn clock(&self) -> VirtualClock {
        self.clock
    }

    /// A new engine process on the same ledger and cloud.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine_with(Outfit {
            ledger: Arc::new(self.ledger.clone()),
            clock: Arc::new(self.clock),
            transport: self.transport(),
        })
    }

    /// A new engine process with another view of the world outside it.
    #[must_use]
    pub fn engine_with(&self, outfit: Outfit) -> Engine {
        let number = self.engines.fetch_add(1, Ordering::Relaxed);
        Engine::new(Parts {
            client: self.client(outfit.transport, Arc::clone(&outfit.clock)),
            ledger: outfit.ledger,
            clock: outfit.clock,
            entropy: Arc::clone(&self.entropy) as Arc<dyn Entropy>,
            keyring: keyring(),
            root: Some(ROOT.public()),
            holder: format!("engine-{number}"),
            timing: self.timing,
            steps_at_once: self.steps_at_once,
            watcher: Arc::new(NoWatcher),
            roster_cache: self.roster_cache.clone(),
            registry_logins: Arc::new(OneLogin),
        })
    }

    /// The plain way to the cloud.
    #[must_use]
    pub fn transport(&self) -> Transport {
        let world = self.world.clone();
        tower::util::BoxCloneSyncService::new(tower::service_fn(move |request| send(world.clone(), request)))
    }

    fn client(&self, transport: Transport, clock: Arc<dyn Clock>) -> Client {
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
        let per_second = match planted(Mutant::NoBudget) {
            true => NonZeroU32::MAX,
            false => NonZeroU32::new(self.budget_per_second).unwrap_or(NonZeroU32::MIN),
        };
        Client::new(transport, &config, clock, Budget::new(per_second, per_second))
    }

    /// The crash of every engine: what is left on the ledger, with their
    /// leases proven free.
    pub fn crash(&mut self, keep_volatile: bool) {
        self.ledger = self.ledger.crash(keep_volatile);
    }

    /// As [`Rig::crash`], but nobody can tell that the engines died, so that
    /// their leases must run out.
    pub fn crash_unseen(&mut self, keep_volatile: bool) {
        self.ledger = self.ledger.crash_unseen(keep_volatile);
    }

    /// The public halves of everyone's keys.
    ///
    /// # Panics
    /// When a key cannot be decoded, which is a mistake in the rig.
    #[must_use]
    pub fn public_keys(&self) -> Vec<(PersonId, [u8; 32])> {
        let of = |(person, keys): (&PersonId, &Vec<SecretKey>)| -> Vec<(PersonId, [u8; 32])> {
            keys.iter().map(|key| (person.clone(), raw(&key.public().to_text()))).collect()
        };
        KEYS.iter().flat_map(of).collect()
    }

    /// A roster, signed.
    ///
    /// # Panics
    /// When it contradicts itself, which is a mistake in a test.
    #[must_use]
    pub fn signed(&self, roster: &Roster) -> SignedRoster {
        match SignedRoster::sign(&ROOT, roster) {
            Ok(signed) => signed,
            Err(error) => panic!("signing the roster: {error}"),
        }
    }

    /// Whether another rig stands at the same time with the same ledger and the
    /// same cloud, to the byte. Requests of clients that died at one moment may
    /// arrive in any order.
    ///
    /// # Panics
    /// When the simulated cloud cannot be read, which cannot happen in memory.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let state = |rig: &Self| {
            let Ok(Ok(mut state)) = rig.world.with(|world| serde_json::to_value(&*world)) else {
                panic!("the simulated cloud can be read and written");
            };
            if let Some(queue) = state.get_mut("queue").and_then(serde_json::Value::as_array_mut) {
                queue.sort_by_key(ToString::to_string);
            }
            state
        };
        self.now() == other.now()
            && self.ledger.durable() == other.ledger.durable()
            && state(self) == state(other)
    }

    /// The roster of everyone who may vote.
    #[must_use]
    pub fn roster(&self) -> Roster {
        let listed = |key: &SecretKey| {
            let public = key.public();
            ApproverKey { id: public.id(), public: public.to_text(), revoked_at: None }
        };
        let entry = |(name, roles, _, agent_of): &(&str, &[&str], u8, Option<&str>)| {
            let id = person(name);
            let keys = KEYS[&id].iter().map(listed).collect();
            let roles = roles.iter().filter_map(|role| role.parse().ok()).collect();
            Person { id, roles, team: None, agent_of: agent_of.map(person), keys }
        };
        Roster {
            version: 1,
            issued_at: self.now(),
            persons: PEOPLE.iter().map(entry).collect(),
            policy: self.policy.clone(),
        }
    }

    /// Signs the roster and installs it.
    pub async fn install_roster(&self) {
        let signed = match SignedRoster::sign(&ROOT, &self.roster()) {
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
        let key = self.keys(without)[0].public().id();
        let next = revoke_key(&self.roster(), &key, self.now());
        match next.and_then(|roster| SignedRoster::sign(&ROOT, &roster)) {
            Ok(signed) => signed,
            Err(error) => panic!("changing the roster: {error}"),
        }
    }

    /// The keys of a person.
    #[must_use]
    pub fn keys(&self, name: &str) -> &[SecretKey] {
        &KEYS[&person(name)]
    }

    /// A vote of a person on a plan.
    #[must_use]
    pub fn vote(&self, name: &str, state: &OperationState, decision: Decision) -> String {
        self.sign(&self.keys(name)[0], &self.claims(name, state, decision))
    }

    /// What a good vote of a person says.
    #[must_use]
    pub fn claims(&self, name: &str, state: &OperationState, decision: Decision) -> ApprovalClaims {
        let mut nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        *nonce += 1;
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&nonce.to_be_bytes());
        ApprovalClaims {
            plan_digest: state.digest,
            decision,
            action: state.plan.action,
            level: state.plan.level,
            environment: state.plan.environment.clone(),
            person: person(name),
            key_id: self.keys(name)[0].public().id(),
            issued_at: self.now(),
            expires_at: self.now() + SignedDuration::from_hours(12),
            nonce: data_encoding::BASE64URL_NOPAD.encode(&bytes),
        }
    }

    /// A token that says so, whoever signs it.
    ///
    /// # Panics
    /// When the claims cannot be encoded, which is a mistake in a test.
    #[must_use]
    pub fn sign(&self, key: &SecretKey, claims: &ApprovalClaims) -> String {
        match sign_vote(key, claims) {
            Ok(token) => token,
            Err(error) => panic!("signing a vote: {error}"),
        }
    }

    /// The votes that a plan needs, from [`VOTERS`].
    pub async fn approve(&self, state: &OperationState) {
        for name in VOTERS.iter().take(state.plan.level.persons()) {
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
/// When the embedded templates cannot be read or have no such template.
#[must_use]
pub fn request(template: u16) -> ProvisionRequest {
    static ALL: LazyLock<BTreeMap<u16, ProvisionRequest>> =
        LazyLock::new(|| (1..=7).map(|template| (template, instantiated(template))).collect());
    match ALL.get(&template) {
        Some(request) => request.clone(),
        None => panic!("no template T{template}"),
    }
}

/// The request for a longer life of an environment, by `dana`.
#[must_use]
pub fn extension(environment: &EnvironmentName, seconds: u64) -> ExtensionRequest {
    let (environment, requester) = (environment.clone(), person("dana"));
    ExtensionRequest { environment, seconds, requester, break_glass: None }
}

/// Reads the templates, which takes longer than many a test.
fn instantiated(template: u16) -> ProvisionRequest {
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
        break_glass: None,
    }
}

/// A signed roster, signed again with none of its keys revoked.
///
/// # Panics
/// When the roster is not one of this rig.
pub(crate) fn without_revocations(signed: &str) -> String {
    let roster = SignedRoster::from_text(signed).verify(&ROOT.public());
    let signed = roster.and_then(|mut roster| {
        let keys = roster.persons.iter_mut().flat_map(|person| &mut person.keys);
        keys.for_each(|key| key.revoked_at = None);
        SignedRoster::sign(&ROOT, &roster)
    });
    match signed {
        Ok(signed) => signed.as_str().to_owned(),
        Err(error) => panic!("signing a roster again: {error}"),
    }
}

/// The bytes of a public key in its text form.
fn raw(text: &str) -> [u8; 32] {
    let encoded = text.rsplit(':').next().unwrap_or_default();
    let decoded = data_encoding::BASE64URL_NOPAD.decode(encoded.as_bytes());
    match decoded.ok().and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) => bytes,
        None => panic!("a public key in its text form is {text:?}"),
    }
}

/// Sends a request to a simulated cloud in this process. The certificate of a
/// client is taken as shown: there is no connection on which to prove its key.
pub(crate) async fn send(
    world: SharedWorld,
    mut request: HttpRequest,
) -> Result<HttpResponse, TransportError> {
    if let Some(identity) = request.extensions_mut().remove::<Arc<ClusterIdentity>>() {
        request.extensions_mut().insert(ClientCertificate(identity.certificate_pem.clone()));
    }
    let host = "simulated cloud".to_owned();
    InProcess::new(world).oneshot(request).await.map_err(|error| match error {
        SimError::Unreachable => TransportError::NotConnected { host, source: Box::new(error) },
        error => TransportError::InDoubt { host, source: Box::new(error) },
    })
}
