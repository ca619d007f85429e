//! Which template a request gets: the cheapest that satisfies every stated
//! requirement, ties by id, with the verdict on every other template.

use std::collections::BTreeSet;

use exokit_model::candidate::Candidate;
use exokit_model::cost::{ApprovalLevel, CostBand, CostPolicy, LevelReason, PriceList};
use exokit_model::ids::{TemplateId, Zone};
use exokit_model::plan::Action;
use exokit_model::spec::{DatabaseEngine, EnvironmentClass};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::cost::{band, estimate, for_seconds};
use crate::level::{Level, LevelInput, level};

/// Agent name of a template that serves every agent.
const ALL_AGENTS: &str = "all";

/// What a request states. Whatever is absent or false is not required, so a
/// template may have more than was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requirements {
    /// This very template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// A managed database of this engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseEngine>,
    /// A bucket.
    pub object_storage: bool,
    /// Block storage of at least this many GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_storage_gib: Option<u32>,
    /// Virtual CPUs of each node, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_cpus: Option<u32>,
    /// Memory of each node in GiB, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_memory_gib: Option<u32>,
    /// Virtual CPUs of all nodes together, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cpus: Option<u32>,
    /// Memory of all nodes together in GiB, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_memory_gib: Option<u32>,
    /// Number of nodes, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_min: Option<u32>,
    /// The hardened profile.
    pub isolation: bool,
    /// Grafana, Prometheus and Loki.
    pub observability: bool,
    /// Replicas that always run, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas_min: Option<u32>,
    /// Replicas that it can grow to, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas_max: Option<u32>,
    /// How much the environment matters; raises the level, excludes nothing.
    pub class: EnvironmentClass,
    /// This very zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Zone>,
    /// Any zone of this country, by its two-letter code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Every one of these platform agents is served.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
    /// Seconds that the environment lives; prices it, excludes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
    /// Price per hour, at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hourly_max: Option<Decimal>,
}

/// The verdict on one template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The template.
    pub template: TemplateId,
    /// Whether it has everything that was required.
    pub satisfied: bool,
    /// The requirements that it fails, in words.
    pub failed: Vec<String>,
    /// Its price per hour.
    pub hourly: Decimal,
}

/// The chosen template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// The template.
    pub template: TemplateId,
    /// Approval level that a provision of it needs, before budget caps per
    /// day, which only the ledger knows.
    pub level: ApprovalLevel,
    /// The rules that set the level.
    pub level_reasons: Vec<LevelReason>,
    /// Cost band.
    pub band: CostBand,
    /// The zone that it would be made in.
    pub zone: Zone,
    /// Price per hour.
    pub hourly: Decimal,
    /// Price for the required time to live, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Decimal>,
    /// Currency of the prices.
    pub currency: String,
    /// The verdict on every template, by id.
    pub explanation: Vec<Verdict>,
}

/// A request that no template satisfies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The template that fails the fewest requirements; then the cheapest,
    /// then the first by id.
    pub nearest: Verdict,
    /// The verdict on every template, by id.
    pub explanation: Vec<Verdict>,
}

/// Why nothing was selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// There is nothing to choose from.
    #[error("there are no templates to choose from")]
    NoTemplates,
    /// The named template does not exist.
    #[error("there is no template {wanted}")]
    UnknownTemplate {
        /// What was asked for.
        wanted: TemplateId,
        /// What exists.
        known: BTreeSet<TemplateId>,
    },
    /// The requirements contradict each other.
    #[error("the requirements contradict each other: {why}")]
    Contradiction {
        /// Which, in words.
        why: String,
    },
    /// No template has everything.
    #[error("no template satisfies the request; {} comes nearest but {}", .0.nearest.template, .0.nearest.failed.join(" and "))]
    NoneSatisfies(Box<Refusal>),
}

impl SelectError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoTemplates => "give a directory with at least one template".to_owned(),
            Self::UnknownTemplate { known, .. } => {
                let known: Vec<String> = known.iter().map(ToString::to_string).collect();
                format!("name one of {}", known.join(", "))
            }
            Self::Contradiction { .. } => "change or drop one of the two".to_owned(),
            Self::NoneSatisfies(refusal) => {
                format!("drop what {} fails, or add a template that has it", refusal.nearest.template)
            }
        }
    }
}

