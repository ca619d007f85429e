//! The ingress controller: one Traefik pod with rights in its namespace only.
//!
//! It receives all traffic of the load balancer, terminates TLS and forwards
//! requests.

use exokit_model::spec::{EnvironmentSpec, IngressSpec};

use crate::app::App;
use crate::builder::Builder;
use crate::deployment::{DeploymentPlan, Replacement, resources};
use crate::network_policy::{self, API_SERVER_PORTS, Allowed, Peer};
use crate::observability::{self, GRAFANA_PORT};
use crate::pod::{Check, Mount, MountSource, USER};
use crate::service::{self, Port};
use crate::service_account::{self, READ, Right};
use crate::{images, volume_claim};

/// The class of the Ingress objects that it serves.
pub(crate) const CLASS: &str = "traefik";

/// Its entry points. All ports are above 1024, so it needs no privileges.
const PLAIN: (&str, u16) = ("plain", 8000);
const SECURE: (&str, u16) = ("websecure", 8443);
const PING: (&str, u16) = ("ping", 8081);
const METRICS: (&str, u16) = ("metrics", 8082);

/// Port of TLS on the load balancer.
const HTTPS: u16 = 443;

/// Directory of certificates, and key and size of the claim for it.
const ACME_DIR: &str = "/acme";
const ACME_CLAIM: &str = "traefik-claim";
const ACME_GB: u32 = 1;

/// The add-on that provides volumes, and its usual storage class.
const CSI_ADDON: &str = "exoscale-container-storage-interface";
const STORAGE_CLASS: &str = "exoscale-sbs";

/// Its rights. Traefik watches the secrets of its namespace for certificates
/// even if no Ingress names one, and serves no routes without this right.
const RIGHTS: [Right; 4] = [
    ("", &["services", "secrets"], READ),
    ("discovery.k8s.io", &["endpointslices"], READ),
    ("networking.k8s.io", &["ingresses"], READ),
    ("networking.k8s.io", &["ingresses/status"], &["update"]),
];

/// The entry points that clients can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryPoints {
    plain: bool,
    secure: bool,
}

impl EntryPoints {
    /// A hardened environment has TLS only, and so has one whose Service port
    /// is 443.
    pub(crate) fn of(spec: &EnvironmentSpec, ingress: &IngressSpec) -> Self {
        let secure = ingress.tls || spec.hardened;
        let tls_only = spec.hardened || (secure && spec.workload.service_port == HTTPS);
        Self { plain: !tls_only, secure }
    }

    /// Their names, as an annotation of an Ingress lists them.
    pub(crate) fn names(self) -> String {
        let names: Vec<&str> = self.list().map(|(name, _)| name).collect();
        names.join(",")
    }

    fn list(self) -> impl Iterator<Item = (&'static str, u16)> {
        self.plain.then_some(PLAIN).into_iter().chain(self.secure.then_some(SECURE))
    }

    /// Ports of the public Service. Plain HTTP has the node port of the
    /// description. Without plain HTTP, TLS has it: the security group of a
    /// hardened environment opens this port only.
    fn public_ports(self, spec: &EnvironmentSpec) -> Vec<Port> {
        let own = Some(spec.workload.node_port);
        let plain = Port { name: PLAIN.0, port: spec.workload.service_port, target: PLAIN.0, node_port: own };
        let node_port = if self.plain { None } else { own };
        let secure = Port { name: SECURE.0, port: HTTPS, target: SECURE.0, node_port };
        self.plain.then_some(plain).into_iter().chain(self.secure.then_some(secure)).collect()
    }
}

/// Adds the ingress controller and the Service that clients use.
pub(crate) fn add(builder: &mut Builder<'_>, ingress: &IngressSpec) {
    let spec = builder.spec;
    let entry_points = EntryPoints::of(spec, ingress);
    service_account::add_with_rights(builder, App::Traefik, &RIGHTS);
    network_policy::add(builder, App::Traefik, &incoming(spec, entry_points), &outgoing(spec));
    service::add_public(builder, App::Traefik, &entry_points.public_ports(spec));
    let acme = acme_mail(ingress, entry_points);
    let mut plan = plan(spec, entry_points);
    if let Some(mail) = acme {
        use_acme(builder, &mut plan, mail);
    } else if entry_points.secure {
        // An authority needs a host name and a mail address. Without them, and
        // until an issuer has made one, Traefik serves its self-signed
        // certificate.
        plan.args.push(format!("--entryPoints.{}.http.tls=true", SECURE.0));
    }
    plan.add_to(builder);
}

/// The mail address for certificates, if there is also a host name.
fn acme_mail(ingress: &IngressSpec, entry_points: EntryPoints) -> Option<&str> {
    ingress.domain.as_ref()?;
    let by_traefik = entry_points.secure && ingress.cert_issuer.is_none();
    ingress.cert_email.as_deref().filter(|_| by_traefik)
}

