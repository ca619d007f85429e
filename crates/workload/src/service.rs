//! Services: stable addresses of pods.

use exokit_model::kind::Kind;
use exokit_model::spec::EnvironmentSpec;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::app::App;
use crate::builder::{Builder, NODEPOOL};
use crate::labels::{metadata, pod_labels};

/// Port name of programs with one port.
pub(crate) const HTTP: &str = "http";

/// Key of the Service that clients outside the cluster use.
pub(crate) const PUBLIC_SERVICE: &str = "service";
/// Key of the Service inside the cluster of a workload behind an ingress.
pub(crate) const PODS_SERVICE: &str = "pods-service";

/// One port of a Service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Port {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    /// Name of the container's port.
    pub(crate) target: &'static str,
    /// Node port; none lets Kubernetes choose one if the type has node ports.
    pub(crate) node_port: Option<u16>,
}

/// Adds the Service that clients outside the cluster use, for pods of `app`.
///
/// It does not depend on the pods. The load balancer takes longest to create,
/// so it starts first, and its health checks find the nodes that answer.
pub(crate) fn add_public(builder: &mut Builder<'_>, app: App, ports: &[Port]) {
    let spec = builder.spec;
    let balanced = spec.workload.load_balancer;
    builder.usage.load_balancers += u64::from(balanced);
    // Each port of a load balancer has a node port.
    builder.usage.node_ports += u64::try_from(ports.len()).unwrap_or_default();
    let mut service = service(spec, app, &spec.workload.service, ports);
    if let Some(service) = &mut service.spec {
        service.type_ = Some(if balanced { "LoadBalancer" } else { "NodePort" }.to_owned());
        service.external_traffic_policy = Some("Cluster".to_owned());
    }
    let nodes: &[&str] = if balanced { &[NODEPOOL] } else { &[] };
    builder.add_on(nodes, PUBLIC_SERVICE, Kind::Service, &service, &[]);
}

/// Adds a Service that only pods of the cluster use.
pub(crate) fn add_internal(builder: &mut Builder<'_>, key: &str, app: App, name: &str, ports: &[Port]) {
    let service = service(builder.spec, app, name, ports);
    builder.add(key, Kind::Service, &service, &[]);
}

fn service(spec: &EnvironmentSpec, app: App, name: &str, ports: &[Port]) -> Service {
    let port = |port: &Port| ServicePort {
        name: Some(port.name.to_owned()),
        port: i32::from(port.port),
        // The protocol is part of the merge key of a server-side apply.
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(port.target.to_owned())),
        node_port: port.node_port.map(i32::from),
        app_protocol: None,
    };
    Service {
        metadata: metadata(spec, app, name),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(pod_labels(spec, app)),
            ports: Some(ports.iter().map(port).collect()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
