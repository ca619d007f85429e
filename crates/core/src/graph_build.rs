//! From the description of an environment to its resource graph.

use std::collections::BTreeMap;

use exokit_kinds::ownership::OwnerMark;
use exokit_kinds::security_group_rule::{Peer, RuleSpec};
use exokit_kinds::sks_nodepool::NodepoolRequest;
use exokit_kinds::{
    anti_affinity_group, api_key, dbaas, iam_role, kubernetes, security_group, security_group_rule,
    sks_cluster, sks_nodepool, sos_bucket,
};
use exokit_model::graph::{Graph, GraphError, Node, Presence};
use exokit_model::ids::{NodeKey, OwnerToken, PlanId};
use exokit_model::kind::Kind;
use exokit_model::request::RequestTemplate;
use exokit_model::spec::{Cni, DatabaseEngine, EnvironmentSpec};
use exokit_workload::WorkloadObject;
use serde_json::Value;

use crate::forecast::History;
use crate::preflight::Offer;

/// Builds the graph of an environment.
///
/// # Errors
/// Never for a checked spec.
pub(crate) fn build(
    plan: &PlanId,
    spec: &EnvironmentSpec,
    offer: &Offer,
    history: &History,
    token_of: &dyn Fn(&NodeKey) -> OwnerToken,
) -> Result<Graph, GraphError> {
    let mut builder = Builder { plan, spec, history, token_of, nodes: Vec::new() };
    let (group, last_rule) = builder.network();
    let anti_affinity = builder.anti_affinity();
    builder.cluster(offer, &group, &last_rule, anti_affinity.as_ref());
    builder.database();
    builder.bucket();
    builder.workload()?;
    Graph::new(builder.nodes)
}

struct Builder<'a> {
    plan: &'a PlanId,
    spec: &'a EnvironmentSpec,
    history: &'a History,
    token_of: &'a dyn Fn(&NodeKey) -> OwnerToken,
    nodes: Vec<Node>,
}

impl Builder<'_> {
    fn mark(&self, key: &NodeKey) -> OwnerMark {
        OwnerMark { plan: self.plan.clone(), node: key.clone(), token: (self.token_of)(key) }
    }

    fn add(
        &mut self,
        key: NodeKey,
        kind: Kind,
        name: String,
        depends_on: &[NodeKey],
        create: RequestTemplate,
    ) {
        let behaviour = exokit_kinds::of(kind);
        let parent = behaviour.parent.and_then(|kind| self.nodes.iter().find(|node| node.kind == kind));
        let protected = self.spec.database.as_ref().is_some_and(|database| database.termination_protection);
        let usual = behaviour.predicted.create_seconds;
        let node = Node {
            delete: behaviour.delete(parent.map(|node| node.key.as_str()), protected),
            token: Some((self.token_of)(&key)),
            zone: self.spec.zone.clone(),
            depends_on: depends_on.to_vec(),
            desired: Presence::Present,
            existing: None,
            create: Some(create),
            protects_data: kind.holds_data(),
            predicted_seconds: self.history.typical_seconds(kind).unwrap_or(usual),
            key,
            kind,
            name,
        };
        self.nodes.push(node);
    }

    /// The security group and its rules. Rules are made one after another:
    /// whether the cloud accepts two changes of one group at once is unknown,
    /// and they are never on the longest path.
    fn network(&mut self) -> (NodeKey, NodeKey) {
        let group = key("security-group");
        let (name, request) = security_group::create(&self.mark(&group), self.spec.environment.as_str());
        self.add(group.clone(), Kind::SecurityGroup, name, &[], request);
        let mut last = group.clone();
        for rule in rules(self.spec) {
            let key = key(rule.key);
            let request = security_group_rule::create(&self.mark(&key), rule, &group);
            let name = format!("{} {}-{}", rule.protocol, rule.range.0, rule.range.1);
            let depends_on = if last == group { vec![group.clone()] } else { vec![group.clone(), last] };
            self.add(key.clone(), Kind::SecurityGroupRule, name, &depends_on, request);
            last = key;
        }
        (group, last)
    }

    fn anti_affinity(&mut self) -> Option<NodeKey> {
        let key = key("anti-affinity-group");
        let environment = self.spec.environment.as_str();
        let (name, request) =
            anti_affinity_group::create(&self.mark(&key), environment, self.spec.nodes.count)?;
        self.add(key.clone(), Kind::AntiAffinityGroup, name, &[], request);
        Some(key)
    }

    fn cluster(
        &mut self,
        offer: &Offer,
        group: &NodeKey,
        last_rule: &NodeKey,
        anti_affinity: Option<&NodeKey>,
    ) {
        let cluster = key("cluster");
        let name = self.spec.environment.to_string();
        let labels = platform_labels(self.spec, true);
        let version = &offer.kubernetes_version;
        let request = sks_cluster::create(&self.mark(&cluster), &name, &self.spec.cluster, version, &labels);
        self.add(cluster.clone(), Kind::SksCluster, name.clone(), &[], request);

        let pool = key("nodepool");
        let mut node_labels = platform_labels(self.spec, false);
        node_labels.extend(self.spec.nodes.labels.clone());
        let request = NodepoolRequest {
            nodes: &self.spec.nodes,
            instance_type: &offer.instance_type,
            labels: &node_labels,
            cluster: &cluster,
            security_group: group,
            anti_affinity_group: anti_affinity,
        };
        let mark = self.mark(&pool);
        let name = mark.name(&name);
        let request = sks_nodepool::create(&mark, &name, request);
        let depends_on: Vec<NodeKey> = [Some(&cluster), Some(group), Some(last_rule), anti_affinity]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        self.add(pool, Kind::SksNodepool, name, &depends_on, request);
    }

    fn database(&mut self) {
        let Some(database) = &self.spec.database else {
            return;
        };
        let kind = match database.engine {
            DatabaseEngine::Pg => Kind::DbaasPg,
            DatabaseEngine::Valkey => Kind::DbaasValkey,
        };
        let key = key("database");
        let (name, request) = dbaas::create(&self.mark(&key), self.spec.environment.as_str(), database);
        self.add(key, kind, name, &[], request);
    }

    /// The bucket, and a key that may use this bucket only: the cluster never
    /// gets the operator's key.
    fn bucket(&mut self) {
        let Some(bucket) = &self.spec.bucket else {
            return;
        };
        let environment = self.spec.environment.as_str();
        let bucket_key = key("bucket");
        let (bucket_name, request) = sos_bucket::create(&self.mark(&bucket_key), environment, bucket);
        self.add(bucket_key.clone(), Kind::SosBucket, bucket_name.clone(), &[], request);
        let role = key("bucket-role");
        let (name, request) = iam_role::create(&self.mark(&role), environment, &bucket_name);
        self.add(role.clone(), Kind::IamRole, name, &[bucket_key], request);
        let api_key = key("bucket-key");
        let (name, request) = api_key::create(&self.mark(&api_key), environment, &role);
        self.add(api_key, Kind::ApiKey, name, &[role], request);
    }
}

