//! From a request, in any of its forms, to a plan.

use std::sync::PoisonError;

use exokit_core::preflight::PreflightError;
use exokit_core::select::select;
use exokit_engine::error::EngineError;
use exokit_engine::idempotency::KeyedRequest;
use exokit_engine::propose::{ExtensionRequest, ProvisionRequest};
use exokit_model::cost::CostPolicy;
use exokit_model::ids::{PersonId, Zone};
use exokit_model::plan::Plan;
use exokit_model::selection::{Requirements, Selection};
use exokit_model::spec::{Correction, EnvironmentSpec};
use exokit_model::text::ForeignText;
use exokit_templates::{InstantiateOptions, RunFile, prices};
use exokit_wire::failure::Failure;
use exokit_wire::request::{AccessTo, Ask, PlanRequest, RunFileText, SelectRequest};
use jiff::tz::TimeZone;

use crate::explain::{Doing as _, invalid};
use crate::service::{CachedPolicy, Service};

/// Label that names the zone of a node.
const LABEL_ZONE: &str = "stargate.io/zone";

/// How long a selection may use a policy that was read before, in milliseconds:
/// reading it is most of the work of a selection.
const CACHED_POLICY_MS: i128 = 1_000;

/// A plan, and how it came out of the request.
#[derive(Debug, Clone)]
pub(crate) struct PlannedChange {
    pub(crate) plan: Plan,
    /// Why this template was chosen; none when it was named.
    pub(crate) selection: Option<Selection>,
    /// Remarks for people, such as ignored keys of a run file.
    pub(crate) notes: Vec<ForeignText>,
}

/// The specification of a new environment, and how it came out of the request.
struct ResolvedSpec {
    spec: EnvironmentSpec,
    corrections: Vec<Correction>,
    selection: Option<Selection>,
    notes: Vec<ForeignText>,
}

impl Service {
    /// The cheapest template that satisfies the requirements. With none at all
    /// the cheapest is the answer.
    pub(crate) async fn select(&self, SelectRequest(required): SelectRequest) -> Result<Selection, Failure> {
        let policy = self.cached_policy().await?;
        self.chosen(&required, &policy)
    }

    /// The policy for selections. Plans and starts read the policy afresh.
    async fn cached_policy(&self) -> Result<CostPolicy, Failure> {
        let now = self.engine().parts().clock.now();
        let known = || self.cached_policy.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |cached: &&CachedPolicy| {
            (0..CACHED_POLICY_MS).contains(&now.duration_since(cached.at).as_millis())
        };
        if let Some(cached) = known().as_ref().filter(is_recent) {
            return Ok(cached.policy.clone());
        }
        let policy = self.policy().await?;
        *known() = Some(CachedPolicy { at: now, policy: policy.clone() });
        Ok(policy)
    }

    async fn policy(&self) -> Result<CostPolicy, Failure> {
        Ok(self.engine().roster().await.doing("reading", "the roster")?.policy)
    }

    fn chosen(&self, required: &Requirements, policy: &CostPolicy) -> Result<Selection, Failure> {
        select(required, &self.priced, policy).doing("choosing", "the template")
    }

    /// Plans what was asked for. Nothing is recorded.
    pub(crate) async fn plan_change(
        &self,
        requester: &PersonId,
        request: &PlanRequest,
        keyed: Option<&KeyedRequest>,
    ) -> Result<PlannedChange, Failure> {
        let plain = |plan| PlannedChange { plan, selection: None, notes: Vec::new() };
        match request {
            PlanRequest::Provision(ask) => self.provision_plan(requester, ask, keyed).await,
            PlanRequest::Teardown(removal) => {
                let name = &removal.environment;
                let plan = self.engine().plan_teardown(name, requester, keyed).await;
                plan.map(plain).doing("planning to remove", name)
            }
            PlanRequest::Extend(extension) => {
                let name = &extension.environment;
                let request = ExtensionRequest {
                    environment: name.clone(),
                    seconds: extension.ttl_seconds,
                    requester: requester.clone(),
                    break_glass: extension.break_glass.clone(),
                };
                let plan = self.engine().plan_extend(request, keyed).await;
                plan.map(plain).doing("planning to extend", name)
            }
            PlanRequest::Access(AccessTo { environment: name, terms }) => {
                let plan = self.engine().plan_access(name, requester, terms.clone(), keyed).await;
                plan.map(plain).doing("planning access to", name)
            }
        }
    }

    async fn provision_plan(
        &self,
        requester: &PersonId,
        ask: &Ask,
        keyed: Option<&KeyedRequest>,
    ) -> Result<PlannedChange, Failure> {
        let mut resolved = self.resolve(ask, &self.policy().await?)?;
        resolved.spec.keep_alive_seconds = ask.keep_alive_seconds;
        resolved.spec.at_expiry = ask.at_expiry;
        let what = resolved.spec.environment.clone();
        self.check_zone(&resolved.spec.zone).await.doing("planning", &what)?;
        let templates = &self.parts.templates;
        let template = templates
            .get(resolved.spec.template)
            .ok_or_else(|| invalid("planning", &what, "its template is not known", "name a template"))?;
        let list = &self.parts.prices;
        let request = ProvisionRequest {
            template_level: template.level,
            template_digest: template.digest(),
            price_digest: prices::digest(list).doing("reading", "the prices")?,
            prices: list.clone(),
            requester: requester.clone(),
            corrections: resolved.corrections,
            wanted_level: ask.level,
            break_glass: ask.break_glass.clone(),
            spec: resolved.spec,
        };
        let plan = self.engine().plan_provision(request, keyed).await.doing("planning", &what)?;
        Ok(PlannedChange { plan, selection: resolved.selection, notes: resolved.notes })
    }

