//! Which template a request gets: the cheapest that satisfies every stated
//! requirement, ties by id, with the verdict on every other template.

use std::collections::BTreeSet;

use exokit_model::candidate::Candidate;
use exokit_model::cost::{CostPolicy, PriceList};
use exokit_model::ids::{TemplateId, Zone};
use exokit_model::plan::Action;
use exokit_model::selection::{Refusal, Requirements, Selection, Verdict};
use rust_decimal::Decimal;

use crate::cost::{estimate, for_seconds};
use crate::level::{Level, LevelInput, level};

/// Agent name of a template that serves every agent.
const ALL_AGENTS: &str = "all";

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
    #[error("the requirements contradict each other: {0}")]
    Contradiction(String),
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

/// What there is to choose from, with what each costs per hour: prices are
/// looked up once, not for every request.
#[derive(Debug, Clone)]
pub struct Priced {
    currency: String,
    /// By id, each id once.
    candidates: Vec<(Candidate, Decimal)>,
}

impl Priced {
    /// The candidates at the prices of a list. Their order does not matter; of
    /// two with one id the first counts.
    #[must_use]
    pub fn new(mut candidates: Vec<Candidate>, prices: &PriceList) -> Self {
        candidates.sort_by_key(|candidate| candidate.id);
        candidates.dedup_by_key(|candidate| candidate.id);
        let price = |candidate: Candidate| {
            let hourly = estimate(&candidate.spec, prices).hourly;
            (candidate, hourly)
        };
        let candidates = candidates.into_iter().map(price).collect();
        Self { currency: prices.currency.clone(), candidates }
    }
}

/// Chooses.
///
/// # Errors
/// See [`SelectError`].
pub fn select(
    requirements: &Requirements,
    priced: &Priced,
    policy: &CostPolicy,
) -> Result<Selection, SelectError> {
    check(requirements, &priced.candidates)?;
    let judged = priced.candidates.iter().map(|(candidate, hourly)| judge(requirements, candidate, *hourly));
    let explanation: Vec<Verdict> = judged.collect();
    let best = priced.candidates.iter().zip(&explanation).min_by_key(|(_, verdict)| {
        let failed = verdict.failed.len();
        (failed, verdict.hourly, verdict.template)
    });
    let Some(((candidate, hourly), verdict)) = best else {
        return Err(SelectError::NoTemplates);
    };
    let zone = match (verdict.satisfied, zone_for(requirements, candidate)) {
        (true, Some(zone)) => zone,
        _ => {
            let nearest = verdict.clone();
            return Err(SelectError::NoneSatisfies(Box::new(Refusal { nearest, explanation })));
        }
    };
    let template = (candidate.id, candidate.level);
    let input = LevelInput::new(Action::Provision, template, requirements.class, *hourly, policy);
    let Level { level, reasons } = level(&input, policy);
    Ok(Selection {
        template: candidate.id,
        level,
        level_reasons: reasons,
        band: input.band,
        zone,
        hourly: *hourly,
        ttl: requirements.ttl_seconds.map(|seconds| for_seconds(*hourly, seconds)),
        currency: priced.currency.clone(),
        explanation,
    })
}