fn plan(spec: &EnvironmentSpec, entry_points: EntryPoints) -> DeploymentPlan {
    let resources = resources(("50m", "64Mi"), ("500m", "256Mi"));
    let check = Check::Http(PING.0, "/ping".to_owned());
    let mut plan = DeploymentPlan::new(App::Traefik, images::TRAEFIK.reference(), USER, check, resources);
    plan.uses_api = true;
    plan.ports = entry_points.list().chain([PING]).collect();
    plan.args = arguments(spec);
    if spec.observability {
        plan.ports.push(METRICS);
        plan.args.extend(["--accessLog=true", "--metrics.prometheus=true"].map(str::to_owned));
        plan.args.push(format!("--metrics.prometheus.entryPoint={}", METRICS.0));
        plan.pod_annotations = observability::scraped(METRICS.1);
    }
    let addresses = plan.ports.iter().map(|(name, port)| format!("--entryPoints.{name}.address=:{port}"));
    plan.args.extend(addresses.collect::<Vec<_>>());
    plan
}

fn arguments(spec: &EnvironmentSpec) -> Vec<String> {
    let namespace = &spec.workload.namespace;
    let mut arguments: Vec<String> = [
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
        "--ping=true",
        "--ping.entryPoint=ping",
        "--providers.kubernetesIngress=true",
        // A namespaced role cannot read ingress classes and nodes.
        "--providers.kubernetesIngress.disableClusterScopeResources=true",
        // Without ready pods the answer is 503, not 404.
        "--providers.kubernetesIngress.allowEmptyServices=true",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(format!("--providers.kubernetesIngress.namespaces={namespace}"));
    arguments.push(format!("--providers.kubernetesIngress.ingressClass={CLASS}"));
    if spec.workload.load_balancer {
        // Traefik copies the address of the load balancer to the Ingress.
        let service = &spec.workload.service;
        arguments.push(format!(
            "--providers.kubernetesIngress.ingressEndpoint.publishedService={namespace}/{service}"
        ));
    }
    arguments
}

/// Requests certificates from Let's Encrypt with the TLS-ALPN-01 challenge.
///
/// A volume keeps them, because Let's Encrypt limits the rate of new ones, and
/// one pod at a time uses the file. In a cluster without block storage they live
/// as long as the pod.
fn use_acme(builder: &mut Builder<'_>, plan: &mut DeploymentPlan, mail: &str) {
    let spec = builder.spec;
    let mut source = MountSource::Scratch("16Mi");
    if spec.cluster.addons.iter().any(|addon| addon == CSI_ADDON) {
        let name = format!("{}-acme", App::Traefik.name(spec));
        let class = spec.block_storage.as_ref().map_or(STORAGE_CLASS, |block| &block.storage_class);
        volume_claim::add(builder, ACME_CLAIM, App::Traefik, &name, (class, "ReadWriteOnce", ACME_GB));
        plan.uses.push(ACME_CLAIM);
        source = MountSource::Claim(name);
    }
    plan.mounts.push(Mount { name: "acme", path: ACME_DIR.to_owned(), source });
    plan.replacement = Replacement::Recreate;
    plan.args.extend([
        format!("--entryPoints.{}.http.tls.certResolver=letsencrypt", SECURE.0),
        format!("--certificatesResolvers.letsencrypt.acme.email={mail}"),
        format!("--certificatesResolvers.letsencrypt.acme.storage={ACME_DIR}/acme.json"),
        "--certificatesResolvers.letsencrypt.acme.tlsChallenge=true".to_owned(),
    ]);
}

/// Every address is a possible client: the load balancer keeps client
/// addresses, and its health checks come from outside the cluster.
fn incoming(spec: &EnvironmentSpec, entry_points: EntryPoints) -> Vec<Allowed> {
    let clients = (Peer::Anyone, entry_points.list().map(|(_, port)| port).collect());
    let metrics = spec.observability.then(|| (Peer::Pods(App::Prometheus), vec![METRICS.1]));
    [clients].into_iter().chain(metrics).collect()
}

fn outgoing(spec: &EnvironmentSpec) -> Vec<Allowed> {
    let workload = (Peer::Pods(App::Workload), vec![spec.workload.port]);
    // Port 443 also reaches the certificate authority.
    let api_server = (Peer::Anyone, API_SERVER_PORTS.to_vec());
    let grafana =
        observability::has_own_grafana(spec).then(|| (Peer::Pods(App::Grafana), vec![GRAFANA_PORT]));
    [workload, api_server].into_iter().chain(grafana).collect()
}
