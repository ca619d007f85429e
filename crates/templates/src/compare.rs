//! Which template an environment equals or comes nearest to.
//!
//! Distance is the number of traits that differ. Whose an environment is, what
//! it is called, which image it runs and in which zone are no traits: they
//! differ between two environments of one template.

use exokit_model::ids::TemplateId;
use exokit_model::spec::{
    AutoscalingSpec, BlockStorageSpec, DatabaseSpec, EnvironmentSpec, IngressSpec, Quantities,
};
use serde::{Deserialize, Serialize};

use crate::set::TemplateSet;
use crate::template::Template;

/// A trait in which an environment differs from a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// The trait, by its keys in a run file, such as `node_count`.
    pub field: String,
    /// What the template has.
    pub template: String,
    /// What the environment has.
    pub environment: String,
}

/// The nearest template and what differs; ties by id. None in an empty set.
pub(crate) fn nearest(spec: &EnvironmentSpec, set: &TemplateSet) -> Option<(TemplateId, Vec<Difference>)> {
    set.iter()
        .map(|template| (template.id, differences(spec, template)))
        .min_by_key(|(id, differs)| (differs.len(), *id))
}

/// What differs between an environment and a template.
fn differences(spec: &EnvironmentSpec, template: &Template) -> Vec<Difference> {
    let theirs = traits(template.defaults());
    traits(spec)
        .into_iter()
        .zip(theirs)
        .filter(|(own, their)| own.1 != their.1)
        .map(|((field, environment), (_, template))| Difference {
            field: field.to_owned(),
            template,
            environment,
        })
        .collect()
}

/// The text, or `none` where there is nothing.
fn or_none<T>(part: Option<T>, show: impl FnOnce(T) -> String) -> String {
    part.map(show).filter(|text| !text.is_empty()).unwrap_or_else(|| "none".to_owned())
}

/// The traits in a fixed order. A part that is absent is one difference, not
/// one for each of its keys.
fn traits(spec: &EnvironmentSpec) -> Vec<(&'static str, String)> {
    let EnvironmentSpec { cluster, nodes, workload, .. } = spec;
    let database = spec.database.as_ref();
    let quantities = |part: &Quantities| format!("{} {}", part.cpu, part.memory);
    vec![
        ("sks_level", cluster.level.to_string()),
        ("sks_cni", cluster.cni.to_string()),
        ("sks_addons", cluster.addons.join(", ")),
        ("node_type", format!("{} {}", nodes.family, nodes.size)),
        ("node_count", nodes.count.to_string()),
        ("node_disk_gb", nodes.disk_gb.to_string()),
        ("agents", or_none(Some(&spec.agents), |agents| agents.join(", "))),
        ("isolation", spec.hardened.to_string()),
        ("observability", spec.observability.to_string()),
        ("database.type", or_none(database, |database| database.engine.to_string())),
        ("database.plan", or_none(database, plan)),
        (
            "object_storage",
            or_none(spec.bucket.as_ref(), |bucket| format!("{} {:?}", bucket.suffix, bucket.acl)),
        ),
        ("block_storage", or_none(spec.block_storage.as_ref(), volume)),
        ("k8s_namespace", workload.namespace.clone()),
        ("k8s_replicas", workload.replicas.to_string()),
        ("k8s_port", workload.port.to_string()),
        ("k8s_service_port", workload.service_port.to_string()),
        ("k8s_nodeport", workload.node_port.to_string()),
        ("load_balancer", workload.load_balancer.to_string()),
        ("ingress", or_none(workload.ingress.as_ref(), ingress)),
        ("autoscaling", or_none(workload.autoscaling.as_ref(), autoscaling)),
        ("resources.requests", quantities(&workload.resources.requests)),
        ("resources.limits", quantities(&workload.resources.limits)),
        ("pod_disruption_budget", or_none(workload.min_available, |least| least.to_string())),
    ]
}

fn plan(database: &DatabaseSpec) -> String {
    match &database.version {
        Some(version) => format!("{}, version {version}", database.plan),
        None => database.plan.clone(),
    }
}

fn volume(block: &BlockStorageSpec) -> String {
    format!("{} GiB {} {} at {}", block.size_gb, block.storage_class, block.access_mode, block.mount_path)
}

fn ingress(ingress: &IngressSpec) -> String {
    format!("{} {} TLS", ingress.provider, if ingress.tls { "with" } else { "without" })
}

fn autoscaling(scaling: &AutoscalingSpec) -> String {
    format!(
        "{} to {} replicas at {} % CPU, {} % memory",
        scaling.min_replicas, scaling.max_replicas, scaling.cpu_percent, scaling.memory_percent
    )
}