    /// A zone that does not exist has no address to ask, so this is found out
    /// first.
    pub(crate) async fn check_zone(&self, zone: &Zone) -> Result<(), EngineError> {
        let known = self.engine().zones(&self.parts.zone).await?;
        match known.contains(zone) {
            true => Ok(()),
            false => Err(PreflightError::Zone {
                zone: zone.to_string(),
                known: known.iter().map(ToString::to_string).collect(),
            }
            .into()),
        }
    }

    fn resolve(&self, ask: &Ask, policy: &CostPolicy) -> Result<ResolvedSpec, Failure> {
        if let Some(file) = &ask.run_file {
            return self.resolve_run_file(ask, file);
        }
        let mut required = required(ask)?;
        let (template, selection) = match &ask.template {
            Some(name) => {
                let template = self.parts.templates.find(name).doing("choosing", "the template")?;
                required.template = Some(template.id);
                self.chosen(&required, policy)?;
                (template, None)
            }
            None if required == Requirements::default() => {
                let hint = "name a template, such as T1, give a run file, or say what you need, such as a \
                            database";
                return Err(invalid("choosing", "the template", "nothing is asked for", hint));
            }
            None => {
                let selection = self.chosen(&required, policy)?;
                let template = self.parts.templates.find(&selection.template.to_string());
                (template.doing("choosing", "the template")?, Some(selection))
            }
        };
        let mut options = self.options(ask, &required);
        if let Some(selection) = &selection {
            options.zone.get_or_insert(selection.zone.clone());
        }
        let spec = template.instantiate(&options).doing("making an environment from", template.label())?;
        Ok(ResolvedSpec { spec, corrections: Vec::new(), selection, notes: Vec::new() })
    }

    fn resolve_run_file(&self, ask: &Ask, file: &RunFileText) -> Result<ResolvedSpec, Failure> {
        refuse_beside_run_file(ask)?;
        let run = RunFile::decode(&file.name, &file.text, &self.parts.templates, file.lenient);
        let run = run.doing("reading", "the run file")?;
        let mut spec = run.spec;
        if let Some(name) = &ask.name {
            spec.environment = name.clone();
        }
        if let Some(zone) = &ask.zone {
            spec.zone = zone.clone();
            spec.nodes.labels.insert(LABEL_ZONE.to_owned(), zone.to_string());
        }
        spec.ttl_seconds = ask.ttl_seconds.or(spec.ttl_seconds);
        spec.class = ask.class.unwrap_or(spec.class);
        let ignored = run.ignored.iter().map(|key| {
            format!("{}:{}:{}: unknown key {} is ignored", file.name, key.line, key.column, key.key)
        });
        let differs = run.differs.iter().map(|differs| {
            format!(
                "differs from {} in {}: {} instead of {}",
                run.nearest, differs.field, differs.environment, differs.template
            )
        });
        Ok(ResolvedSpec {
            spec,
            corrections: run.corrections,
            selection: None,
            notes: ignored.chain(differs).map(Into::into).collect(),
        })
    }

    fn options(&self, ask: &Ask, required: &Requirements) -> InstantiateOptions {
        let shape = ask.shape.clone();
        let today = self.engine().parts().clock.now().to_zoned(TimeZone::UTC).date();
        InstantiateOptions {
            environment: ask.name.clone(),
            project: shape.project,
            class: required.class,
            zone: required.zone.clone(),
            ttl_seconds: required.ttl_seconds,
            cluster_level: shape.sks_level,
            kubernetes_version: shape.kubernetes,
            node_count: shape.nodes,
            node_size: shape.node_size,
            node_disk_gb: shape.node_disk_gib,
            database_plan: shape.database_plan,
            block_storage_gb: shape.volume_gib,
            image: shape.image,
            registry_login: shape.registry_login,
            domain: shape.domain,
            cert_email: shape.cert_email,
            cert_issuer: shape.cert_issuer,
            port: shape.port,
            replicas: shape.replicas,
            ..InstantiateOptions::new(today)
        }
    }
}

/// The requirements with what stands beside them. What is said twice must be
/// the same.
fn required(ask: &Ask) -> Result<Requirements, Failure> {
    let required = &ask.requirements;
    let twice = |field: &str| {
        let why = format!("{field} is given twice, and the two differ");
        invalid("reading", "what is asked for", why, "leave one of the two out")
    };
    if required.template.is_some() && ask.template.is_some() {
        return Err(twice("template"));
    }
    Ok(Requirements {
        ttl_seconds: once(&ask.ttl_seconds, &required.ttl_seconds).ok_or_else(|| twice("ttl_seconds"))?,
        zone: once(&ask.zone, &required.zone).ok_or_else(|| twice("zone"))?,
        class: ask.class.unwrap_or_default().max(required.class),
        ..required.clone()
    })
}

/// The value that one of the two has, or both the same; none when they differ.
fn once<T: Clone + PartialEq>(a: &Option<T>, b: &Option<T>) -> Option<Option<T>> {
    let differ = a.is_some() && b.is_some() && a != b;
    (!differ).then(|| a.clone().or_else(|| b.clone()))
}

/// A run file says all of it; what stands beside it would be lost.
fn refuse_beside_run_file(ask: &Ask) -> Result<(), Failure> {
    let template = ask.template.is_some().then_some("template");
    let requires = (ask.requirements != Requirements::default()).then_some("a requirement");
    match template.or(ask.shape.first()).or(requires) {
        None => Ok(()),
        Some(field) => {
            let why = format!("{field} cannot be combined with a run file");
            Err(invalid("reading", "what is asked for", why, "change the run file, or leave it out"))
        }
    }
}
