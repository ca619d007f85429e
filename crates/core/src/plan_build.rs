//! Making plans: everything that an operation will do, decided beforehand.

use std::collections::BTreeSet;

use exokit_model::access::AccessTerms;
use exokit_model::additions::{ClusterAdditions, ClusterObject};
use exokit_model::approval::Roster;
use exokit_model::break_glass::BreakGlass;
use exokit_model::canonical::Digest;
use exokit_model::cost::{ApprovalLevel, CostEstimate};
use exokit_model::graph::{Graph, GraphError, Node, Presence};
use exokit_model::ids::{
    EnvironmentName, NodeKey, OwnerToken, PersonId, PlanId, ResourceId, RoleName, TemplateId, Zone,
};
use exokit_model::kind::Kind;
use exokit_model::plan::{Action, Destroy, PLAN_SCHEMA, Plan};
use exokit_model::spec::{Correction, EnvironmentClass, EnvironmentSpec};
use exokit_model::text::{ForeignText, is_dns_label};
use jiff::{SignedDuration, Timestamp};

use crate::cost::band;
use crate::forecast::History;
use crate::graph_build;
use crate::level::{DailySums, Level, LevelInput, level};
use crate::predict::critical_path_seconds;
use crate::preflight::Offer;

/// How long a plan may wait for its start. Votes count for a day, so a plan
/// that is a day old could not start anyway.
const PLAN_VALID: SignedDuration = SignedDuration::from_hours(24);

/// What every plan is made from.
#[derive(Debug, Clone)]
pub struct Occasion<'a> {
    /// Random id.
    pub plan_id: PlanId,
    /// Who asks.
    pub requester: PersonId,
    /// Whose budget it counts against.
    pub team: Option<RoleName>,
    /// Now.
    pub now: Timestamp,
    /// Template and its digest.
    pub template: (TemplateId, Digest),
    /// Default level of the template.
    pub template_level: ApprovalLevel,
    /// Digest of the price list.
    pub price_digest: Digest,
    /// The roster in force, by whose policy the level is set.
    pub roster: &'a Roster,
    /// Last event of the environment.
    pub base_seq: u64,
    /// How much the environment matters; of a provision, as its spec says.
    pub class: EnvironmentClass,
    /// Sums of the requests of today.
    pub today: DailySums,
    /// The level that the requester asked for, if any.
    pub wanted_level: Option<ApprovalLevel>,
    /// Why it may go past a limit of the policy.
    pub break_glass: Option<BreakGlass>,
}

/// A resource that stands in the ledger, for a teardown.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its node in the plan that made it.
    pub node: Node,
    /// Its id.
    pub id: ResourceId,
}

/// A resource that the cloud made for the environment, such as a load
/// balancer of the cloud controller, found just before planning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// What it is.
    pub kind: Kind,
    /// Its id.
    pub id: ResourceId,
    /// Its name, which anyone who may use the account can choose.
    pub name: ForeignText,
}

/// Makes the plan of a provision. Its predictions come from the zone's
/// `history` where there is one.
///
/// # Errors
/// Never for a checked spec: it would mean a mistake in exokit.
pub fn provision(
    occasion: Occasion<'_>,
    spec: EnvironmentSpec,
    offer: &Offer,
    cost: CostEstimate,
    corrections: Vec<Correction>,
    history: &History,
    token_of: &dyn Fn(&NodeKey) -> OwnerToken,
) -> Result<Plan, GraphError> {
    let graph = graph_build::build(&occasion.plan_id, &spec, offer, history, token_of)?;
    let data = graph.nodes().iter().filter(|node| node.protects_data).map(|node| node.key.clone()).collect();
    let place = (spec.environment.clone(), spec.zone.clone());
    Ok(assemble(occasion, Action::Provision, place, (graph, cost), |plan| {
        plan.rollback_destroys = data;
        plan.spec = Some(spec);
        plan.corrections = corrections;
    }))
}

/// What is there besides what the ledger holds, found just before planning.
#[derive(Debug, Clone, Default)]
pub struct Unrecorded {
    /// What the cloud made.
    pub discovered: Vec<Discovered>,
    /// Objects that users added to the cluster.
    pub additions: ClusterAdditions,
}

