//! One run of a schedule: the life of an environment from the first request to the
//! empty account under the scheduled faults, then healing, then convergence.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use exokit_cloud::transport::Transport;
use exokit_engine::engine::Engine;
use exokit_engine::error::EngineError;
use exokit_ledger::LedgerError;
use exokit_model::approval::Roster;
use exokit_model::canonical::Digest;
use exokit_model::event::{Event, Record};
use exokit_model::ids::{EnvironmentName, OperationId};
use exokit_model::needs_human::NeedsHuman;
use exokit_model::phase::Phase;
use exokit_model::text::ForeignText;
use exokit_mutant::{Mutant, planted};
use exokit_sim::{Config, Kind, World};

use super::effect::State;
use super::interventions::Interventions;
use super::mutants::ledger::MutantLedger;
use super::mutants::transport;
use super::operation_tracker::OperationTracker;
use super::process::{Fate, HostClock, with_pause};
use super::schedule::{Schedule, Stage};
use super::watched_transport;
use super::witness::{Witness, arrived_digest};
use crate::crash::{Ran, after_polls};
use crate::rig::{Outfit, Rig};

/// Most processes that one stage may take; more is a live lock.
const PROCESSES_MAX: u32 = 60;

/// After so many processes everything is healed, so that what is left must
/// come to an end.
const HEAL_AFTER: u32 = 12;

/// What the schedule made true, which the engine does not know.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Ids of resources that are not ours.
    pub(super) foreign: BTreeSet<String>,
    /// What controllers made beside ours, as long as it was not removed.
    pub(super) planted: Vec<(Kind, String)>,
    /// Those of them that were there before the teardown was planned.
    pub(super) known: BTreeSet<String>,
    /// Ids that a human deleted or changed.
    pub(super) touched: BTreeSet<String>,
    /// Names that somebody else took.
    pub(super) names_taken: BTreeSet<String>,
    /// Votes that may count.
    pub(super) good_votes: BTreeSet<String>,
    /// Votes that the engine said it counted.
    pub(super) counted: BTreeSet<String>,
    /// Plans that the engine said it recorded.
    pub(super) proposed: BTreeSet<Digest>,
    /// People whose first key is revoked.
    pub(super) revoked: BTreeSet<&'static str>,
    /// Whether the policy was changed between vote and start.
    pub(super) policy_moved: bool,
    /// Whether the clock of the host was ever wrong.
    pub(super) clock_was_wrong: bool,
    /// The roster in force.
    pub(super) roster: Option<Roster>,
    /// What went wrong that no evidence shows afterwards.
    pub(super) wrong: Vec<String>,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// It came to this phase.
    Phase(Phase),
    /// It never began; the code of the refusal.
    NotStarted(&'static str),
}

/// One run under way.
pub(super) struct Simulation {
    pub(super) schedule: Schedule,
    pub(super) rig: Rig,
    pub(super) witness: Arc<Witness>,
    pub(super) truth: RefCell<Truth>,
    clock: HostClock,
    processes: Cell<u64>,
}

/// Calls per second of each process: few, so that the budget is felt.
const BUDGET: u32 = 6;

impl Simulation {
    pub(super) fn new(schedule: &Schedule) -> Self {
        let mut config =
            Config { seed: schedule.seed, faults: schedule.cloud().cloned().collect(), ..Config::default() };
        config.policies.cancelled_arrives_after_ms = schedule.arrives_late.then_some(7_000);
        let mut rig = Rig::new(config);
        rig.budget_per_second = BUDGET;
        if planted(Mutant::SettleOnce) {
            rig.timing.list_lag = Duration::ZERO;
        }
        let clock = HostClock::new(rig.clock());
        Self {
            schedule: schedule.clone(),
            witness: Arc::new(Witness::new(schedule)),
            rig,
            truth: RefCell::default(),
            processes: Cell::new(0),
            clock,
        }
    }

    /// A new process.
    pub(super) fn engine(&self) -> Engine {
        self.rig.engine_with(Outfit {
            ledger: Arc::new(MutantLedger::new(&self.rig.ledger, &self.witness, self.clock.clone())),
            clock: Arc::new(self.clock.clone()),
            transport: self.transport(),
        })
    }

    /// A new process that installs a roster which must be refused.
    pub(super) fn installer(&self) -> Engine {
        match planted(Mutant::OlderRoster) {
            true => self.rig.engine_with(Outfit {
                ledger: Arc::new(MutantLedger::without_rosters(
                    &self.rig.ledger,
                    &self.witness,
                    self.clock.clone(),
                )),
                clock: Arc::new(self.clock.clone()),
                transport: self.rig.transport(),
            }),
            false => self.rig.engine(),
        }
    }

