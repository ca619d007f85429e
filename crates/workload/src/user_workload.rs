//! The user's workload: service account, network policy, pods and Services.

use exokit_model::spec::{EnvironmentSpec, REPLICAS_AT_LEAST};

use crate::app::{App, pods_service_name};
use crate::autoscaling::AUTOSCALER;
use crate::builder::Builder;
use crate::data_secrets;
use crate::deployment::{DeploymentPlan, Placement, Replacement};
use crate::network_policy::{self, Allowed, Peer};
use crate::observability;
use crate::pod::{Check, Mount, MountSource, USER, variable};
use crate::service::{self, HTTP, PODS_SERVICE, Port};
use crate::service_account;
use crate::volume_claim::{self, WORKLOAD_CLAIM};

/// An access mode that lets one pod at a time use a volume.
const ONE_POD: &str = "ReadWriteOncePod";

/// Adds the workload.
pub(crate) fn add(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    service_account::add(builder, App::Workload);
    volume_claim::add_for_workload(builder);
    network_policy::add(builder, App::Workload, &incoming(spec), &outgoing(spec));
    deployment(spec).add_to(builder);
    let workload = &spec.workload;
    let port = Port { name: HTTP, port: workload.service_port, target: HTTP, node_port: None };
    match workload.ingress {
        None => {
            let port = Port { node_port: Some(workload.node_port), ..port };
            service::add_public(builder, App::Workload, &[port]);
        }
        // The public Service has the workload's name and node port. It leads to
        // the ingress controller.
        Some(_) => {
            let name = pods_service_name(spec);
            service::add_internal(builder, PODS_SERVICE, App::Workload, &name, &[port]);
        }
    }
}

fn incoming(spec: &EnvironmentSpec) -> Vec<Allowed> {
    let from = if spec.workload.ingress.is_some() { Peer::Pods(App::Traefik) } else { Peer::Anyone };
    let port = vec![spec.workload.port];
    let metrics =
        observability::workload_is_grafana(spec).then(|| (Peer::Pods(App::Prometheus), port.clone()));
    [(from, port)].into_iter().chain(metrics).collect()
}

/// Data services are outside the cluster, their addresses change, and the port
/// of a database is unknown. So a database opens all TCP ports, and a bucket
/// alone opens HTTPS.
fn outgoing(spec: &EnvironmentSpec) -> Vec<Allowed> {
    let mut allowed = Vec::new();
    if spec.database.is_some() {
        allowed.push((Peer::Anyone, Vec::new()));
    } else if spec.bucket.is_some() {
        allowed.push((Peer::Anyone, vec![443]));
    }
    if observability::workload_is_grafana(spec) {
        allowed.extend(observability::data_sources());
    }
    allowed
}

fn deployment(spec: &EnvironmentSpec) -> DeploymentPlan {
    let workload = &spec.workload;
    let resources = workload.resources.clone();
    // The image is unknown; the port is all that it must serve.
    let check = Check::Tcp(HTTP);
    let mut plan = DeploymentPlan::new(App::Workload, workload.image.clone(), USER, check, resources);
    plan.ports = vec![(HTTP, workload.port)];
    plan.env = vec![variable("PORT", workload.port.to_string())];
    plan.env.extend(data_secrets::variables(spec));
    plan.uses = data_secrets::used(spec);
    plan.pulled_with = data_secrets::pulled_with(spec);
    plan.placement = Placement::Spread;
    if observability::workload_is_grafana(spec) {
        observability::provision(spec, &mut plan, workload.port);
    }
    if let Some(block) = &spec.block_storage {
        let claim = MountSource::Claim(volume_claim::workload_claim_name(spec));
        // The volume replaces the directory for temporary files at its path.
        plan.mounts.retain(|mount| mount.path != block.mount_path.trim_end_matches('/'));
        plan.mounts.push(Mount { name: "data", path: block.mount_path.clone(), source: claim });
        plan.uses.push(WORKLOAD_CLAIM);
        plan.placement = Placement::Together;
        if block.access_mode == ONE_POD {
            plan.replacement = Replacement::Recreate;
        }
    }
    plan.replicas = Some(workload.replicas);
    plan.replicas_max = workload.replicas;
    if let Some(autoscaling) = &workload.autoscaling {
        // The autoscaler owns the number. If the body had it, every later apply
        // would reset it under load. Kubernetes starts with one pod, and the
        // autoscaler raises that to its minimum, within 15 s and without metrics.
        // It is there before, and the Deployment is ready with that minimum.
        plan.replicas = None;
        plan.replicas_max = workload.replicas.max(autoscaling.max_replicas);
        plan.annotations.insert(REPLICAS_AT_LEAST.to_owned(), autoscaling.min_replicas.to_string());
        plan.uses.push(AUTOSCALER);
    }
    plan
}
