//! Which template an environment equals or comes nearest to.
//!
//! Distance is the number of traits that differ. Whose an environment is, what
//! it is called, which image it runs and in which zone are no traits: they
//! differ between two environments of one template.

use exokit_model::ids::TemplateId;
use exokit_model::spec::EnvironmentSpec;
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

const NONE: &str = "none";

/// The traits in a fixed order. A part that is absent is one difference, not
/// one for each of its keys.
fn traits(spec: &EnvironmentSpec) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("sks_level", spec.cluster.level.as_str().to_owned()),
        ("sks_cni", spec.cluster.cni.as_str().to_owned()),
        ("sks_addons", spec.cluster.addons.join(", ")),
        ("node_type", format!("{} {}", spec.nodes.family, spec.nodes.size)),
        ("node_count", spec.nodes.count.to_string()),
        ("node_disk_gb", spec.nodes.disk_gb.to_string()),
        ("agents", text_or_none(&spec.agents.join(", "))),
        ("isolation", spec.hardened.to_string()),
        ("observability", spec.observability.to_string()),
    ];
    all.extend(data_traits(spec));
    all.extend(workload_traits(spec));
    all
}

fn text_or_none(text: &str) -> String {
    match text {
        "" => NONE.to_owned(),
        text => text.to_owned(),
    }
}

fn data_traits(spec: &EnvironmentSpec) -> [(&'static str, String); 4] {
    let database = spec.database.as_ref();
    let bucket = spec.bucket.as_ref();
    let block = spec.block_storage.as_ref();
    let none = || NONE.to_owned();
    [
        ("database.type", database.map_or_else(none, |database| database.engine.to_string())),
        (
            "database.plan",
            database.map_or_else(none, |database| match &database.version {
                Some(version) => format!("{}, version {version}", database.plan),
                None => database.plan.clone(),
            }),
        ),
        ("object_storage", bucket.map_or_else(none, |bucket| format!("{} {:?}", bucket.suffix, bucket.acl))),
        (
            "block_storage",
            block.map_or_else(none, |block| {
                format!(
                    "{} GiB {} {} at {}",
                    block.size_gb, block.storage_class, block.access_mode, block.mount_path
                )
            }),
        ),
    ]
}

fn workload_traits(spec: &EnvironmentSpec) -> [(&'static str, String); 11] {
    let workload = &spec.workload;
    let none = || NONE.to_owned();
    [
        ("k8s_namespace", workload.namespace.clone()),
        ("k8s_replicas", workload.replicas.to_string()),
        ("k8s_port", workload.port.to_string()),
        ("k8s_service_port", workload.service_port.to_string()),
        ("k8s_nodeport", workload.node_port.to_string()),
        ("load_balancer", workload.load_balancer.to_string()),
        (
            "ingress",
            workload.ingress.as_ref().map_or_else(none, |ingress| {
                let tls = if ingress.tls { "with" } else { "without" };
                format!("{} {tls} TLS", ingress.provider)
            }),
        ),
        (
            "autoscaling",
            workload.autoscaling.as_ref().map_or_else(none, |scaling| {
                format!(
                    "{} to {} replicas at {} % CPU, {} % memory",
                    scaling.min_replicas, scaling.max_replicas, scaling.cpu_percent, scaling.memory_percent
                )
            }),
        ),
        (
            "resources.requests",
            format!("{} {}", workload.resources.requests.cpu, workload.resources.requests.memory),
        ),
        (
            "resources.limits",
            format!("{} {}", workload.resources.limits.cpu, workload.resources.limits.memory),
        ),
        ("pod_disruption_budget", workload.min_available.map_or_else(none, |least| least.to_string())),
    ]
}