    /// The way to the cloud of one more process.
    pub(super) fn transport(&self) -> Transport {
        let process = self.processes.get();
        self.processes.set(process + 1);
        transport::wrapped(
            watched_transport::watched(&self.rig.world, &self.witness, process),
            &self.rig.world,
        )
    }

    pub(super) fn set_clock(&self, ahead: i32) {
        self.clock.set_ahead(ahead);
        self.truth.borrow_mut().clock_was_wrong |= ahead != 0;
        self.witness.lock().clock_wrong = ahead != 0;
    }

    /// The environment that is made.
    ///
    /// # Panics
    /// When the templates cannot be read.
    pub(super) fn environment(&self) -> EnvironmentName {
        crate::rig::request(self.schedule.template).spec.environment
    }

    pub(super) fn wrong(&self, what: String) {
        self.truth.borrow_mut().wrong.push(what);
    }

    /// A life: provision, rest, teardown, each with its faults.
    pub(super) async fn life(&mut self) {
        self.begin().await;
        let Some(provision) = self.ask(Stage::AskProvision).await else { return };
        let ended = self.operate(&provision, Stage::Provision).await;
        self.after_provision(&provision, &ended).await;
        if ended == Ended::Phase(Phase::Succeeded) {
            self.rest(&provision).await;
            self.remove(&provision).await;
        }
        self.heal();
        self.sweep().await;
        self.sing();
    }

    /// The canary: a resource with a mark of ours that nobody recorded.
    fn sing(&self) {
        if self.schedule.items.iter().any(|item| item.what == super::schedule::What::Canary) {
            let doc = serde_json::json!({"name": "canary", "labels": {"exokit-token": "canary"}});
            self.rig.cloud_mut(|world| world.plant_foreign(Kind::PrivateNetwork, None, doc));
        }
    }

    async fn begin(&mut self) {
        self.rig.install_roster().await;
        self.truth.borrow_mut().roster = Some(self.rig.roster());
        self.read_ledger();
    }

    /// Asks for the teardown and carries it out, until the account is empty.
    async fn remove(&mut self, provision: &OperationId) {
        for attempt in 0..6 {
            if attempt == 3 {
                self.heal();
            }
            let Some(teardown) = self.ask(Stage::AskTeardown).await else { continue };
            // Between the plan and its start.
            Interventions::of(self, Stage::AskTeardown).all(self, Some(&teardown)).await;
            self.schedule.items.retain(|item| !item.what.is_act_in(Stage::AskTeardown));
            if self.operate(&teardown, Stage::Teardown).await == Ended::Phase(Phase::Succeeded) {
                return;
            }
        }
        self.wrong(format!("I8 {provision} could not be removed"));
    }

    /// Asks until a plan is approved; none when it is refused for good.
    async fn ask(&mut self, stage: Stage) -> Option<OperationId> {
        for process in 0..PROCESSES_MAX {
            if process == HEAL_AFTER {
                self.heal();
            }
            self.read_ledger();
            let asked = match self.fate(stage, process) {
                Fate::Crash { polls, keep, seen } => match after_polls(self.ask_once(stage), polls).await {
                    Ran::Done(asked, _) => asked,
                    Ran::Crashed => {
                        self.crash(keep, seen, process > 0);
                        continue;
                    }
                },
                Fate::None | Fate::Pause { .. } => self.ask_once(stage).await,
            };
            match asked {
                Ok(state) if self.is_rejected(&state.operation) => {}
                Ok(state) => return Some(state.operation),
                Err(error) if passes(&error) => tokio::time::sleep(Duration::from_secs(10)).await,
                Err(error) => {
                    self.wrong(format!("I8 asking ended with {}: {error:?}", error.code()));
                    return None;
                }
            }
        }
        self.wrong(format!("I8 {stage:?} took more than {PROCESSES_MAX} processes"));
        None
    }

    fn has_begun(&self, operation: &OperationId) -> bool {
        self.records().iter().any(|record| {
            record.entry.operation.as_ref() == Some(operation)
                && matches!(record.entry.event, Event::OperationStarted { .. })
        })
    }

    fn is_rejected(&self, operation: &OperationId) -> bool {
        self.records().iter().any(|record| {
            record.entry.operation.as_ref() == Some(operation)
                && matches!(record.entry.event, Event::PlanRejected { .. })
        })
    }

