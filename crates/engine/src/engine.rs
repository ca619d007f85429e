//! The engine: what it is made of, and what all its parts share.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use exokit_approval::keys::PublicKey;
use exokit_approval::roster::{SignedRoster, follows};
use exokit_approval::verify::Verifier;
use exokit_cloud::client::Client;
use exokit_cloud::clock::Clock;
use exokit_core::forecast::History;
use exokit_ledger::{Condition, Filter, IllegalRecord, Ledger, LedgerError, OperationState};
use exokit_model::approval::Roster;
use exokit_model::cost::CostPolicy;
use exokit_model::event::{Entry, Event, Record};
use exokit_model::ids::{EnvironmentName, OperationId, PlanId, ResourceId, Zone};
use jiff::Timestamp;
use tokio::sync::Notify;

use crate::contention_backoff::ContentionBackoff;
use crate::daily_requests::DailyRequests;
use crate::entropy::Entropy;
use crate::environment::EnvironmentState;
use crate::error::EngineError;
use crate::keyring::Keyring;
use crate::registry_logins::RegistryLogins;
use crate::roster_cache::RosterCache;
use crate::timing::Timing;

/// Sees every record that this engine appends, in order per operation.
pub trait Watcher: Send + Sync {
    /// Called after the record is durable.
    fn recorded(&self, record: &Record);
}

/// Sees nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoWatcher;

impl Watcher for NoWatcher {
    fn recorded(&self, _record: &Record) {}
}

/// What an engine is made of.
#[derive(Clone)]
pub struct Parts {
    /// The single record.
    pub ledger: Arc<dyn Ledger>,
    /// The way to the cloud.
    pub client: Client,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The engine's own keys.
    pub keyring: Keyring,
    /// Who signs rosters. None: no roster is accepted, and only plans of
    /// level 1 can run.
    pub root: Option<PublicKey>,
    /// Name of this process, unique among those that share the ledger.
    pub holder: String,
    /// Time limits.
    pub timing: Timing,
    /// Most steps of one operation under way at once, those that only wait
    /// included. None: as many as the plan allows.
    pub steps_at_once: Option<NonZeroUsize>,
    /// Sees what is recorded.
    pub watcher: Arc<dyn Watcher>,
    /// Rosters that were proven before.
    pub roster_cache: RosterCache,
    /// Logins to image registries.
    pub registry_logins: Arc<dyn RegistryLogins>,
}

/// The engine. Clones share everything.
#[derive(Clone)]
pub struct Engine {
    parts: Arc<Parts>,
    view: Arc<Mutex<AccountView>>,
    pub(crate) daily_requests: Arc<DailyRequests>,
    news: Arc<Notify>,
}

/// What the ledger says of the account as a whole, and how far it was read.
#[derive(Default)]
struct AccountView {
    seq: u64,
    /// Judges by the roster in force.
    verifier: Option<Arc<Verifier>>,
    /// The organisation that the ledger is about.
    organization: Option<ResourceId>,
    /// Whether the credentials were seen to belong to it.
    confirmed: bool,
}

