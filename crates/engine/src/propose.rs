//! Making plans from what the ledger and the cloud say now, and recording
//! them so that they can be approved.

use std::collections::BTreeSet;

use exokit_core::cost::{estimate, for_seconds};
use exokit_core::level::DailySums;
use exokit_core::plan_build::{self, Discovered, Occasion, Unrecorded};
use exokit_core::preflight;
use exokit_core::start::{self, PolicyViolation};
use exokit_kinds::Observed;
use exokit_ledger::{Condition, LedgerError, OperationState};
use exokit_model::additions::ClusterAdditions;
use exokit_model::approval::Roster;
use exokit_model::break_glass::BreakGlass;
use exokit_model::canonical::Digest;
use exokit_model::cost::{ApprovalLevel, CostEstimate, PriceList};
use exokit_model::event::{Entry, Event};
use exokit_model::ids::{EnvironmentName, PersonId, PlanId, RoleName, Zone};
use exokit_model::kind::Kind;
use exokit_model::plan::Plan;
use exokit_model::spec::{Correction, EnvironmentClass, EnvironmentSpec};
use exokit_mutant::{Mutant, planted};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use crate::contention_backoff::ContentionBackoff;
use crate::engine::Engine;
use crate::environment::EnvironmentState;
use crate::error::EngineError;
use crate::idempotency::{KeyedRequest, check_key};
use crate::observe;
use crate::survey::instance_pool_of;

/// What a provision is asked for with.
#[derive(Debug, Clone)]
pub struct ProvisionRequest {
    /// What the environment is to be.
    pub spec: EnvironmentSpec,
    /// Default level of its template.
    pub template_level: ApprovalLevel,
    /// Digest of its template.
    pub template_digest: Digest,
    /// Prices for the estimate.
    pub prices: PriceList,
    /// Digest of the price list.
    pub price_digest: Digest,
    /// Who asks.
    pub requester: PersonId,
    /// Changes made to what was asked.
    pub corrections: Vec<Correction>,
    /// A level that the requester wants at least.
    pub wanted_level: Option<ApprovalLevel>,
    /// Why it may go past a limit of the policy.
    pub break_glass: Option<BreakGlass>,
}

/// What a longer life is asked for with.
#[derive(Debug, Clone)]
pub struct ExtensionRequest {
    /// Of which environment.
    pub environment: EnvironmentName,
    /// How much longer.
    pub seconds: u64,
    /// Who asks.
    pub requester: PersonId,
    /// Why it may go past a limit of the policy.
    pub break_glass: Option<BreakGlass>,
}

impl Engine {
    /// Plans a new environment, with the plan id of the keyed request if it
    /// comes from one. Nothing is recorded and nothing changes.
    ///
    /// # Errors
    /// When the name is taken, it would live longer than the policy allows, the
    /// cloud does not offer what is asked for, or ledger or cloud cannot be read.
    pub async fn plan_provision(
        &self,
        request: ProvisionRequest,
        keyed: Option<&KeyedRequest>,
    ) -> Result<Plan, EngineError> {
        let spec = request.spec;
        let environment = self.environment(&spec.environment).await?;
        if environment.provision().is_some() {
            return Err(EngineError::Exists(spec.environment));
        }
        self.check_account(&spec.zone).await?;
        self.check_registry_login(&spec)?;
        let offer = preflight::check(&spec, &self.catalog(&spec.zone).await?)?;
        let history = self.history(&spec.zone).await?;
        let roster = self.roster().await?;
        check_life(&spec.environment, spec.ttl_seconds, request.break_glass.as_ref(), &roster)?;
        let team = team_of(&roster, &request.requester);
        let today = self.today(&roster, &request.requester, team.as_ref()).await?;
        let cost = estimate(&spec, &request.prices);
        let occasion = Occasion {
            plan_id: self.plan_id(keyed)?,
            requester: request.requester,
            team,
            now: self.now(),
            template: (spec.template, request.template_digest),
            template_level: request.template_level,
            price_digest: request.price_digest,
            roster: &roster,
            base_seq: environment.last_seq,
            class: spec.class,
            today,
            wanted_level: request.wanted_level,
            break_glass: request.break_glass,
        };
        let plan_id = occasion.plan_id.clone();
        let keyring = &self.parts().keyring;
        let token_of = |node: &_| keyring.token(&plan_id, node);
        let corrections = request.corrections;
        Ok(plan_build::provision(occasion, spec, &offer, cost, corrections, &history, &token_of)?)
    }