    /// Carries an approved operation to its end, process after process.
    async fn operate(&mut self, operation: &OperationId, stage: Stage) -> Ended {
        let interventions = Interventions::of(self, stage);
        // People do what they do once, also when a stage is gone through twice.
        self.schedule.items.retain(|item| !item.what.is_act_in(stage));
        let mut helped = 0;
        for process in 0..PROCESSES_MAX {
            if process == HEAL_AFTER {
                interventions.end(self);
                self.heal();
            }
            self.read_ledger();
            let lived = self.live(operation, stage, process, &interventions).await;
            match lived {
                None => {}
                Some(Ok(Phase::NeedsHuman { why, rolling_back, .. })) => {
                    helped += 1;
                    if helped == 4 {
                        interventions.end(self);
                        self.heal();
                    }
                    self.help(operation, stage, &why, rolling_back).await;
                }
                Some(Ok(phase)) => {
                    interventions.end(self);
                    return Ended::Phase(phase);
                }
                // Of two processes one may have come at a wrong time, and the
                // other have begun and died.
                Some(Err(error)) if passes(&error) || self.has_begun(operation) => {
                    tokio::time::sleep(patience(process)).await;
                }
                Some(Err(error)) => {
                    interventions.end(self);
                    return Ended::NotStarted(error.code());
                }
            }
        }
        self.wrong(format!("I8 {stage:?} took more than {PROCESSES_MAX} processes"));
        Ended::NotStarted("live-lock")
    }

    /// One process, or two when the first one stops. None: the host crashed.
    async fn live(
        &mut self,
        operation: &OperationId,
        stage: Stage,
        process: u32,
        interventions: &Interventions,
    ) -> Option<Result<Phase, EngineError>> {
        let engine = self.engine();
        let acting = interventions.perform(self, Some(operation));
        let lived = match self.fate(stage, process) {
            Fate::None => Ran::Done(beside(self.run(&engine, operation, stage), acting).await, 0),
            Fate::Crash { polls, .. } => beside(after_polls(engine.run(operation), polls), acting).await,
            Fate::Pause { polls, length } => {
                Ran::Done(beside(self.two(&engine, operation, polls, length), acting).await, 0)
            }
        };
        match (lived, self.fate(stage, process)) {
            (Ran::Done(result, _), _) => Some(result),
            (Ran::Crashed, Fate::Crash { keep, seen, .. }) => {
                self.crash(keep, seen, process > 0);
                None
            }
            (Ran::Crashed, _) => None,
        }
    }

