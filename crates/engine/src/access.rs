//! Hands out secrets and kubeconfigs. Each is recorded before it is read, and
//! what needs an approval is checked against the approved plan.

use std::collections::{BTreeMap, BTreeSet};

use exokit_cloud::cluster::Holder;
use exokit_core::access::{KUBECONFIG_SECONDS_MAX, KUBECONFIG_SECONDS_MIN, needs_approval};
use exokit_core::plan_build;
use exokit_ledger::{Condition, Filter, LedgerError, OperationState, environment_view};
use exokit_model::access::{Access, AccessTerms, ClusterCredentials, ClusterRole, RequesterProof};
use exokit_model::event::{Entry, Event};
use exokit_model::ids::{EnvironmentName, PersonId, PlanId};
use exokit_model::kind::Kind;
use exokit_model::phase::Phase;
use exokit_model::plan::{Action, Plan};
use exokit_model::secret_slot::{SecretSlot, SecretValue};
use exokit_model::spec::EnvironmentClass;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};

use crate::contention_backoff::ContentionBackoff;
use crate::engine::Engine;
use crate::environment::EnvironmentState;
use crate::error::EngineError;
use crate::idempotency::KeyedRequest;

/// How long an approved plan serves again after its first use.
const SERVES_AGAIN: SignedDuration = SignedDuration::from_mins(15);

/// A request for secrets or for a kubeconfig.
#[derive(Debug, Clone)]
pub struct GrantRequest {
    /// Of which environment.
    pub environment: EnvironmentName,
    /// The requester.
    pub by: PersonId,
    /// How they were authenticated.
    pub proof: RequesterProof,
    /// The access and its recipient.
    pub terms: AccessTerms,
    /// The approved plan, where one is needed.
    pub plan: Option<PlanId>,
}

/// The secrets or credentials that a request gets.
#[derive(Debug)]
pub enum Granted {
    /// Secret values. Those that are not there yet are left out.
    Secrets(BTreeMap<SecretValue, SecretString>),
    /// Credentials of the cluster, and when they end.
    Cluster(Box<ClusterCredentials>, Timestamp),
}

/// An access that is about to be handed out.
enum Grant<'a> {
    /// These secrets; all where none is named.
    Secrets(&'a BTreeSet<SecretValue>),
    /// A kubeconfig for a role, valid for so long.
    Kubeconfig(ClusterRole, SignedDuration),
}

impl Grant<'_> {
    /// How long a kubeconfig is valid; none for secrets.
    fn ttl(&self) -> Option<SignedDuration> {
        match self {
            Grant::Secrets(_) => None,
            Grant::Kubeconfig(_, ttl) => Some(*ttl),
        }
    }
}

impl Engine {
    /// Plans an access that needs approval. It costs nothing and changes nothing.
    ///
    /// # Errors
    /// When there is no such environment, it needs no approval, or the ledger
    /// cannot be read.
    pub async fn plan_access(
        &self,
        name: &EnvironmentName,
        requester: &PersonId,
        terms: AccessTerms,
        keyed: Option<&KeyedRequest>,
    ) -> Result<Plan, EngineError> {
        check_terms(&terms.access)?;
        let environment = self.environment(name).await?;
        let provision = provision_of(&environment, name)?;
        let roster = self.roster().await?;
        let plan_id = self.plan_id(keyed)?;
        let occasion = self.occasion_like(plan_id, provision, requester, &roster, environment.last_seq);
        let cost = crate::propose::nothing(&provision.plan.cost);
        Ok(plan_build::access(occasion, (name.clone(), provision.plan.zone.clone()), terms, cost))
    }

