//! What can stop the engine, as opposed to what stops one operation.

use exokit_approval::refusal::Refusal;
use exokit_approval::roster::RosterRefusal;
use exokit_cloud::public_prices::PublicPricesError;
use exokit_core::access::{KUBECONFIG_SECONDS_MAX, KUBECONFIG_SECONDS_MIN};
use exokit_core::preflight::PreflightError;
use exokit_core::start::PolicyViolation;
use exokit_ledger::{IllegalRecord, LedgerError};
use exokit_model::canonical::CanonicalError;
use exokit_model::graph::GraphError;
use exokit_model::ids::{EnvironmentName, OperationId, PersonId, PlanId, ResourceId};
use exokit_model::plan::PlanError;
use jiff::Timestamp;

use crate::entropy::EntropyError;
use crate::observe::ObserveError;
use crate::registry_logins::NoLogin;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The ledger.
    #[error("using the ledger")]
    Ledger(#[from] LedgerError),
    /// The ledger has no plan for an operation.
    #[error("the ledger has no plan for {0}")]
    NoPlan(OperationId),
    /// The cloud.
    #[error("observing the cloud")]
    Observe(#[from] ObserveError),
    /// The public prices.
    #[error(transparent)]
    PublicPrices(#[from] PublicPricesError),
    /// The roster.
    #[error("checking the roster")]
    Roster(#[from] RosterRefusal),
    /// A vote or a permit.
    #[error("checking the approval")]
    Refused(#[from] Refusal),
    /// What was asked for is not on offer.
    #[error("checking what the cloud offers")]
    Preflight(#[from] PreflightError),
    /// A document has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// Recorded resources do not form a graph.
    #[error("building the plan")]
    Graph(#[from] GraphError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The credentials belong to another organisation than the ledger.
    #[error("the credentials belong to organisation {found}, this ledger is about {bound}")]
    OtherAccount {
        /// The ledger's organisation.
        bound: ResourceId,
        /// The organisation of the credentials.
        found: ResourceId,
    },
    /// There is no such environment.
    #[error("there is no environment {0}")]
    NoEnvironment(EnvironmentName),
    /// There is such an environment already.
    #[error("environment {0} exists already")]
    Exists(EnvironmentName),
    /// It would live longer than the policy allows.
    #[error("environment {environment} would live {asked}, the policy allows {most} s")]
    LivesTooLong {
        /// The environment.
        environment: EnvironmentName,
        /// How long it would live, with its unit.
        asked: String,
        /// How long it may, in seconds.
        most: u64,
    },
    /// An extension would give an end to what has none.
    #[error("environment {environment} has no end; the extension would end it at {end}")]
    Shortened {
        /// The environment.
        environment: EnvironmentName,
        /// The end that it would have.
        end: Timestamp,
    },
    /// Somebody else asked for the environment.
    #[error("environment {environment} belongs to {owner}, who alone keeps it alive, not {person}")]
    NotOwner {
        /// The environment.
        environment: EnvironmentName,
        /// Who asked for it.
        owner: PersonId,
        /// Who gave the sign of life.
        person: PersonId,
    },
    /// The environment expects no sign of life.
    #[error("environment {0} expects no sign of life")]
    NoKeepAlive(EnvironmentName),
    /// What is asked for is handed out with an approved plan only.
    #[error("access to environment {environment} needs approval: {why}")]
    AccessNeedsApproval {
        /// The environment.
        environment: EnvironmentName,
        /// The rule.
        why: &'static str,
    },
    /// The plan is for another access.
    #[error("{0} was approved for another access: other contents, requester or recipient key")]
    OtherAccess(PlanId),
    /// The login for the workload's image cannot be used.
    #[error("the registry login {name} cannot be used")]
    RegistryLogin {
        /// Its name.
        name: String,
        /// The reason.
        #[source]
        source: NoLogin,
    },
    /// A kubeconfig would live too long, or too short to be used.
    #[error("a kubeconfig cannot live for {asked} s")]
    KubeconfigLife {
        /// The requested life, in seconds.
        asked: u32,
    },
    /// The environment ends before a kubeconfig could be used.
    #[error("environment {0} ends in less than {KUBECONFIG_SECONDS_MIN} s")]
    EndsSoon(EnvironmentName),
    /// The environment has no cluster now.
    #[error("environment {0} has no cluster")]
    NoCluster(EnvironmentName),
    /// Another operation changes the environment.
    #[error("operation {operation} on {environment} is not finished")]
    Busy {
        /// The environment.
        environment: EnvironmentName,
        /// The other operation.
        operation: OperationId,
    },
    /// A plan was proposed under the same id, this one or another.
    #[error("a plan was proposed as {0} before")]
    Conflict(OperationId),
    /// The idempotency key was used for a request with another body.
    #[error("the idempotency key was used before, for another request; it led to {0}")]
    OtherBody(OperationId),
    /// A plan is to be recorded for a request that it was not made for.
    #[error("{0} was not made for a request with this idempotency key")]
    OtherKey(PlanId),
    /// What was brought is no plan.
    #[error("reading the plan")]
    Unreadable(#[source] PlanError),
    /// A plan from outside is not one that this engine sealed.
    #[error("the plan does not have this engine's seal: another one made it, or it was altered")]
    NotOurs,
    /// The environment changed after the plan was made.
    #[error("environment {0} changed after the plan was made")]
    StalePlan(EnvironmentName),
    /// The roster in the ledger cannot be verified.
    #[error("the ledger has a roster, but the root key that signed it is not pinned here")]
    NoRootKey,
    /// The plan was denied, withdrawn or came too late.
    #[error("the plan will not run: {0}")]
    Rejected(String),
    /// The operation is not in a phase for this.
    #[error("operation {operation} is {phase}")]
    WrongPhase {
        /// The operation.
        operation: OperationId,
        /// Name of its phase.
        phase: &'static str,
    },
}

impl From<IllegalRecord> for EngineError {
    fn from(illegal: IllegalRecord) -> Self {
        EngineError::Ledger(illegal.into())
    }
}

impl EngineError {
    /// Short stable code for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            EngineError::NoPlan(_) | EngineError::Ledger(LedgerError::IllegalRecord(_)) => "ledger-content",
            EngineError::Ledger(_) => "ledger",
            EngineError::Observe(_) => "cloud",
            EngineError::PublicPrices(_) => "prices",
            EngineError::Roster(_) => "roster",
            EngineError::Refused(refusal) => refusal.code(),
            EngineError::Preflight(_) => "not-offered",
            EngineError::Canonical(_) | EngineError::Graph(_) => "plan",
            EngineError::Entropy(_) => "entropy",
            EngineError::OtherAccount { .. } => "other-account",
            EngineError::NoEnvironment(_) => "no-environment",
            EngineError::Exists(_) => "exists",
            EngineError::LivesTooLong { .. } => "life-too-long",
            EngineError::Shortened { .. } => "shortened",
            EngineError::NotOwner { .. } => "not-owner",
            EngineError::NoKeepAlive(_) => "no-keep-alive",
            EngineError::AccessNeedsApproval { .. } => "approval-needed",
            EngineError::OtherAccess(_) => "other-access",
            EngineError::RegistryLogin { .. } => "registry-login",
            EngineError::KubeconfigLife { .. } => "kubeconfig-life",
            EngineError::EndsSoon(_) => "ends-soon",
            EngineError::NoCluster(_) => "no-cluster",
            EngineError::Busy { .. } => "busy",
            EngineError::Conflict { .. } => "conflict",
            EngineError::OtherBody { .. } => "idempotency-conflict",
            EngineError::OtherKey { .. } => "idempotency-key",
            EngineError::Unreadable(_) => "plan-unreadable",
            EngineError::NotOurs => "plan-seal",
            EngineError::StalePlan { .. } => "stale-plan",
            EngineError::NoRootKey => "no-root-key",
            EngineError::Rejected { .. } => "rejected",
            EngineError::WrongPhase { .. } => "wrong-phase",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            EngineError::Ledger(error) => error.hint().to_owned(),
            EngineError::NoPlan(_) => "run `exokit audit verify` to find the first bad record".to_owned(),
            EngineError::Observe(error) => error.hint(),
            EngineError::PublicPrices(error) => error.hint().to_owned(),
            EngineError::Roster(error) => error.hint().to_owned(),
            EngineError::Refused(refusal) => refusal.hint().to_string(),
            EngineError::Preflight(error) => error.hint(),
            EngineError::Canonical(_) | EngineError::Graph(_) => {
                "this is a mistake in exokit; please report it with the plan".to_owned()
            }
            EngineError::Entropy(_) => "try again".to_owned(),
            EngineError::OtherAccount { .. } => {
                "use a key of that organisation, or another ledger with --state".to_owned()
            }
            EngineError::NoRootKey => {
                "restore `root.key` in the state directory; it is kept beside `keyring`".to_owned()
            }
            EngineError::NoEnvironment(_) => "`exokit list` shows all environments".to_owned(),
            EngineError::Exists(name) => {
                format!("choose another name, or remove it first with `exokit teardown {name}`")
            }
            EngineError::Shortened { .. } => {
                "leave it as it is; an environment with a time limit is asked for with --ttl".to_owned()
            }
            EngineError::LivesTooLong { most, .. } => {
                format!(
                    "ask for at most {most} s in all, let the policy be changed with `exokit approver policy`, or say with --break-glass why it must be: that takes approval level 3"
                )
            }
            EngineError::NotOwner { owner, .. } => {
                format!("{owner}, or an agent of theirs, gives the sign of life; others can extend it")
            }
            EngineError::NoKeepAlive(name) => {
                format!(
                    "extend it with `exokit extend {name} --ttl`; signs of life are asked for with `up --keep-alive`"
                )
            }
            EngineError::AccessNeedsApproval { .. } => {
                "ask for it with --wait, and let somebody else approve the plan".to_owned()
            }
            EngineError::OtherAccess(_) => "ask for a plan of this access".to_owned(),
            EngineError::RegistryLogin { source, .. } => source.hint.clone(),
            EngineError::KubeconfigLife { .. } => {
                format!(
                    "ask for {KUBECONFIG_SECONDS_MIN} to {KUBECONFIG_SECONDS_MAX} s; a new one can be had at any time"
                )
            }
            EngineError::EndsSoon(name) => format!("let it live longer with `exokit extend {name} --ttl`"),
            EngineError::NoCluster(name) => format!("see what is there with `exokit show {name}`"),
            EngineError::Busy { environment, .. } => {
                format!("wait for it with `exokit watch {environment}`, then plan again")
            }
            EngineError::Conflict { .. } | EngineError::StalePlan { .. } | EngineError::Rejected { .. } => {
                "make a new plan".to_owned()
            }
            EngineError::OtherBody { .. } => "use a new idempotency key for a new request".to_owned(),
            EngineError::OtherKey { .. } => {
                "send the plan with the idempotency key for which it was made, or plan again".to_owned()
            }
            EngineError::Unreadable(_) | EngineError::NotOurs => {
                "send plan and seal exactly as they were given out, or plan again".to_owned()
            }
            EngineError::WrongPhase { .. } => "`exokit show` tells where the environment stands".to_owned(),
        }
    }
}

/// A plan that breaks the policy never starts.
impl From<PolicyViolation> for EngineError {
    fn from(violation: PolicyViolation) -> Self {
        Self::Rejected(violation.to_string())
    }
}