    /// Plans the removal of an environment: everything that the ledger holds
    /// for it, and everything that the cloud made for it since.
    ///
    /// # Errors
    /// When there is no such environment, something else changes it, or ledger
    /// or cloud cannot be read.
    pub async fn plan_teardown(
        &self,
        name: &EnvironmentName,
        requester: &PersonId,
        keyed: Option<&KeyedRequest>,
    ) -> Result<Plan, EngineError> {
        let environment = self.environment(name).await?;
        let provision = environment.provision().ok_or_else(|| EngineError::NoEnvironment(name.clone()))?;
        if let Some(active) = environment.active() {
            return Err(EngineError::Busy { environment: name.clone(), operation: active.operation.clone() });
        }
        let recorded = environment.recorded();
        let zone = provision.plan.zone.clone();
        self.check_account(&zone).await?;
        let additions = self.additions_if_reachable(provision, &recorded).await;
        let discovered = self.discover(&environment, &additions, &zone).await?;
        let unrecorded = Unrecorded { discovered, additions };
        let roster = self.roster().await?;
        let cost = nothing(&provision.plan.cost);
        let plan_id = self.plan_id(keyed)?;
        let occasion = self.occasion_like(plan_id, provision, requester, &roster, environment.last_seq);
        Ok(plan_build::teardown(occasion, (name.clone(), zone), recorded, unrecorded, cost)?)
    }

    fn check_registry_login(&self, spec: &EnvironmentSpec) -> Result<(), EngineError> {
        let Some(name) = &spec.workload.registry_login else { return Ok(()) };
        let login = self.parts().registry_logins.read(name);
        login.map(drop).map_err(|source| EngineError::RegistryLogin { name: name.clone(), source })
    }

    /// Plans a longer life for an environment. The hours that are added are
    /// paid for, so they count like a request.
    ///
    /// # Errors
    /// As [`Engine::plan_teardown`], when it has no end, and when it would live
    /// longer than the policy allows.
    pub async fn plan_extend(
        &self,
        request: ExtensionRequest,
        keyed: Option<&KeyedRequest>,
    ) -> Result<Plan, EngineError> {
        let ExtensionRequest { environment: name, seconds, requester, break_glass } = request;
        let (name, requester) = (&name, &requester);
        let environment = self.environment(name).await?;
        let provision = environment.provision().ok_or_else(|| EngineError::NoEnvironment(name.clone()))?;
        let roster = self.roster().await?;
        let life = provision.plan.spec.as_ref().and_then(|spec| spec.ttl_seconds);
        if life.is_none() && environment.extended() == 0 {
            let more = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
            let end = self.now().checked_add(more).unwrap_or(Timestamp::MAX);
            return Err(EngineError::Shortened { environment: name.clone(), end });
        }
        let life = life.map(|life| life.saturating_add(environment.extended()).saturating_add(seconds));
        check_life(name, life, break_glass.as_ref(), &roster)?;
        let team = team_of(&roster, requester);
        let today = self.today(&roster, requester, team.as_ref()).await?;
        let mut cost = provision.plan.cost.clone();
        cost.ttl = Some(for_seconds(cost.hourly, seconds));
        let plan_id = self.plan_id(keyed)?;
        let occasion = self.occasion_like(plan_id, provision, requester, &roster, environment.last_seq);
        let occasion = Occasion { today, break_glass, ..occasion };
        let place = (name.clone(), provision.plan.zone.clone());
        Ok(plan_build::extend(occasion, place, seconds, cost))
    }