    /// One process, called twice when messages are repeated.
    async fn run(
        &self,
        engine: &Engine,
        operation: &OperationId,
        stage: Stage,
    ) -> Result<Phase, EngineError> {
        if !self.repeats(stage) {
            return engine.run(operation).await;
        }
        let other = self.engine();
        let again = async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            let state = self.witness.lock().tracker.state();
            let ended = other.run(operation).await;
            if matches!(ended, Err(EngineError::Ledger(LedgerError::LeaseHeld { .. }))) {
                self.witness.note_in("operation run twice at once", state);
            }
            ended
        };
        match tokio::join!(engine.run(operation), again) {
            // The first one came too early, such as by a clock that was slow.
            (Err(_), Ok(phase)) => Ok(phase),
            (first, _) => first,
        }
    }

    /// A process that stops, and another one that takes over when it may.
    async fn two(
        &self,
        engine: &Engine,
        operation: &OperationId,
        polls: u64,
        length: Duration,
    ) -> Result<Phase, EngineError> {
        let (begun, over) = (Cell::new(false), Cell::new(false));
        let first = async {
            let ended = with_pause(engine.run(operation), polls, length, &begun).await;
            over.set(true);
            ended
        };
        let second = async {
            let other = self.engine();
            let mut waited = false;
            loop {
                tokio::time::sleep(Duration::from_secs(7)).await;
                self.witness.lock().zombie = begun.get();
                if over.get() {
                    return None;
                }
                if !begun.get() {
                    continue;
                }
                let state = self.witness.lock().tracker.state();
                match other.run(operation).await {
                    Err(EngineError::Ledger(LedgerError::LeaseHeld { .. })) => waited = true,
                    ended => {
                        if waited {
                            self.witness.note_in("lease waited out", state);
                        }
                        return Some(ended);
                    }
                }
            }
        };
        let (first, second) = tokio::join!(first, second);
        self.witness.lock().zombie = false;
        // Of two ends the one of the process that held the lease counts.
        match (first, second) {
            (Err(EngineError::Ledger(_)), Some(second)) => second,
            (first, _) => first,
        }
    }

    fn fate(&self, stage: Stage, process: u32) -> Fate {
        let fates = self.schedule.items.iter();
        fates.filter_map(|item| Fate::of(&item.what, stage, process)).next().unwrap_or(Fate::None)
    }

    pub(super) fn repeats(&self, stage: Stage) -> bool {
        let is = |item: &super::schedule::Item| matches!(item.what, super::schedule::What::Repeat { stage: own } if own == stage);
        self.schedule.items.iter().any(is)
    }

    /// The host crashes: every process is gone, and so may be what was not
    /// synced.
    pub(super) fn crash(&mut self, keep: bool, seen: bool, recovering: bool) {
        self.witness.note_cloud(&self.rig.world);
        self.witness.note(if recovering { "crash of the recovery" } else { "crash" });
        if self.effect_without_record() {
            self.witness.note("crash between effect and record");
        }
        let volatile = self.rig.ledger.crash(true).durable().len() > self.rig.ledger.durable().len();
        match (volatile, keep) {
            (true, true) => self.witness.note("unsynced tail kept"),
            (true, false) => self.witness.note("unsynced tail lost"),
            (false, _) => {}
        }
        match seen {
            true => self.rig.crash(keep),
            false => self.rig.crash_unseen(keep),
        }
    }

    /// Whether the cloud has carried out a request whose outcome nobody wrote
    /// down.
    fn effect_without_record(&self) -> bool {
        let records = self.rig.ledger.durable();
        let open = open_intents(&records);
        let effected = |world: &World| {
            world.journal().iter().rev().take(20).any(|entry| {
                entry.effect != exokit_sim::Effect::None && open.contains(&arrived_digest(entry))
            })
        };
        self.rig.cloud(effected)
    }

    /// Where the operation stands is told from the durable ledger.
    pub(super) fn read_ledger(&self) {
        let mut tracker = OperationTracker::default();
        self.rig.ledger.durable().iter().for_each(|record| tracker.take(record));
        self.witness.lock().tracker = tracker;
    }

    /// No more faults.
    pub(super) fn heal(&mut self) {
        self.set_clock(0);
        self.witness.heal();
        self.schedule.items.retain(|item| !is_lasting(&item.what));
        self.rig.cloud_mut(|world| {
            world.reconfigure(|config| {
                config.faults.clear();
                config.quotas = Config::default().quotas;
            });
        });
    }

    /// A human looks at why an operation waits, does what the cause asks for,
    /// and lets it go on.
    async fn help(&self, operation: &OperationId, stage: Stage, why: &NeedsHuman, rolling_back: bool) {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut rollback = false;
        match why {
            // Another voter, where one was lost; an end, where somebody denied.
            NeedsHuman::ApprovalLost { code, .. } => {
                rollback = !rolling_back && (code.raw() == "denied" || !self.vote_again(operation).await);
            }
            NeedsHuman::Credentials { .. } => self.unprotect(),
            NeedsHuman::Ambiguous { ids, .. } => self.keep_one(ids),
            NeedsHuman::DeleteStuck { .. } => {
                self.check_known(|kind| kind == Kind::LoadBalancer);
                self.clear_the_way();
            }
            NeedsHuman::NotClean { .. } => {
                self.check_known(|_| true);
                self.clear_the_way();
            }
            // The next plan names it.
            NeedsHuman::Unplanned { .. } => {
                self.witness.note_in("found that no plan names", State::Parked);
                rollback = stage == Stage::Teardown;
                if !rollback {
                    self.clear_the_way();
                }
            }
            NeedsHuman::NameTaken { .. } => rollback = stage == Stage::Provision && !rolling_back,
            _ => {}
        }
        match self.engine().unpark(operation, "sam", rollback).await {
            Ok(()) => self.witness.note_in("parked, and a human let it go on", State::Parked),
            Err(error) if passes(&error) => {}
            Err(error) => self.wrong(format!("I8 {why} cannot be resolved: {error:?}")),
        }
    }

    /// Somebody takes the protection off the databases again.
    fn unprotect(&self) {
        let ours = self.rig.cloud(World::live);
        let databases = ours.iter().filter(|live| live.kind == Kind::DbaasService);
        for database in databases {
            self.rig.cloud_mut(|world| world.human_protect(&database.id, false));
        }
    }

    /// Removes by hand what controllers and strangers put in the way.
    fn clear_the_way(&self) {
        let planted = std::mem::take(&mut self.truth.borrow_mut().planted);
        let foreign: Vec<String> = self.truth.borrow().foreign.iter().cloned().collect();
        self.rig.cloud_mut(|world| {
            for (kind, id) in planted {
                world.human_delete(kind, &id);
            }
            let strangers: Vec<_> =
                world.live().into_iter().filter(|live| foreign.contains(&live.id)).collect();
            for stranger in strangers {
                world.human_delete(stranger.kind, &stranger.id);
            }
        });
    }

    /// Of several resources with one mark a human keeps one: no stranger's, and
    /// of our own the first.
    fn keep_one(&self, ids: &[ForeignText]) {
        let ids: Vec<&str> = ids.iter().map(ForeignText::raw).collect();
        let foreign = self.truth.borrow().foreign.clone();
        let keep = ids.iter().find(|id| !foreign.contains(**id));
        let live = self.rig.cloud(World::live);
        for extra in
            live.iter().filter(|live| ids.contains(&live.id.as_str()) && Some(&live.id.as_str()) != keep)
        {
            self.rig.cloud_mut(|world| world.human_delete(extra.kind, &extra.id));
        }
    }

    /// What was there before the teardown was planned must not be left to a
    /// human, unless people interfered.
    fn check_known(&self, looked_for: impl Fn(Kind) -> bool) {
        let truth = self.truth.borrow();
        let live = self.rig.cloud(World::live);
        let left = live.iter().find(|live| truth.known.contains(&live.id) && looked_for(live.kind));
        let found = left
            .filter(|_| truth.touched.is_empty())
            .map(|left| format!("I28 {} {} was overlooked", left.kind, left.id));
        drop(truth);
        found.into_iter().for_each(|found| self.wrong(found));
    }

    async fn after_provision(&mut self, operation: &OperationId, ended: &Ended) {
        let taken = !self.truth.borrow().names_taken.is_empty();
        if let (Ended::Phase(Phase::RolledBack { .. }), true) = (ended, taken) {
            self.witness.note_in("name taken by somebody else", State::Provisioning);
        }
        if let Ended::NotStarted("live-lock") = ended {
            self.wrong(format!("I8 {operation} does not end"));
        }
    }

    /// Counts keys that were replaced because their secret was lost.
    pub(super) fn note_lost_secrets(&self) {
        for record in self.records() {
            if let Event::ResourceFailed { id: Some(_), reason, .. } = &record.entry.event
                && reason.raw().contains("secret was in a reply that was lost")
            {
                self.witness.note_in("one-time secret lost, key replaced", State::Provisioning);
            }
        }
    }

    /// Durable records, for those that look at them afterwards.
    pub(super) fn records(&self) -> Vec<Record> {
        self.rig.ledger.durable()
    }
}