/// Chooses. The order of `candidates` does not matter; of two candidates with
/// one id the first counts.
///
/// # Errors
/// See [`SelectError`].
pub fn select(
    requirements: &Requirements,
    candidates: &[Candidate],
    prices: &PriceList,
    policy: &CostPolicy,
) -> Result<Selection, SelectError> {
    check(requirements, candidates)?;
    let mut judged: Vec<(&Candidate, Verdict)> =
        candidates.iter().map(|candidate| (candidate, judge(requirements, candidate, prices))).collect();
    judged.sort_by_key(|(candidate, _)| candidate.id);
    judged.dedup_by_key(|(candidate, _)| candidate.id);
    let explanation: Vec<Verdict> = judged.iter().map(|(_, verdict)| verdict.clone()).collect();
    let best = judged.iter().min_by_key(|(_, verdict)| {
        let failed = verdict.failed.len();
        (failed, verdict.hourly, verdict.template)
    });
    let Some((candidate, verdict)) = best else {
        return Err(SelectError::NoTemplates);
    };
    let zone = match (verdict.satisfied, zone_for(requirements, candidate)) {
        (true, Some(zone)) => zone,
        _ => {
            return Err(SelectError::NoneSatisfies(Box::new(Refusal {
                nearest: verdict.clone(),
                explanation,
            })));
        }
    };
    let band = band(verdict.hourly, policy);
    let Level { level, reasons } = level_of(requirements, candidate, verdict.hourly, policy);
    Ok(Selection {
        template: candidate.id,
        level,
        level_reasons: reasons,
        band,
        zone,
        hourly: verdict.hourly,
        ttl: requirements.ttl_seconds.map(|seconds| for_seconds(verdict.hourly, seconds)),
        currency: prices.currency.clone(),
        explanation,
    })
}

fn level_of(
    requirements: &Requirements,
    candidate: &Candidate,
    hourly: Decimal,
    policy: &CostPolicy,
) -> Level {
    let input = LevelInput {
        action: Action::Provision,
        template: candidate.id,
        template_level: candidate.level,
        class: requirements.class,
        band: band(hourly, policy),
        data_destroyed: Vec::new(),
        hourly,
        requester_today: Decimal::ZERO,
        team_today: Decimal::ZERO,
        wanted: None,
    };
    level(&input, policy)
}

/// Refuses what no template could ever satisfy.
fn check(requirements: &Requirements, candidates: &[Candidate]) -> Result<(), SelectError> {
    let known: BTreeSet<TemplateId> = candidates.iter().map(|candidate| candidate.id).collect();
    if known.is_empty() {
        return Err(SelectError::NoTemplates);
    }
    if let Some(wanted) = requirements.template.filter(|id| !known.contains(id)) {
        return Err(SelectError::UnknownTemplate { wanted, known });
    }
    if let (Some(min), Some(max)) = (requirements.replicas_min, requirements.replicas_max)
        && min > max
    {
        let why = format!("at least {min} replicas and at most {max}");
        return Err(SelectError::Contradiction { why });
    }
    if let (Some(zone), Some(country)) = (&requirements.zone, &requirements.country)
        && !is_in(zone, country)
    {
        let why = format!("zone {zone} and country {country}");
        return Err(SelectError::Contradiction { why });
    }
    Ok(())
}

fn is_in(zone: &Zone, country: &str) -> bool {
    zone.as_str().split_once('-').is_some_and(|(code, _)| code.eq_ignore_ascii_case(country))
}

/// The template's own zone when that is allowed, else the first that is.
fn zone_for(requirements: &Requirements, candidate: &Candidate) -> Option<Zone> {
    let allowed = |zone: &&Zone| {
        requirements.zone.as_ref().is_none_or(|only| only == *zone)
            && requirements.country.as_ref().is_none_or(|country| is_in(zone, country))
    };
    std::iter::once(&candidate.spec.zone).chain(&candidate.zones).find(allowed).cloned()
}