    /// Records a plan, so that it can be approved and run. Of two who planned
    /// from the same state, one is refused. Where the keyed request that it was
    /// planned for has led to an operation meanwhile, that is the answer.
    ///
    /// # Errors
    /// [`LedgerError::Stale`] when the environment changed since the plan was
    /// made, [`EngineError::Conflict`] when a plan was recorded under this id,
    /// [`EngineError::OtherBody`] when that was for a request with the same key
    /// and another body, [`EngineError::OtherKey`] when the plan was not made
    /// for this request.
    pub async fn propose(
        &self,
        plan: &Plan,
        request: Option<&KeyedRequest>,
    ) -> Result<OperationState, EngineError> {
        self.propose_because(plan, request, None).await
    }

    /// As [`Engine::propose`], together with the event that led to it: neither
    /// is in the ledger without the other.
    pub(crate) async fn propose_because(
        &self,
        plan: &Plan,
        request: Option<&KeyedRequest>,
        reason: Option<Event>,
    ) -> Result<OperationState, EngineError> {
        let bytes = plan.to_bytes()?;
        let digest = Plan::digest_of(&bytes);
        // Canonical JSON is UTF-8.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.record(plan, (digest, text), request, reason).await
    }

    /// Records a plan, of which digest and canonical text are known.
    pub(crate) async fn record(
        &self,
        plan: &Plan,
        (digest, text): (Digest, String),
        request: Option<&KeyedRequest>,
        reason: Option<Event>,
    ) -> Result<OperationState, EngineError> {
        check_key(plan, request)?;
        self.bind_account(&plan.zone).await?;
        let operation = plan.plan_id.operation();
        let body = request.map(|request| request.body);
        let seal = Some(self.parts().keyring.seal_plan(&digest));
        let event = Event::PlanProposed { digest, plan: text, request: body, seal };
        let entry = self.entry(Some(&plan.environment), Some(&operation), event);
        let reason = reason.map(|event| self.entry(Some(&plan.environment), None, event));
        let entries: Vec<Entry> = std::iter::once(entry).chain(reason).collect();
        // A plan id belongs to one plan for ever, in whatever environment.
        let unused = operation.clone();
        let condition =
            Condition { unused: Some(unused), ..Condition::environment(&plan.environment, plan.base_seq) };
        let mut backoff = ContentionBackoff::default();
        loop {
            let conflict = match self.append(&condition, entries.clone()).await {
                Err(EngineError::Ledger(LedgerError::Used(operation))) => EngineError::Conflict(operation),
                written => return self.fold_operation(&operation, &written?),
            };
            let Some(request) = request else { return Err(conflict) };
            match self.answered(request).await? {
                Some(known) => return Ok(known),
                // Somebody else has written it, and it is not durable yet.
                None => backoff.wait(conflict).await?,
            }
        }
    }

    /// What else the cloud made for an environment: load balancers that target
    /// its pools, volumes on its machines, with their snapshots, and those of
    /// them that a teardown which stopped has left.
    async fn discover(
        &self,
        environment: &EnvironmentState,
        additions: &ClusterAdditions,
        zone: &Zone,
    ) -> Result<Vec<Discovered>, EngineError> {
        if planted(Mutant::NoDiscovery) {
            return Ok(Vec::new());
        }
        let found = self.made_by_controllers(environment, additions, zone).await?;
        let described =
            |found: Observed| Discovered { kind: found.kind, id: found.id, name: found.name.into() };
        Ok(found.into_iter().map(described).collect())
    }

