//! Prometheus: collects metrics of pods with the annotation for it.

use crate::app::App;
use crate::builder::Builder;
use crate::deployment::{DeploymentPlan, resources};
use crate::images;
use crate::network_policy::{self, API_SERVER_PORTS, Peer};
use crate::observability::{
    PROMETHEUS_PORT, add_config, add_service, config_mount, data_mount, grafana_app, scraped,
};
use crate::pod::Check;
use crate::service::HTTP;
use crate::service_account::{self, READ, Right};

const APP: App = App::Prometheus;
const CONFIG: &str = "prometheus-config";
const FILE: &str = "prometheus.yaml";
const TEXT: &str = include_str!("../../files/prometheus.yaml");

/// The user of its image.
const USER: i64 = 65_534;

/// It discovers the pods of its namespace.
const RIGHTS: [Right; 1] = [("", &["pods"], READ)];

/// Adds Prometheus.
pub(super) fn add(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    service_account::add_with_rights(builder, APP, &RIGHTS);
    let text = TEXT.replace("@namespace@", &spec.workload.namespace);
    add_config(builder, CONFIG, APP, &[(FILE, text)]);
    let from = [(Peer::Pods(grafana_app(spec)), vec![PROMETHEUS_PORT])];
    let to = [(Peer::Namespace, Vec::new()), (Peer::Anyone, API_SERVER_PORTS.to_vec())];
    network_policy::add(builder, APP, &from, &to);
    let resources = resources(("100m", "256Mi"), ("1000m", "1Gi"));
    let check = Check::Http(HTTP, "/-/ready".to_owned());
    let mut plan = DeploymentPlan::new(APP, images::PROMETHEUS.reference(), USER, check, resources);
    plan.args = [
        "--config.file=/etc/prometheus/prometheus.yaml",
        "--storage.tsdb.path=/prometheus",
        "--storage.tsdb.retention.time=3d",
        // Less than the directory, which also holds the write-ahead log.
        "--storage.tsdb.retention.size=1GB",
    ]
    .map(str::to_owned)
    .to_vec();
    plan.ports = vec![(HTTP, PROMETHEUS_PORT)];
    plan.mounts.push(config_mount(spec, APP, "/etc/prometheus", FILE));
    plan.mounts.push(data_mount("/prometheus", "2Gi"));
    plan.uses = vec![CONFIG];
    plan.uses_api = true;
    plan.pod_annotations = scraped(PROMETHEUS_PORT);
    plan.add_to(builder);
    add_service(builder, APP, PROMETHEUS_PORT);
}