/// Makes the plan of a teardown: every recorded resource and everything
/// unrecorded is wanted absent. Edges are those of creation time.
///
/// # Errors
/// When the recorded nodes do not form a graph, which means that the ledger
/// was altered.
pub fn teardown(
    occasion: Occasion<'_>,
    environment: (EnvironmentName, Zone),
    recorded: Vec<Recorded>,
    unrecorded: Unrecorded,
    cost: CostEstimate,
) -> Result<Plan, GraphError> {
    let Unrecorded { discovered, additions } = unrecorded;
    let graph = Graph::new(teardown_nodes(&environment.1, recorded, discovered, &additions.objects))?;
    let destroys: Vec<Destroy> = graph.nodes().iter().filter_map(destroyed).collect();
    Ok(assemble(occasion, Action::Teardown, environment, (graph, cost), |plan| {
        plan.destroys = destroys;
        plan.additions = additions;
    }))
}

/// Makes the plan of an extension: no resource changes, only the time.
#[must_use]
pub fn extend(
    occasion: Occasion<'_>,
    environment: (EnvironmentName, Zone),
    seconds: u64,
    cost: CostEstimate,
) -> Plan {
    let nothing = (Graph::default(), cost);
    assemble(occasion, Action::Extend, environment, nothing, |plan| plan.extend_seconds = Some(seconds))
}

/// Makes the plan of an access: no resource changes, and nothing is paid for.
#[must_use]
pub fn access(
    occasion: Occasion<'_>,
    environment: (EnvironmentName, Zone),
    terms: AccessTerms,
    cost: CostEstimate,
) -> Plan {
    let nothing = (Graph::default(), cost);
    assemble(occasion, Action::Access, environment, nothing, |plan| plan.access = Some(terms))
}

/// A plan; `complete` fills the fields that only some plans have. Its level is
/// set last, by the whole plan.
fn assemble(
    occasion: Occasion<'_>,
    action: Action,
    (environment, zone): (EnvironmentName, Zone),
    (graph, cost): (Graph, CostEstimate),
    complete: impl FnOnce(&mut Plan),
) -> Plan {
    let policy = &occasion.roster.policy;
    let mut plan = Plan {
        schema: PLAN_SCHEMA.to_owned(),
        plan_id: occasion.plan_id,
        action,
        environment,
        requester: occasion.requester,
        team: occasion.team,
        created_at: occasion.now,
        not_after: occasion.now + PLAN_VALID,
        zone,
        template: occasion.template.0,
        template_digest: occasion.template.1,
        template_level: occasion.template_level,
        price_digest: occasion.price_digest,
        roster_version: occasion.roster.version,
        base_seq: occasion.base_seq,
        spec: None,
        critical_path_seconds: critical_path_seconds(&graph),
        graph,
        band: band(cost.hourly, policy),
        cost,
        level: ApprovalLevel::Three,
        level_reasons: Vec::new(),
        destroys: Vec::new(),
        rollback_destroys: Vec::new(),
        corrections: Vec::new(),
        extend_seconds: None,
        access: None,
        additions: ClusterAdditions::default(),
        break_glass: occasion.break_glass,
    };
    complete(&mut plan);
    let input = LevelInput {
        class: occasion.class,
        today: occasion.today,
        wanted: occasion.wanted_level,
        ..LevelInput::of(&plan, policy)
    };
    let Level { level, reasons } = level(&input, policy);
    Plan { level, level_reasons: reasons, ..plan }
}

fn destroyed(node: &Node) -> Option<Destroy> {
    Some(Destroy {
        key: node.key.clone(),
        kind: node.kind,
        id: node.existing.clone()?,
        name: node.name.as_str().into(),
        data: node.protects_data,
    })
}

