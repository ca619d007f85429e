//! Loki: stores logs in files, as a single binary.

use crate::app::App;
use crate::builder::Builder;
use crate::deployment::{DeploymentPlan, resources};
use crate::network_policy::{self, Peer};
use crate::observability::{
    LOKI_PORT, add_config, add_service, config_mount, data_mount, grafana_app, scraped,
};
use crate::pod::Check;
use crate::service::HTTP;
use crate::{images, service_account};

const APP: App = App::Loki;
const CONFIG: &str = "loki-config";
const FILE: &str = "loki.yaml";
const TEXT: &str = include_str!("../../files/loki.yaml");

/// The user of its image.
const USER: i64 = 10_001;

/// Adds Loki.
pub(super) fn add(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    service_account::add(builder, APP);
    add_config(builder, CONFIG, APP, &[(FILE, TEXT.to_owned())]);
    let from = [App::Alloy, App::Prometheus, grafana_app(spec)];
    let from = from.map(|app| (Peer::Pods(app), vec![LOKI_PORT]));
    network_policy::add(builder, APP, &from, &[]);
    let resources = resources(("100m", "256Mi"), ("1000m", "768Mi"));
    let check = Check::Http(HTTP, "/ready".to_owned());
    let mut plan = DeploymentPlan::new(APP, images::LOKI.reference(), USER, check, resources);
    plan.args = vec![format!("-config.file=/etc/loki/{FILE}")];
    plan.ports = vec![(HTTP, LOKI_PORT)];
    plan.mounts.push(config_mount(spec, APP, "/etc/loki", FILE));
    plan.mounts.push(data_mount("/loki", "4Gi"));
    plan.uses = vec![CONFIG];
    plan.pod_annotations = scraped(LOKI_PORT);
    plan.add_to(builder);
    add_service(builder, APP, LOKI_PORT);
}