    /// Volumes, snapshots and load balancers that hang on an environment's nodepool
    /// or on objects in its cluster.
    pub(crate) async fn made_by_controllers(
        &self,
        environment: &EnvironmentState,
        additions: &ClusterAdditions,
        zone: &Zone,
    ) -> Result<Vec<Observed>, EngineError> {
        let recorded = environment.recorded();
        let known = recorded.iter().map(|recorded| &recorded.id).chain(environment.doomed());
        let known = known.chain(additions.objects.iter().map(|object| &object.id));
        let mut ids: BTreeSet<String> = known.map(ToString::to_string).collect();
        let pools = self.observed(Kind::SksNodepool, zone).await?;
        let pools = pools.iter().filter(|pool| ids.contains(pool.id.as_str())).filter_map(instance_pool_of);
        let pools: Vec<String> = pools.collect();
        ids.extend(pools);
        for kind in [Kind::Instance, Kind::LoadBalancer, Kind::BlockVolume, Kind::BlockSnapshot] {
            let belongings = crate::survey::Belongings { ids: ids.clone(), tokens: Vec::new() };
            let found = self.observed(kind, zone).await?;
            ids.extend(
                found.iter().filter(|found| belongings.include(found)).map(|found| found.id.to_string()),
            );
        }
        let mut made = Vec::new();
        for kind in [Kind::BlockVolume, Kind::BlockSnapshot, Kind::LoadBalancer] {
            let found = self.observed(kind, zone).await?;
            made.extend(found.into_iter().filter(|found| ids.contains(found.id.as_str())));
        }
        Ok(made)
    }

    async fn observed(&self, kind: Kind, zone: &Zone) -> Result<Vec<Observed>, EngineError> {
        Ok(observe::list(&self.parts().client, kind, zone).await?)
    }

    async fn today(
        &self,
        roster: &Roster,
        requester: &PersonId,
        team: Option<&RoleName>,
    ) -> Result<DailySums, EngineError> {
        // Whoever is in no roster may take any name, so all of them are one.
        let principal = |person: &PersonId| roster.person(person).map(|_| roster.principal(person));
        let (ledger, day) = (&*self.parts().ledger, self.now().to_zoned(TimeZone::UTC).date());
        Ok(self.daily_requests.sum(ledger, day, (requester, team), &principal).await?)
    }

    pub(crate) fn occasion_like<'a>(
        &self,
        plan_id: PlanId,
        provision: &OperationState,
        requester: &PersonId,
        roster: &'a Roster,
        base_seq: u64,
    ) -> Occasion<'a> {
        Occasion {
            plan_id,
            requester: requester.clone(),
            team: team_of(roster, requester),
            now: self.now(),
            template: (provision.plan.template, provision.plan.template_digest),
            template_level: provision.plan.template_level,
            price_digest: provision.plan.price_digest,
            roster,
            base_seq,
            class: provision.plan.spec.as_ref().map_or(EnvironmentClass::Test, |spec| spec.class),
            today: DailySums::default(),
            wanted_level: None,
            break_glass: None,
        }
    }

    pub(crate) fn plan_id(&self, keyed: Option<&KeyedRequest>) -> Result<PlanId, EngineError> {
        match keyed {
            Some(request) => Ok(request.plan_id.clone()),
            None => self.new_plan_id(),
        }
    }
}

/// Checks the whole lifetime of an environment against the policy. A plan that
/// breaks the glass may exceed it, at the highest level of approval.
fn check_life(
    name: &EnvironmentName,
    seconds: Option<u64>,
    break_glass: Option<&BreakGlass>,
    roster: &Roster,
) -> Result<(), EngineError> {
    match (break_glass, start::check_life(seconds, &roster.policy)) {
        (None, Err(PolicyViolation::Life { wanted: asked, seconds_max: most })) => {
            Err(EngineError::LivesTooLong { environment: name.clone(), asked, most })
        }
        _ => Ok(()),
    }
}

fn team_of(roster: &Roster, person: &PersonId) -> Option<RoleName> {
    roster.person(person).and_then(|person| person.team.clone())
}

/// The estimate of a plan that pays for nothing.
pub(crate) fn nothing(like: &CostEstimate) -> CostEstimate {
    CostEstimate {
        currency: like.currency.clone(),
        price_date: like.price_date.clone(),
        hourly: Decimal::ZERO,
        monthly: Decimal::ZERO,
        ttl: None,
        lines: Vec::new(),
        unknown: Vec::new(),
    }
}