/// Refuses what no template could ever satisfy.
fn check(requirements: &Requirements, candidates: &[(Candidate, Decimal)]) -> Result<(), SelectError> {
    if candidates.is_empty() {
        return Err(SelectError::NoTemplates);
    }
    let is_known = |wanted: &TemplateId| candidates.iter().any(|(candidate, _)| candidate.id == *wanted);
    if let Some(wanted) = requirements.template.filter(|wanted| !is_known(wanted)) {
        let known = candidates.iter().map(|(candidate, _)| candidate.id).collect();
        return Err(SelectError::UnknownTemplate { wanted, known });
    }
    if let (Some(min), Some(max)) = (requirements.replicas_min, requirements.replicas_max)
        && min > max
    {
        let why = format!("at least {min} replicas and at most {max}");
        return Err(SelectError::Contradiction(why));
    }
    if let (Some(zone), Some(country)) = (&requirements.zone, &requirements.country)
        && !is_in(zone, country)
    {
        let why = format!("zone {zone} and country {country}");
        return Err(SelectError::Contradiction(why));
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

fn judge(requirements: &Requirements, candidate: &Candidate, hourly: Decimal) -> Verdict {
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

#[cfg(test)]
mod tests {
    use exokit_model::candidate::NodeShape;
    use exokit_model::cost::ApprovalLevel;
    use exokit_model::spec::{AutoscalingSpec, DatabaseEngine};
    use proptest::prelude::*;

    use super::*;
    use crate::cost::tests::{block, bucket, database, prices, spec};

    fn list() -> PriceList {
        prices(&[
            ("sks/starter", "0"),
            ("instance/standard/small", "0.02"),
            ("disk/gib", "0"),
            ("block/gib", "0.001"),
            ("sos/gib", "0"),
            ("nlb", "0.03"),
            ("dbaas/pg/startup-4", "0.1"),
            ("dbaas/valkey/startup-4", "0.1"),
        ])
    }

    fn candidate(id: u16) -> Candidate {
        Candidate {
            id: TemplateId(id),
            name: format!("t{id}"),
            level: ApprovalLevel::One,
            node: NodeShape { cpus: 2, memory_gib: 2 },
            zones: ["at-vie-1", "ch-dk-2"].map(|zone| zone.parse().unwrap()).into(),
            spec: spec(),
        }
    }

    fn choose(requirements: &Requirements, candidates: &[Candidate]) -> Result<Selection, SelectError> {
        select(requirements, &Priced::new(candidates.to_vec(), &list()), &CostPolicy::default())
    }

    #[test]
    fn the_answer_has_the_promised_json_shape() {
        let mut other = candidate(2);
        other.spec.bucket = Some(bucket());
        let chosen = choose(&Requirements::default(), &[other, candidate(1)]).unwrap();
        assert_eq!(
            serde_json::to_string(&chosen).unwrap(),
            concat!(
                r#"{"template":"T1","level":1,"level_reasons":[{"level":1,"why":"template T1 has it as its default"}],"#,
                r#""band":"LOW","zone":"ch-dk-2","hourly":"0.02","currency":"CHF","explanation":["#,
                r#"{"template":"T1","satisfied":true,"failed":[],"hourly":"0.02"},"#,
                r#"{"template":"T2","satisfied":true,"failed":[],"hourly":"0.02"}]}"#
            )
        );
    }

    #[test]
    fn unknown_requirements_are_refused() {
        for json in [r#"{"databse":"pg"}"#, r#"{"database":"mysql"}"#, r#"{"template":"X"}"#] {
            assert!(serde_json::from_str::<Requirements>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn a_refusal_names_the_nearest_and_the_way_on() {
        let mut dear = candidate(1);
        dear.spec.nodes.count = 2;
        let requirements = Requirements { database: Some(DatabaseEngine::Pg), ..Requirements::default() };
        let error = choose(&requirements, &[dear, candidate(3), candidate(2)]).unwrap_err();
        let shown = error.to_string();
        assert_eq!(shown, "no template satisfies the request; T2 comes nearest but has no database pg");
        assert!(error.hint().contains("drop what T2 fails"));
        let SelectError::NoneSatisfies(refusal) = error else {
            panic!("{shown}");
        };
        assert_eq!(refusal.explanation.len(), 3);
        assert_eq!(choose(&requirements, &[]), Err(SelectError::NoTemplates));
    }

    fn any_candidate(id: u16) -> impl Strategy<Value = Candidate> {
        let engine = prop::option::of(prop::sample::select(vec![DatabaseEngine::Pg, DatabaseEngine::Valkey]));
        let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
        let sizes = (1u32..4, 0u32..3, 1u32..4, 0u32..4);
        let agents = prop::sample::subsequence(vec!["a", "b", "all"], 0..3);
        (engine, flags, sizes, agents).prop_map(move |(engine, flags, sizes, agents)| {
            let mut made = candidate(id);
            let spec = &mut made.spec;
            spec.database = engine.map(|engine| database(engine, "startup-4"));
            spec.bucket = flags.0.then(bucket);
            spec.hardened = flags.1;
            spec.observability = flags.2;
            spec.workload.load_balancer = flags.3;
            spec.nodes.count = sizes.0;
            spec.block_storage = (sizes.1 > 0).then(|| block(sizes.1 * 10));
            spec.workload.replicas = sizes.2;
            spec.workload.autoscaling = (sizes.3 > 0).then(|| AutoscalingSpec {
                min_replicas: sizes.2,
                max_replicas: sizes.2 + sizes.3,
                cpu_percent: 70,
                memory_percent: 70,
            });
            spec.agents = agents.into_iter().map(str::to_owned).collect();
            made
        })
    }

    fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
        (1u16..7).prop_flat_map(|n| (1..=n).map(any_candidate).collect::<Vec<_>>())
    }

    fn any_requirements() -> impl Strategy<Value = Requirements> {
        let engine = prop::option::of(prop::sample::select(vec![DatabaseEngine::Pg, DatabaseEngine::Valkey]));
        let numbers = (
            prop::option::weighted(0.3, 0u32..30),
            prop::option::weighted(0.3, 1u32..4),
            prop::option::weighted(0.3, 1u32..10),
            prop::option::weighted(0.3, 1u32..3),
            prop::option::weighted(0.3, 3u32..8),
        );
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let agents = prop::sample::subsequence(vec!["a", "b"], 0..2);
        let cap = prop::option::weighted(0.3, 1i64..40);
        let zone = prop::option::weighted(0.2, prop::sample::select(vec!["at-vie-1", "de-fra-1"]));
        (engine, numbers, flags, agents, cap, zone).prop_map(|(engine, numbers, flags, agents, cap, zone)| {
            Requirements {
                database: engine,
                block_storage_gib: numbers.0,
                nodes_min: numbers.1,
                total_cpus: numbers.2,
                replicas_min: numbers.3,
                replicas_max: numbers.4,
                object_storage: flags.0 && flags.1,
                isolation: flags.1 && flags.2,
                observability: flags.2 && flags.0,
                agents: agents.into_iter().map(str::to_owned).collect(),
                hourly_max: cap.map(|cap| Decimal::new(cap, 2)),
                zone: zone.map(|zone| zone.parse().unwrap()),
                ..Requirements::default()
            }
        })
    }

    /// Whether `candidate` has everything, judged apart from the selector.
    fn has_everything(wanted: &Requirements, candidate: &Candidate) -> bool {
        let spec = &candidate.spec;
        let (low, high) = spec
            .workload
            .autoscaling
            .as_ref()
            .map_or((spec.workload.replicas, spec.workload.replicas), |scaling| {
                (scaling.min_replicas, scaling.max_replicas)
            });
        let engine = spec.database.as_ref().map(|database| database.engine);
        let volume = spec.block_storage.as_ref().map_or(0, |block| block.size_gb);
        let all = spec.agents.iter().any(|agent| agent == "all");
        (wanted.database.is_none() || wanted.database == engine)
            && (!wanted.object_storage || spec.bucket.is_some())
            && wanted.block_storage_gib.unwrap_or(0) <= volume
            && wanted.nodes_min.unwrap_or(0) <= spec.nodes.count
            && wanted.total_cpus.unwrap_or(0) <= spec.nodes.count * 2
            && wanted.replicas_min.unwrap_or(0) <= low
            && wanted.replicas_max.unwrap_or(0) <= high
            && (!wanted.isolation || spec.hardened)
            && (!wanted.observability || spec.observability)
            && (all || wanted.agents.iter().all(|agent| spec.agents.contains(agent)))
            && wanted.zone.as_ref().is_none_or(|zone| candidate.zones.contains(zone))
            && wanted.hourly_max.is_none_or(|cap| price(candidate) <= cap)
    }

    fn price(candidate: &Candidate) -> Decimal {
        estimate(&candidate.spec, &list()).hourly
    }

    proptest! {
        #[test]
        fn the_cheapest_with_everything_is_chosen_or_none_has_it(
            wanted in any_requirements(), candidates in any_candidates(),
        ) {
            let best = candidates
                .iter()
                .filter(|candidate| has_everything(&wanted, candidate))
                .min_by_key(|candidate| (price(candidate), candidate.id));
            match (choose(&wanted, &candidates), best) {
                (Ok(chosen), Some(best)) => {
                    prop_assert_eq!(chosen.template, best.id);
                    prop_assert_eq!(chosen.hourly, price(best));
                    for (verdict, candidate) in chosen.explanation.iter().zip(&candidates) {
                        prop_assert_eq!(verdict.template, candidate.id);
                        prop_assert_eq!(verdict.satisfied, has_everything(&wanted, candidate));
                        prop_assert_eq!(verdict.satisfied, verdict.failed.is_empty());
                    }
                }
                (Err(SelectError::NoneSatisfies(refusal)), None) => {
                    prop_assert_eq!(refusal.explanation.len(), candidates.len());
                    let fewest = refusal.explanation.iter().map(|v| v.failed.len()).min();
                    prop_assert_eq!(Some(refusal.nearest.failed.len()), fewest);
                }
                (found, best) => prop_assert!(false, "{found:?} for {best:?}"),
            }
        }

        #[test]
        fn the_order_of_templates_does_not_matter(
            wanted in any_requirements(),
            candidates in any_candidates(),
            turn in 0usize..7,
        ) {
            let found = choose(&wanted, &candidates);
            let mut other = candidates.clone();
            other.reverse();
            other.rotate_left(turn % candidates.len());
            prop_assert_eq!(&found, &choose(&wanted, &other));
            prop_assert_eq!(&found, &choose(&wanted, &candidates));
        }
    }
}
