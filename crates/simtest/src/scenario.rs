//! Scenarios of the crash matrix: four verbs, each from before its first step to
//! its end.

use std::fmt;
use std::time::Duration;

use exokit_engine::engine::Engine;
use exokit_engine::error::EngineError;
use exokit_ledger::OperationState;
use exokit_model::approval::Decision;
use exokit_model::ids::EnvironmentName;
use exokit_model::phase::Phase;
use exokit_model::plan::Action;
use exokit_sim::{Config, World};
use jiff::Timestamp;

use crate::oracle;
use crate::rig::{Rig, VOTERS, request};
use crate::setup;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Everything is made.
    Provision,
    /// The nodepool, the last but for what hangs on it, is refused for good;
    /// everything made before is removed.
    Rollback,
    /// Everything is removed.
    Teardown,
    /// Its time is over: the engine proposes the teardown, people approve it,
    /// it runs.
    Expiry,
}

impl Verb {
    /// All of them.
    pub const ALL: [Verb; 4] = [Verb::Provision, Verb::Rollback, Verb::Teardown, Verb::Expiry];

    /// Whether nothing may be left at the end.
    #[must_use]
    pub fn removes(self) -> bool {
        self != Verb::Provision
    }

    fn ends_well(self, phase: &Phase) -> bool {
        match self {
            Verb::Rollback => matches!(phase, Phase::RolledBack { .. }),
            Verb::Provision | Verb::Teardown | Verb::Expiry => *phase == Phase::Succeeded,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verb::Provision => "provision",
            Verb::Rollback => "rollback",
            Verb::Teardown => "teardown",
            Verb::Expiry => "expiry",
        })
    }
}

/// How long an environment lives where its expiry is the matter.
const LIFE: Duration = Duration::from_secs(3600);

/// How long a request whose client died is on its way, as on a real network.
const LATE_MS: i64 = 7_000;

/// When everything that was on its way has arrived.
const QUIET: Duration = Duration::from_secs(60);

/// Longest virtual time that a verb may take, whatever happens.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// One template and verb, ready to begin.
pub struct Scenario {
    /// What is done.
    pub verb: Verb,
    /// To which template.
    pub template: u16,
    /// Everything outside the engine.
    pub rig: Rig,
    /// The operation; none when the verb itself proposes it.
    operation: Option<OperationState>,
    environment: EnvironmentName,
    begins: Timestamp,
}

impl Scenario {
    /// Sets the scene: whatever must exist before exists, and what needs
    /// approval is approved.
    ///
    /// # Errors
    /// What the engine says.
    ///
    /// # Panics
    /// When an environment that is to be removed cannot be made.
    pub async fn set(verb: Verb, template: u16) -> Result<Self, EngineError> {
        let rig = Rig::new(config());
        rig.install_roster().await;
        let mut wish = request(template);
        wish.spec.ttl_seconds = (verb == Verb::Expiry).then_some(LIFE.as_secs());
        let mut state = setup::approved(&rig, wish).await?;
        let environment = state.plan.environment.clone();
        if matches!(verb, Verb::Teardown | Verb::Expiry) {
            let phase = rig.engine().run(&state.operation).await?;
            assert_eq!(phase, Phase::Succeeded, "T{template} cannot be made");
        }
        if verb == Verb::Teardown {
            state = setup::approved_teardown(&rig, &state).await?;
        }
        if verb == Verb::Rollback {
            refuse_nodepools(&rig);
        }
        if verb == Verb::Expiry {
            tokio::time::sleep(LIFE).await;
        }
        let operation = (verb != Verb::Expiry).then_some(state);
        let begins = rig.now();
        Ok(Self { verb, template, rig, operation, environment, begins })
    }

    /// A copy of the rig as it is before the verb begins.
    #[must_use]
    pub fn fresh(&self) -> Rig {
        self.rig.fork(self.begins)
    }

    /// Does the verb from wherever it stands to its end, with a new engine.
    ///
    /// # Errors
    /// What the engine says, or that it takes for ever.
    pub async fn act(&self, rig: &Rig) -> Result<Phase, String> {
        let engine = rig.engine();
        let act = async {
            match &self.operation {
                Some(state) => engine.run(&state.operation).await,
                None => self.expire(rig, &engine).await,
            }
        };
        match tokio::time::timeout(PATIENCE, act).await {
            Ok(ended) => ended.map_err(|error| format!("{error:?}")),
            Err(_) => Err(format!("no end within {PATIENCE:?}")),
        }
    }

    /// What a watching engine and the people around it do.
    async fn expire(&self, rig: &Rig, engine: &Engine) -> Result<Phase, EngineError> {
        engine.expire().await?;
        let environment = engine.environment(&self.environment).await?;
        let teardown = environment.operations.into_iter().rev().find(|o| o.plan.action == Action::Teardown);
        let Some(state) = teardown else {
            return Err(EngineError::Rejected("the expiry was not noticed".to_owned()));
        };
        // People see which votes the ledger has, and give those it lacks.
        if state.phase == Phase::AwaitingApproval {
            for name in VOTERS.iter().take(state.plan.level.persons()).skip(state.tokens.len()) {
                engine.vote(&state.operation, &rig.vote(name, &state, Decision::Approve)).await?;
            }
        }
        engine.run(&state.operation).await
    }

    /// What is wrong with the end of a run, once everything has arrived that
    /// was still on its way.
    pub async fn judge(&self, rig: &Rig, ended: Result<Phase, String>) -> Vec<String> {
        let mut wrong = match ended {
            Ok(phase) if self.verb.ends_well(&phase) => Vec::new(),
            other => vec![format!("it ended as {other:?}")],
        };
        tokio::time::sleep(QUIET).await;
        wrong.extend(oracle::judge(rig));
        if self.verb.removes() {
            wrong.extend(oracle::leftovers(rig));
        }
        if self.verb == Verb::Expiry {
            wrong.extend(noticed_once(rig));
        }
        wrong
    }
}

/// An expiry is noticed once, and asks for one teardown.
fn noticed_once(rig: &Rig) -> Option<String> {
    let records = rig.ledger.durable();
    let count = |name| records.iter().filter(|record| record.entry.event.name() == name).count();
    let (noticed, proposed) = (count("expiry-noticed"), count("plan-proposed"));
    // The other plan is the one that made the environment.
    ((noticed, proposed) != (1, 2)).then(|| format!("noticed {noticed} times, {proposed} plans proposed"))
}

fn config() -> Config {
    let mut config = Config::default();
    config.policies.cancelled_arrives_after_ms = Some(LATE_MS);
    config
}

/// From now on every nodepool is refused for good, whenever its request
/// arrives: the quota was lowered after the plan was approved.
fn refuse_nodepools(rig: &Rig) {
    rig.cloud_mut(|world| {
        world.reconfigure(|config| {
            config.quotas.insert("instance".to_owned(), 0);
            config.policies.quota_status = 400;
        });
    });
}

/// What exists in the cloud, by kind and name: the same for each way to the
/// same end, while ids differ.
#[must_use]
pub fn inventory(rig: &Rig) -> Vec<String> {
    let live = rig.cloud(World::live);
    let mut names: Vec<String> = live
        .iter()
        .filter(|resource| !oracle::is_derived(resource))
        .map(|resource| match oracle::uid_in_name(resource) {
            // Every run has other UIDs.
            Some(uid) => format!("{:?} {}", resource.kind, resource.name.replace(uid, "UID")),
            None => format!("{:?} {}", resource.kind, resource.name),
        })
        .collect();
    names.sort();
    names
}