fn judge(requirements: &Requirements, candidate: &Candidate, prices: &PriceList) -> Verdict {
    let hourly = estimate(&candidate.spec, prices).hourly;
    let mut failed = Vec::new();
    judge_identity(requirements, candidate, &mut failed);
    judge_data(requirements, candidate, &mut failed);
    judge_size(requirements, candidate, &mut failed);
    judge_scale(requirements, candidate, &mut failed);
    judge_profile(requirements, candidate, &mut failed);
    if let Some(most) = requirements.hourly_max.filter(|most| hourly > *most) {
        failed.push(format!("costs {hourly} per hour, more than {most}"));
    }
    Verdict { template: candidate.id, satisfied: failed.is_empty(), failed, hourly }
}

fn judge_identity(requirements: &Requirements, candidate: &Candidate, failed: &mut Vec<String>) {
    if let Some(wanted) = requirements.template.filter(|id| *id != candidate.id) {
        failed.push(format!("is not {wanted}"));
    }
    if zone_for(requirements, candidate).is_none() {
        let wanted = match (&requirements.zone, &requirements.country) {
            (Some(zone), _) => format!("zone {zone}"),
            (None, country) => format!("country {}", country.as_deref().unwrap_or_default()),
        };
        failed.push(format!("cannot be made in {wanted}"));
    }
}

fn judge_data(requirements: &Requirements, candidate: &Candidate, failed: &mut Vec<String>) {
    let spec = &candidate.spec;
    if let Some(engine) = requirements.database
        && spec.database.as_ref().map(|database| database.engine) != Some(engine)
    {
        failed.push(match &spec.database {
            Some(other) => format!("has a database {}, not {engine}", other.engine),
            None => format!("has no database {engine}"),
        });
    }
    if requirements.object_storage && spec.bucket.is_none() {
        failed.push("has no object storage".to_owned());
    }
    let has = spec.block_storage.as_ref().map_or(0, |block| block.size_gb);
    if let Some(wanted) = requirements.block_storage_gib.filter(|gib| *gib > has) {
        failed.push(format!("has {has} GiB of block storage, not {wanted}"));
    }
}

fn judge_size(requirements: &Requirements, candidate: &Candidate, failed: &mut Vec<String>) {
    let count = candidate.spec.nodes.count;
    let node = candidate.node;
    let total = |each: u32| u64::from(each) * u64::from(count);
    let checks = [
        ("nodes", requirements.nodes_min, u64::from(count)),
        ("CPUs on each node", requirements.node_cpus, u64::from(node.cpus)),
        ("GiB of memory on each node", requirements.node_memory_gib, u64::from(node.memory_gib)),
        ("CPUs in all", requirements.total_cpus, total(node.cpus)),
        ("GiB of memory in all", requirements.total_memory_gib, total(node.memory_gib)),
    ];
    for (what, wanted, has) in checks {
        if let Some(wanted) = wanted.filter(|wanted| u64::from(*wanted) > has) {
            failed.push(format!("has {has} {what}, not {wanted}"));
        }
    }
}

fn judge_scale(requirements: &Requirements, candidate: &Candidate, failed: &mut Vec<String>) {
    let workload = &candidate.spec.workload;
    let (min, max) = match &workload.autoscaling {
        Some(scaling) => (scaling.min_replicas, scaling.max_replicas),
        None => (workload.replicas, workload.replicas),
    };
    if let Some(wanted) = requirements.replicas_min.filter(|wanted| *wanted > min) {
        failed.push(format!("always runs {min} replicas, not {wanted}"));
    }
    if let Some(wanted) = requirements.replicas_max.filter(|wanted| *wanted > max) {
        failed.push(format!("grows to {max} replicas, not {wanted}"));
    }
}

fn judge_profile(requirements: &Requirements, candidate: &Candidate, failed: &mut Vec<String>) {
    let spec = &candidate.spec;
    if requirements.isolation && !spec.hardened {
        failed.push("is not hardened".to_owned());
    }
    if requirements.observability && !spec.observability {
        failed.push("runs no Grafana, Prometheus and Loki".to_owned());
    }
    let serves = |agent: &&String| spec.agents.iter().any(|served| served == *agent || served == ALL_AGENTS);
    let missing: Vec<&str> =
        requirements.agents.iter().filter(|agent| !serves(agent)).map(String::as_str).collect();
    if !missing.is_empty() {
        failed.push(format!("does not serve agent {}", missing.join(", ")));
    }
}
