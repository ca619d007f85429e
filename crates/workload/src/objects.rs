//! All objects of an environment.

use exokit_model::spec::EnvironmentSpec;

use crate::builder::Builder;
use crate::object::WorkloadObject;
use crate::{
    autoscaling, data_secrets, ingress, namespace, network_policy, observability, people, traefik,
    user_workload,
};

/// Returns the Kubernetes objects of an environment, each after its
/// dependencies.
///
/// # Examples
/// ```
/// use exokit_templates::{InstantiateOptions, TemplateSet};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let templates = TemplateSet::embedded()?;
/// let options = InstantiateOptions::new(jiff::civil::date(2026, 11, 23));
/// let spec = templates.find("T1")?.instantiate(&options)?;
/// let objects = exokit_workload::objects(&spec);
/// assert_eq!(objects[0].key.as_str(), "namespace");
/// assert_eq!(objects[0].body["metadata"]["name"], "exo-stargate-test");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn objects(spec: &EnvironmentSpec) -> Vec<WorkloadObject> {
    let mut builder = Builder::new(spec);
    network_policy::add_shared(&mut builder);
    data_secrets::add(&mut builder);
    if spec.observability {
        observability::add_grafana_files(&mut builder);
    }
    autoscaling::add(&mut builder);
    user_workload::add(&mut builder);
    autoscaling::add_disruption_budget(&mut builder);
    if spec.observability {
        observability::add(&mut builder);
    }
    if let Some(choice) = &spec.workload.ingress {
        traefik::add(&mut builder, choice);
        ingress::add(&mut builder, choice);
    }
    // The quota precedes the other objects and is sized by them.
    let mut first = namespace::objects(spec, &builder.usage);
    first.extend(people::objects(spec));
    builder.finish(first)
}