    /// Hands out what is asked for, once it is recorded. An approved plan serves
    /// one recipient, for a quarter of an hour after its first use.
    ///
    /// # Errors
    /// [`EngineError::AccessNeedsApproval`] without a plan where one is needed;
    /// when the plan is not approved, or for something else; when there is no
    /// such environment; and when ledger or cloud cannot be used.
    pub async fn grant(&self, asked: &GrantRequest) -> Result<Granted, EngineError> {
        check_terms(&asked.terms.access)?;
        let name = &asked.environment;
        let mut backoff = ContentionBackoff::default();
        loop {
            let environment = self.environment(name).await?;
            let provision = provision_of(&environment, name)?;
            self.check_account(&provision.plan.zone).await?;
            let grant = self.grant_of(asked).await?;
            let (entries, head) = self.entries_of_grant(asked, &environment, &grant).await?;
            match self.append(&Condition::environment(name, head), entries).await {
                Ok(_) => return self.hand_out(asked, provision, grant).await,
                Err(error @ EngineError::Ledger(LedgerError::Stale { .. })) => backoff.wait(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// The records of a grant, and the head of the environment for which they
    /// hold.
    async fn entries_of_grant(
        &self,
        asked: &GrantRequest,
        environment: &EnvironmentState,
        grant: &Grant<'_>,
    ) -> Result<(Vec<Entry>, u64), EngineError> {
        let name = &asked.environment;
        let class = class_of(provision_of(environment, name)?);
        let approved = match &asked.plan {
            Some(plan) => Some(self.approved_access(asked, plan, environment).await?),
            None => match needs_approval(&asked.terms.access, class, asked.proof) {
                Some(why) => return Err(EngineError::AccessNeedsApproval { environment: name.clone(), why }),
                None => None,
            },
        };
        let granted = Event::AccessGranted {
            by: asked.by.clone(),
            proof: asked.proof,
            access: asked.terms.access.clone(),
            expires_at: grant.ttl().and_then(|ttl| self.now().checked_add(ttl).ok()),
            plan: approved.as_ref().map(|(state, _)| state.digest),
        };
        let mut entries = Vec::new();
        let head = approved.as_ref().map_or(environment.last_seq, |(_, head)| *head);
        if let Some((state, _)) = approved.filter(|(state, _)| state.started_at.is_none()) {
            let entry = |event| self.entry(Some(name), Some(&state.operation), event);
            entries.push(entry(Event::OperationStarted { digest: state.digest }));
            entries.push(entry(Event::OperationSucceeded { certificate: None }));
        }
        entries.push(self.entry(Some(name), None, granted));
        Ok((entries, head))
    }

    /// The plan of an access, if it is approved and for exactly what is asked;
    /// with the head of the environment for which that held.
    async fn approved_access(
        &self,
        asked: &GrantRequest,
        plan: &PlanId,
        environment: &EnvironmentState,
    ) -> Result<(OperationState, u64), EngineError> {
        let state = self.operation(&plan.operation()).await?;
        let is_for_it = state.plan.action == Action::Access
            && state.plan.environment == asked.environment
            && state.plan.requester == asked.by
            && state.plan.access.as_ref() == Some(&asked.terms);
        if !is_for_it {
            return Err(EngineError::OtherAccess(plan.clone()));
        }
        match (state.started_at, &state.phase) {
            (None, Phase::AwaitingApproval) => {
                let head = self.check_start(&state).await?;
                Ok((state, head))
            }
            // The reply may have been lost, and only the same key opens another.
            (Some(served), Phase::Succeeded) if self.now() < served + SERVES_AGAIN => {
                let made = provision_of(environment, &asked.environment)?.started_at;
                if made.is_none_or(|made| made > served) {
                    return Err(EngineError::StalePlan(asked.environment.clone()));
                }
                self.check_served(&state, served).await?;
                Ok((state, environment.last_seq))
            }
            (_, phase) => {
                let phase = phase.name();
                Err(EngineError::WrongPhase { operation: state.operation, phase })
            }
        }
    }

    /// Checks the votes of a plan that has served already: the ledger says so, and
    /// anybody may have written that.
    async fn check_served(&self, state: &OperationState, served: Timestamp) -> Result<(), EngineError> {
        if !self.has_recorded(state) {
            return Err(EngineError::NotOurs);
        }
        let times = (served, self.now());
        self.verifier().await?.quorum_or_prior_approval(&state.plan, &state.tokens, times, None)?;
        Ok(())
    }

    /// What a request may have. A kubeconfig is valid no longer than asked for, and
    /// not past the end of the environment.
    async fn grant_of<'a>(&self, asked: &'a GrantRequest) -> Result<Grant<'a>, EngineError> {
        let (role, ttl_seconds) = match &asked.terms.access {
            Access::Secrets { values } => return Ok(Grant::Secrets(values)),
            Access::Kubeconfig { role, ttl_seconds } => (*role, *ttl_seconds),
        };
        let wanted = SignedDuration::from_secs(i64::from(ttl_seconds));
        let name = &asked.environment;
        let records = self.parts().ledger.read(Filter::Environment(name.clone()), 0).await?;
        let view = environment_view(self.parts().ledger.plans(), name, &records)?;
        let left = |end: Timestamp| SignedDuration::from_secs(end.duration_since(self.now()).as_secs());
        let left = view.and_then(|view| view.expires_at).map(left);
        let ttl = left.map_or(wanted, |left| left.min(wanted));
        match ttl >= SignedDuration::from_secs(i64::from(KUBECONFIG_SECONDS_MIN)) {
            true => Ok(Grant::Kubeconfig(role, ttl)),
            false => Err(EngineError::EndsSoon(name.clone())),
        }
    }

    async fn hand_out(
        &self,
        asked: &GrantRequest,
        provision: &OperationState,
        grant: Grant<'_>,
    ) -> Result<Granted, EngineError> {
        let values = match grant {
            Grant::Kubeconfig(role, ttl) => return self.kubeconfig(asked, provision, role, ttl).await,
            Grant::Secrets(values) => values,
        };
        let mut found = BTreeMap::new();
        for slot in slots(provision).filter(|slot| values.is_empty() || values.contains(&slot.value)) {
            if let Some(value) = self.secret(provision, &slot).await? {
                found.insert(slot.value, value);
            }
        }
        Ok(Granted::Secrets(found))
    }

    async fn kubeconfig(
        &self,
        asked: &GrantRequest,
        provision: &OperationState,
        role: ClusterRole,
        ttl: SignedDuration,
    ) -> Result<Granted, EngineError> {
        let no_cluster = || EngineError::NoCluster(asked.environment.clone());
        let nodes = provision.plan.graph.nodes().iter();
        let cluster = nodes
            .filter(|node| node.kind == Kind::SksCluster)
            .find_map(|node| provision.facts.get(&node.key)?.id());
        let cluster = cluster.ok_or_else(no_cluster)?;
        let holder = Holder { user: asked.by.as_str(), group: role.group() };
        let access = self.issue_access(&provision.plan.zone, cluster, holder, ttl).await?;
        let namespace = provision.plan.spec.as_ref().map(|spec| spec.workload.namespace.clone());
        let access = access.ok_or_else(no_cluster)?;
        let (server, tls_server_name, identity) = access.connection();
        let credentials = ClusterCredentials {
            server,
            tls_server_name,
            certificate_authority: identity.authority_pem.clone(),
            client_certificate: identity.certificate_pem.clone(),
            client_key: identity.key_pem.expose_secret().to_owned(),
            namespace: namespace.unwrap_or_default(),
        };
        Ok(Granted::Cluster(Box::new(credentials), access.expires()))
    }
}

fn provision_of<'a>(
    environment: &'a EnvironmentState,
    name: &EnvironmentName,
) -> Result<&'a OperationState, EngineError> {
    environment.provision().ok_or_else(|| EngineError::NoEnvironment(name.clone()))
}