impl Builder<'_> {
    /// What runs in the cluster: one node for each object.
    fn workload(&mut self) -> Result<(), GraphError> {
        let cluster = key("cluster");
        for object in exokit_workload::objects(self.spec) {
            let mark = self.mark(&object.key);
            let WorkloadObject { key: own, kind, namespace, name, body, .. } = object;
            let namespace = namespace.as_deref();
            let seconds = seconds_until_ready(kind, &body);
            let create = kubernetes::apply(&mark, kind, &cluster, namespace, body);
            let create = create.map_err(|_| GraphError::Name { node: own.clone(), name: name.clone() })?;
            let exists = |wanted: &&&str| self.nodes.iter().any(|node| node.key.as_str() == **wanted);
            let outside = object.cloud_nodes.iter().filter(exists).map(|wanted| key(wanted));
            let depends_on = [cluster.clone()].into_iter().chain(outside).chain(object.depends_on).collect();
            let node = Node {
                delete: vec![kubernetes::delete(kind, &cluster, namespace, &name)],
                token: Some((self.token_of)(&own)),
                zone: self.spec.zone.clone(),
                depends_on,
                desired: Presence::Present,
                existing: None,
                create: Some(RequestTemplate { secrets: object.secrets, ..create }),
                protects_data: kind.holds_data(),
                predicted_seconds: seconds
                    .or_else(|| self.history.typical_seconds(kind))
                    .unwrap_or(exokit_kinds::of(kind).predicted.create_seconds),
                key: own,
                kind,
                name,
            };
            self.nodes.push(node);
        }
        Ok(())
    }
}

/// How long an object takes where its kind does not say: a service waits for
/// nothing unless it has a load balancer.
fn seconds_until_ready(kind: Kind, body: &Value) -> Option<u32> {
    let is_internal = kind == Kind::Service && body["spec"]["type"] != "LoadBalancer";
    let usual = exokit_kinds::of(kind).predicted.create_seconds;
    (is_internal || usual == 1).then_some(1)
}

/// A key that stands in this file.
#[expect(clippy::expect_used, reason = "the keys are literals of this file and a test builds every graph")]
fn key(text: &str) -> NodeKey {
    text.parse().expect("a literal key is valid")
}

/// Labels that the platform looks for. Nodes refuse labels in reserved
/// `kubernetes.io` name spaces, so those are for the cluster only.
fn platform_labels(spec: &EnvironmentSpec, reserved: bool) -> BTreeMap<String, String> {
    let role = format!("{}-nodes", spec.template).to_lowercase();
    let platform = [
        ("stargate.io/project", spec.project.as_str()),
        ("stargate.io/role", role.as_str()),
        ("stargate.io/zone", spec.zone.as_str()),
        ("stargate.io/template", &spec.template.to_string()),
    ];
    let mut labels: BTreeMap<String, String> =
        platform.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    if reserved {
        labels.insert("app.kubernetes.io/managed-by".to_owned(), "exokit".to_owned());
    }
    labels
}

/// The ingress rules that an SKS cluster needs, from the official examples.
fn rules(spec: &EnvironmentSpec) -> Vec<RuleSpec> {
    let rule = |key, protocol, range, peer| RuleSpec { key, protocol, range, peer };
    let mut rules = vec![rule("rule-kubelet", "tcp", (10250, 10250), Peer::SameGroup)];
    match spec.cluster.cni {
        Cni::Calico => rules.push(rule("rule-calico", "udp", (4789, 4789), Peer::SameGroup)),
        Cni::Cilium => rules.extend([
            rule("rule-cilium", "udp", (8472, 8472), Peer::SameGroup),
            rule("rule-cilium-ping", "icmp", (8, 0), Peer::SameGroup),
            // Sources disagree on the protocol of the health port: open both.
            rule("rule-cilium-health-tcp", "tcp", (4240, 4240), Peer::SameGroup),
            rule("rule-cilium-health-udp", "udp", (4240, 4240), Peer::SameGroup),
        ]),
    }
    let node_port = spec.workload.node_port;
    match spec.hardened {
        true => rules.push(rule("rule-nodeport-tcp", "tcp", (node_port, node_port), Peer::Everywhere)),
        false => rules.extend([
            rule("rule-nodeport-tcp", "tcp", (30000, 32767), Peer::Everywhere),
            rule("rule-nodeport-udp", "udp", (30000, 32767), Peer::Everywhere),
        ]),
    }
    rules
}