/// Digests of the requests whose outcome is not recorded.
fn open_intents(records: &[Record]) -> BTreeSet<Digest> {
    let mut open: BTreeMap<(Option<OperationId>, String), Digest> = BTreeMap::new();
    for record in records {
        let Some(node) = record.entry.event.node() else { continue };
        let place = (record.entry.operation.clone(), node.to_string());
        match &record.entry.event {
            Event::CreateIntended { request, .. } | Event::DeleteIntended { request, .. } => {
                open.insert(place, *request);
            }
            _ => {
                open.remove(&place);
            }
        }
    }
    open.into_values().collect()
}

/// Whether an error goes away by itself or when the faults end, so that the
/// same command is simply given again.
pub(super) fn passes(error: &EngineError) -> bool {
    matches!(error, EngineError::Ledger(_) | EngineError::Observe(_))
}

/// How long a supervisor waits before it starts the next process: longer each
/// time.
fn patience(process: u32) -> Duration {
    Duration::from_secs(15) * (1 + process)
}

/// Whether an item goes on until it is healed.
fn is_lasting(what: &super::schedule::What) -> bool {
    use super::schedule::What;
    matches!(what, What::Cloud(_) | What::Crash { .. } | What::Pause { .. } | What::Repeat { .. })
}

/// Runs `main` to its end while `acting` goes on beside it.
async fn beside<T>(main: impl Future<Output = T>, acting: impl Future<Output = ()>) -> T {
    tokio::pin!(main, acting);
    tokio::select! {
        biased;
        ended = &mut main => ended,
        () = &mut acting => unreachable!("acts go on until they are dropped"),
    }
}
