//! The namespace, its quota and its container limits.

use exokit_model::kind::Kind;
use exokit_model::spec::EnvironmentSpec;
use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, ResourceQuota, ResourceQuotaSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::builder::{NAMESPACE, Usage, describe};
use crate::labels::shared_metadata;
use crate::object::WorkloadObject;
use crate::quantity::{Amounts, amounts};

/// Key of the quota.
pub(crate) const QUOTA: &str = "quota";
/// Key of the container limits.
pub(crate) const LIMITS: &str = "limits";

/// The objects that precede all others.
pub(crate) fn objects(spec: &EnvironmentSpec, usage: &Usage) -> Vec<WorkloadObject> {
    vec![
        describe(NAMESPACE, Kind::Namespace, &namespace(spec), &[]),
        describe(QUOTA, Kind::ResourceQuota, &quota(spec, usage), &[]),
        describe(LIMITS, Kind::LimitRange, &limit_range(spec, usage), &[]),
    ]
}

/// The namespace. Every environment warns about violations of the restricted level:
/// pods of exokit have none, so each warning is about a pod of somebody else.
fn namespace(spec: &EnvironmentSpec) -> Namespace {
    let enforced = if spec.hardened { "restricted" } else { "baseline" };
    let mut metadata = shared_metadata(spec, &spec.workload.namespace);
    metadata.namespace = None;
    let levels = [("enforce", enforced), ("warn", "restricted"), ("audit", "restricted")];
    let levels = levels.map(|(mode, level)| (format!("pod-security.kubernetes.io/{mode}"), level.to_owned()));
    metadata.labels.get_or_insert_default().extend(levels);
    Namespace { metadata, ..Namespace::default() }
}

/// The quota. It is what the environment uses at its largest.
fn quota(spec: &EnvironmentSpec, usage: &Usage) -> ResourceQuota {
    let computed = [("requests", usage.requests), ("limits", usage.limits)];
    let mut hard: Amounts = computed
        .into_iter()
        .flat_map(|(sort, demand)| {
            demand.amounts().into_iter().map(move |(name, q)| (format!("{sort}.{name}"), q))
        })
        .collect();
    let counted = [
        ("pods", usage.pods),
        ("services.loadbalancers", usage.load_balancers),
        ("services.nodeports", usage.node_ports),
        ("persistentvolumeclaims", usage.claims),
    ];
    hard.extend(counted.map(|(name, count)| (name.to_owned(), Quantity(count.to_string()))));
    ResourceQuota {
        metadata: named_for_environment(spec),
        spec: Some(ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() }),
        ..ResourceQuota::default()
    }
}

/// Defaults for containers without requests and limits, which the quota would
/// refuse, and the largest limits.
fn limit_range(spec: &EnvironmentSpec, usage: &Usage) -> LimitRange {
    let resources = &spec.workload.resources;
    let item = LimitRangeItem {
        type_: "Container".to_owned(),
        default: Some(amounts(&resources.limits)),
        default_request: Some(amounts(&resources.requests)),
        max: Some(usage.largest.amounts()),
        ..LimitRangeItem::default()
    };
    LimitRange { metadata: named_for_environment(spec), spec: Some(LimitRangeSpec { limits: vec![item] }) }
}

/// Metadata of an object that a namespace has once.
fn named_for_environment(spec: &EnvironmentSpec) -> ObjectMeta {
    shared_metadata(spec, "environment")
}