fn class_of(provision: &OperationState) -> EnvironmentClass {
    // Without a description the strictest rules hold.
    provision.plan.spec.as_ref().map_or(EnvironmentClass::Production, |spec| spec.class)
}

fn check_terms(access: &Access) -> Result<(), EngineError> {
    match access {
        Access::Kubeconfig { ttl_seconds, .. }
            if !(KUBECONFIG_SECONDS_MIN..=KUBECONFIG_SECONDS_MAX).contains(ttl_seconds) =>
        {
            Err(EngineError::KubeconfigLife { asked: *ttl_seconds })
        }
        _ => Ok(()),
    }
}

/// The secrets of an environment's resources, each once.
pub(crate) fn slots(provision: &OperationState) -> impl Iterator<Item = SecretSlot> {
    provision.plan.graph.nodes().iter().flat_map(|node| {
        let values: &[SecretValue] = match node.kind {
            Kind::DbaasPg | Kind::DbaasValkey => {
                &[SecretValue::DatabaseUri, SecretValue::DatabaseUser, SecretValue::DatabasePassword]
            }
            Kind::ApiKey => &[SecretValue::AccessKey, SecretValue::SecretKey],
            _ => &[],
        };
        values.iter().map(|value| SecretSlot { node: node.key.clone(), value: *value })
    })
}
