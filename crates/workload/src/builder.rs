//! Collects the objects of one environment and what their pods may use.

use std::collections::BTreeMap;

use exokit_model::ids::NodeKey;
use exokit_model::kind::Kind;
use exokit_model::spec::{EnvironmentSpec, ResourcesSpec};
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use crate::object::WorkloadObject;
use crate::quantity::Demand;

/// Key of the namespace, which every other object depends on.
pub(crate) const NAMESPACE: &str = "namespace";
/// Key of the cloud node that pods run on.
pub(crate) const NODEPOOL: &str = "nodepool";

/// Upper bounds of what the objects of a namespace use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Sum of the requests of all pods.
    pub(crate) requests: Demand,
    /// Sum of the limits of all pods.
    pub(crate) limits: Demand,
    /// The largest limits of one container.
    pub(crate) largest: Demand,
    /// Number of pods.
    pub(crate) pods: u64,
    /// Number of load balancers.
    pub(crate) load_balancers: u64,
    /// Number of node ports.
    pub(crate) node_ports: u64,
    /// Number of volume claims.
    pub(crate) claims: u64,
}

/// Collects the objects of one environment.
pub(crate) struct Builder<'a> {
    pub(crate) spec: &'a EnvironmentSpec,
    pub(crate) usage: Usage,
    objects: Vec<WorkloadObject>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(spec: &'a EnvironmentSpec) -> Self {
        Self { spec, usage: Usage::default(), objects: Vec::new() }
    }

    /// Adds an object that needs the cluster only. It depends on the namespace
    /// and on `depends_on`.
    pub(crate) fn add<T>(&mut self, key: &str, kind: Kind, object: &T, depends_on: &[&str])
    where
        T: Metadata<Ty = ObjectMeta> + Serialize,
    {
        self.push(describe(key, kind, object, depends_on));
    }

    /// Adds an object that needs `cloud_nodes` beside the cluster.
    pub(crate) fn add_on<T>(
        &mut self,
        cloud_nodes: &[&'static str],
        key: &str,
        kind: Kind,
        object: &T,
        depends_on: &[&str],
    ) where
        T: Metadata<Ty = ObjectMeta> + Serialize,
    {
        let cloud_nodes = cloud_nodes.to_vec();
        self.push(WorkloadObject { cloud_nodes, ..describe(key, kind, object, depends_on) });
    }

    /// Adds a described object.
    pub(crate) fn push(&mut self, object: WorkloadObject) {
        self.objects.push(object);
    }

    /// Counts pods with one container each.
    pub(crate) fn count_pods(&mut self, count: u64, resources: &ResourcesSpec) {
        let limits = Demand::of(&resources.limits);
        let usage = &mut self.usage;
        usage.requests = usage.requests.plus(Demand::of(&resources.requests).times(count));
        usage.limits = usage.limits.plus(limits.times(count));
        usage.largest = usage.largest.max(limits);
        usage.pods = usage.pods.saturating_add(count);
    }

    /// Returns `first`, then the collected objects.
    pub(crate) fn finish(self, mut first: Vec<WorkloadObject>) -> Vec<WorkloadObject> {
        first.extend(self.objects);
        first
    }
}

/// Describes an object without secrets that needs the cluster only.
pub(crate) fn describe<T>(key: &str, kind: Kind, object: &T, depends_on: &[&str]) -> WorkloadObject
where
    T: Metadata<Ty = ObjectMeta> + Serialize,
{
    let metadata = object.metadata();
    let in_namespace = metadata.namespace.is_some().then_some(NAMESPACE);
    WorkloadObject {
        key: node_key(key),
        kind,
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone().unwrap_or_default(),
        // Serialization of these types cannot fail: their maps have text keys.
        body: serde_json::to_value(object).unwrap_or_default(),
        depends_on: in_namespace.iter().chain(depends_on).map(|key| node_key(key)).collect(),
        secrets: BTreeMap::new(),
        cloud_nodes: Vec::new(),
    }
}

/// A key that is composed of literals of this crate.
#[expect(clippy::expect_used, reason = "keys are composed of literals and a test builds every object")]
pub(crate) fn node_key(text: &str) -> NodeKey {
    text.parse().expect("a literal key is valid")
}