fn teardown_nodes(
    zone: &Zone,
    recorded: Vec<Recorded>,
    discovered: Vec<Discovered>,
    added: &[ClusterObject],
) -> Vec<Node> {
    let kept: BTreeSet<NodeKey> = recorded.iter().map(|recorded| recorded.node.key.clone()).collect();
    let pools: Vec<NodeKey> = keys_of(&recorded, Kind::SksNodepool);
    let clusters: Vec<NodeKey> = keys_of(&recorded, Kind::SksCluster);
    let (before_pool, after_pool): (Vec<Discovered>, Vec<Discovered>) =
        discovered.into_iter().partition(|found| found.kind == Kind::LoadBalancer);

    // Volumes outlive the machines that use them: the pool goes first, so the
    // pool (or, without one, the cluster) depends on them.
    let mut nodes: Vec<Node> = Vec::new();
    let mut volumes: Vec<NodeKey> = Vec::new();
    for (number, found) in after_pool.iter().enumerate() {
        let depends_on = match found.kind {
            Kind::BlockSnapshot => volumes.clone(),
            _ => Vec::new(),
        };
        let node = found_node(zone, found, number + 1, depends_on);
        if found.kind == Kind::BlockVolume {
            volumes.push(node.key.clone());
        }
        nodes.push(node);
    }
    let last = if pools.is_empty() { &clusters } else { &pools };
    let (inside, outside): (Vec<Recorded>, Vec<Recorded>) =
        recorded.into_iter().partition(|recorded| recorded.node.kind.is_kubernetes());
    for recorded in outside {
        let mut node = leaving(recorded, &kept);
        if last.contains(&node.key) {
            node.depends_on.extend(volumes.iter().cloned());
        }
        nodes.push(node);
    }
    let mut balancers: Vec<NodeKey> = Vec::new();
    for (number, found) in before_pool.iter().enumerate() {
        let node = found_node(zone, found, number + 1, pools.clone());
        balancers.push(node.key.clone());
        nodes.push(node);
    }
    let services = added.iter().filter(|object| object.kind == Kind::Service).enumerate();
    if let Some(cluster) = clusters.first() {
        let before: Vec<NodeKey> = std::iter::once(cluster).chain(&balancers).cloned().collect();
        let node = |(number, object)| added_service(zone, object, number + 1, (cluster, before.clone()));
        nodes.extend(services.filter_map(node));
    }
    // A service or a claim goes before what the cluster's controllers made for
    // it: they remove that themselves, and would make it again.
    for recorded in inside {
        let mut node = leaving(recorded, &kept);
        match node.kind {
            Kind::Service => node.depends_on.extend(balancers.iter().cloned()),
            Kind::PersistentVolumeClaim => node.depends_on.extend(volumes.iter().cloned()),
            _ => {}
        }
        nodes.push(node);
    }
    nodes
}

/// The node of a recorded resource that is to go.
fn leaving(recorded: Recorded, kept: &BTreeSet<NodeKey>) -> Node {
    let mut node = recorded.node;
    node.depends_on.retain(|key| kept.contains(key));
    Node {
        desired: Presence::Absent,
        existing: Some(recorded.id),
        create: None,
        predicted_seconds: match node.kind.goes_with_cluster() {
            true => 0,
            false => exokit_kinds::of(node.kind).predicted.delete_seconds,
        },
        ..node
    }
}

fn keys_of(recorded: &[Recorded], kind: Kind) -> Vec<NodeKey> {
    recorded
        .iter()
        .filter(|recorded| recorded.node.kind == kind)
        .map(|recorded| recorded.node.key.clone())
        .collect()
}

/// The node of a service that a user added. It goes before its load balancer,
/// which the cluster's controllers would make again. None for a name that is no
/// part of a path; then only the load balancer is removed.
fn added_service(
    zone: &Zone,
    object: &ClusterObject,
    number: usize,
    (cluster, depends_on): (&NodeKey, Vec<NodeKey>),
) -> Option<Node> {
    let (namespace, name) = (object.namespace.raw(), object.name.raw());
    if !is_dns_name(namespace) || !is_dns_name(name) {
        return None;
    }
    let behaviour = exokit_kinds::of(Kind::Service);
    Some(Node {
        key: format!("added-service-{number}").parse().ok()?,
        kind: Kind::Service,
        name: format!("{namespace}/{name}"),
        zone: zone.clone(),
        token: None,
        depends_on,
        desired: Presence::Absent,
        existing: Some(object.id.clone()),
        create: None,
        delete: vec![exokit_kinds::kubernetes::delete(Kind::Service, cluster, Some(namespace), name)],
        protects_data: false,
        predicted_seconds: behaviour.predicted.delete_seconds,
    })
}

/// Whether a text can be a name in a cluster: an RFC 1123 subdomain.
fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

#[expect(clippy::expect_used, reason = "a kind's name and a number are always a valid key")]
fn found_node(zone: &Zone, found: &Discovered, number: usize, depends_on: Vec<NodeKey>) -> Node {
    let behaviour = exokit_kinds::of(found.kind);
    Node {
        key: format!("found-{}-{number}", found.kind).parse().expect("a kind and a number make a key"),
        kind: found.kind,
        // Escaped: messages with a hazardous character are refused, and the plan
        // must be one that can be sent.
        name: found.name.to_string(),
        zone: zone.clone(),
        token: None,
        depends_on,
        desired: Presence::Absent,
        existing: Some(found.id.clone()),
        create: None,
        delete: behaviour.delete(None, false),
        protects_data: found.kind.holds_data(),
        predicted_seconds: behaviour.predicted.delete_seconds,
    }
}
