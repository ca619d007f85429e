//! Alloy: ships the logs of pods to Loki. It reads them through the API server,
//! so it needs no access to the file systems of nodes.

use crate::app::App;
use crate::builder::Builder;
use crate::deployment::{DeploymentPlan, resources};
use crate::images;
use crate::network_policy::{self, API_SERVER_PORTS, Peer};
use crate::observability::{
    ALLOY_PORT, LOKI_PORT, add_config, add_service, address, config_mount, data_mount, scraped,
};
use crate::pod::Check;
use crate::service::HTTP;
use crate::service_account::{self, READ, Right};

const APP: App = App::Alloy;
const CONFIG: &str = "alloy-config";
const FILE: &str = "config.alloy";
const TEXT: &str = include_str!("../../files/config.alloy");

/// The user of its image.
const USER: i64 = 473;

/// It discovers the pods of its namespace and reads their logs.
const RIGHTS: [Right; 2] = [("", &["pods"], READ), ("", &["pods/log"], &["get"])];

/// Adds the log shipper.
pub(super) fn add(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    service_account::add_with_rights(builder, APP, &RIGHTS);
    let text = TEXT
        .replace("@namespace@", &spec.workload.namespace)
        .replace("@loki@", &address(spec, App::Loki, LOKI_PORT));
    add_config(builder, CONFIG, APP, &[(FILE, text)]);
    let from = [(Peer::Pods(App::Prometheus), vec![ALLOY_PORT])];
    let to = [(Peer::Pods(App::Loki), vec![LOKI_PORT]), (Peer::Anyone, API_SERVER_PORTS.to_vec())];
    network_policy::add(builder, APP, &from, &to);
    let resources = resources(("50m", "128Mi"), ("500m", "384Mi"));
    let check = Check::Http(HTTP, "/-/ready".to_owned());
    let mut plan = DeploymentPlan::new(APP, images::ALLOY.reference(), USER, check, resources);
    plan.args = vec![
        "run".to_owned(),
        format!("--server.http.listen-addr=0.0.0.0:{ALLOY_PORT}"),
        "--storage.path=/var/lib/alloy/data".to_owned(),
        "--disable-reporting".to_owned(),
        format!("/etc/alloy/{FILE}"),
    ];
    plan.ports = vec![(HTTP, ALLOY_PORT)];
    plan.mounts.push(config_mount(spec, APP, "/etc/alloy", FILE));
    plan.mounts.push(data_mount("/var/lib/alloy/data", "256Mi"));
    plan.uses = vec![CONFIG];
    plan.uses_api = true;
    plan.pod_annotations = scraped(ALLOY_PORT);
    plan.add_to(builder);
    add_service(builder, APP, ALLOY_PORT);
}