impl Engine {
    /// An engine made of `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            view: Arc::default(),
            daily_requests: Arc::default(),
            news: Arc::default(),
        }
    }

    /// What it is made of.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// How many calls to the cloud were made, by operation id and by what
    /// became of them: `done`, `throttled`, `refused`, `failed` or `silent`.
    #[must_use]
    pub fn cloud_calls(&self) -> Vec<(String, &'static str, u64)> {
        let counts = self.parts.client.calls().into_iter();
        counts.map(|((operation, answer), count)| (operation, answer, count)).collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// The roster in force, read afresh from the ledger. Without one it is
    /// empty, which approves nothing.
    ///
    /// # Errors
    /// When the ledger cannot be read or holds a roster that does not verify.
    pub async fn roster(&self) -> Result<Roster, EngineError> {
        Ok(self.verifier().await?.roster().clone())
    }

    /// The roster of a version as it was installed; none for one that was not.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn signed_roster(&self, version: u64) -> Result<Option<String>, EngineError> {
        let records = self.parts.ledger.read(Filter::Account, 0).await?;
        Ok(records.into_iter().find_map(|record| match record.entry.event {
            Event::RosterInstalled { version: installed, signed } if installed == version => Some(signed),
            _ => None,
        }))
    }

    /// How long resources of a zone took so far.
    pub(crate) async fn history(&self, zone: &Zone) -> Result<History, EngineError> {
        Ok(History::new(self.parts.ledger.ready_times(zone.clone()).await?))
    }

    async fn read_account(&self) -> Result<(), EngineError> {
        let after = self.view().seq;
        let records = self.parts.ledger.read(Filter::Account, after).await?;
        let mut view = self.view();
        for record in &records {
            if record.seq <= view.seq {
                continue;
            }
            match (&record.entry.event, &self.parts.root) {
                (Event::RosterInstalled { signed, .. }, Some(root)) => {
                    let current = view.verifier.as_ref().map(|verifier| verifier.roster());
                    let verifier =
                        self.parts.roster_cache.verifier(root, &SignedRoster::from_text(signed))?;
                    follows(current, verifier.roster())?;
                    view.verifier = Some(verifier);
                }
                // Without the root key nobody knows the policy: the default
                // one may be weaker than what was signed.
                (Event::RosterInstalled { .. }, None) => {
                    return Err(EngineError::NoRootKey);
                }
                (Event::AccountBound { organization }, _) => {
                    view.organization.get_or_insert_with(|| organization.clone());
                }
                _ => {}
            }
            view.seq = record.seq;
        }
        Ok(())
    }

    /// Makes sure that the credentials belong to the organisation that the
    /// ledger is about, if it is about one yet. With another account's key
    /// everything would look gone, and be certified so.
    ///
    /// Returns the organisation when the ledger is not bound to it yet.
    pub(crate) async fn check_account(&self, through: &Zone) -> Result<Option<ResourceId>, EngineError> {
        if self.view().confirmed {
            return Ok(None);
        }
        let found = self.organization(through).await?;
        self.read_account().await?;
        let mut view = self.view();
        match view.organization.clone() {
            Some(bound) if bound != found => Err(EngineError::OtherAccount { bound, found }),
            Some(_) => {
                view.confirmed = true;
                Ok(None)
            }
            None => Ok(Some(found)),
        }
    }

    /// As [`Engine::check_account`], and binds a ledger that is about no
    /// organisation yet. Of two who bind at once, the first one wins.
    pub(crate) async fn bind_account(&self, through: &Zone) -> Result<(), EngineError> {
        if let Some(organization) = self.check_account(through).await? {
            let event = Event::AccountBound { organization };
            self.append(&Condition::default(), vec![self.entry(None, None, event)]).await?;
            self.check_account(through).await?;
        }
        Ok(())
    }

    /// Whether the account is known to be the one of the ledger. Until then the
    /// cloud is asked before anything is recorded.
    #[must_use]
    pub fn knows_account(&self) -> bool {
        self.view().confirmed
    }

    fn view(&self) -> MutexGuard<'_, AccountView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges by the roster in force, read afresh from the ledger.
    pub(crate) async fn verifier(&self) -> Result<Arc<Verifier>, EngineError> {
        self.read_account().await?;
        match self.view().verifier.clone() {
            Some(verifier) => Ok(verifier),
            None => Ok(Arc::new(Verifier::new(empty_roster())?)),
        }
    }

    /// Makes a signed roster the one in force.
    ///
    /// # Errors
    /// When it is not signed by the pinned root key, or not newer; and when
    /// others write so much, or one of them for so long, that it gets no turn.
    pub async fn install_roster(&self, signed: &SignedRoster) -> Result<Roster, EngineError> {
        let Some(root) = &self.parts.root else {
            return Err(EngineError::Rejected("no root key is pinned here".to_owned()));
        };
        let verifier = self.parts.roster_cache.verifier(root, signed)?;
        let roster = verifier.roster();
        let mut backoff = ContentionBackoff::default();
        loop {
            // Two rosters of one version would contradict each other for ever:
            // the one that is accepted here must still be the next when written.
            let head = self.parts.ledger.head().await?.seq;
            let current = self.roster().await?;
            let seen = (current.version > 0).then_some(&current);
            follows(seen, roster)?;
            let event =
                Event::RosterInstalled { version: roster.version, signed: signed.as_str().to_owned() };
            match self.append(&Condition::head(head), vec![self.entry(None, None, event)]).await {
                Ok(_) => return Ok(roster.clone()),
                Err(error @ EngineError::Ledger(LedgerError::HeadMoved { .. })) => {
                    backoff.wait(error).await?
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn entry(
        &self,
        environment: Option<&EnvironmentName>,
        operation: Option<&OperationId>,
        event: Event,
    ) -> Entry {
        Entry {
            at: self.now(),
            environment: environment.cloned(),
            operation: operation.cloned(),
            epoch: 0,
            event,
        }
    }

    pub(crate) async fn append(
        &self,
        condition: &Condition,
        entries: Vec<Entry>,
    ) -> Result<Vec<Record>, EngineError> {
        let records = self.parts.ledger.append(condition, entries).await?;
        records.iter().for_each(|record| self.parts.watcher.recorded(record));
        self.news.notify_one();
        Ok(records)
    }

    /// Waits until something is recorded, or returns at once when something was
    /// since it was waited for last. One may wait at a time.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// One operation, as the ledger has it.
    ///
    /// # Errors
    /// When there is none, or the ledger cannot be read.
    pub async fn operation(&self, operation: &OperationId) -> Result<OperationState, EngineError> {
        let records = self.parts.ledger.read(Filter::Operation(operation.clone()), 0).await?;
        self.fold_operation(operation, &records)
    }

    /// One environment, as the ledger has it; without operations when it was
    /// never heard of.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn environment(&self, name: &EnvironmentName) -> Result<EnvironmentState, EngineError> {
        let records = self.parts.ledger.read(Filter::Environment(name.clone()), 0).await?;
        Ok(self.fold_environment(&records)?)
    }

    /// Folds one operation; its plan is parsed when this engine sees it first.
    pub(crate) fn fold_operation(
        &self,
        operation: &OperationId,
        records: &[Record],
    ) -> Result<OperationState, EngineError> {
        let state = OperationState::fold(self.parts.ledger.plans(), operation, records)?;
        state.ok_or_else(|| EngineError::NoPlan(operation.clone()))
    }

    /// As [`Engine::fold_operation`], for an environment.
    pub(crate) fn fold_environment(&self, records: &[Record]) -> Result<EnvironmentState, IllegalRecord> {
        EnvironmentState::fold(self.parts.ledger.plans(), records)
    }

    pub(crate) fn new_plan_id(&self) -> Result<PlanId, EngineError> {
        let mut random = [0; 10];
        self.parts.entropy.fill(&mut random)?;
        Ok(PlanId::from_random(random))
    }
}

pub(crate) fn empty_roster() -> Roster {
    Roster {
        version: 0,
        issued_at: Timestamp::UNIX_EPOCH,
        persons: Vec::new(),
        policy: CostPolicy::default(),
    }
}
