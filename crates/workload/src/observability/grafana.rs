//! Grafana: dashboards that every client of the environment can see.
//!
//! If the workload is Grafana, as in the template for observability, it gets the
//! data sources and the dashboard. Otherwise a second program, Grafana, answers
//! under `/grafana` of the same load balancer.

use exokit_model::spec::EnvironmentSpec;
use k8s_openapi::api::core::v1::EnvVar;

use crate::app::App;
use crate::builder::Builder;
use crate::deployment::{DeploymentPlan, resources};
use crate::network_policy::{self, Peer};
use crate::observability::{
    LOKI_PORT, PROMETHEUS_PORT, add_config, add_service, address, data_mount, data_sources, scraped,
};
use crate::pod::{Check, Mount, MountSource, variable};
use crate::service::HTTP;
use crate::{images, service_account};

const APP: App = App::Grafana;
const CONFIG: &str = "grafana-config";

/// Port of a Grafana that is not the workload.
pub(crate) const GRAFANA_PORT: u16 = 3000;
/// Key of its Service.
pub(crate) const GRAFANA_SERVICE: &str = "grafana-service";
/// Path of its URL.
pub(crate) const GRAFANA_PATH: &str = "/grafana";

/// The user of its image.
const USER: i64 = 472;

const DATA_SOURCES: &str = include_str!("../../files/grafana-datasources.yaml");
const DASHBOARDS: &str = include_str!("../../files/grafana-dashboards.yaml");
const DASHBOARD: &str = include_str!("../../files/grafana-dashboard.json");

/// Names of the files, and their paths in the directory.
const DIRECTORY: &str = "/etc/grafana/provisioning";
const FILES: [(&str, &str); 3] = [
    ("datasources.yaml", "datasources/exokit.yaml"),
    ("dashboards.yaml", "dashboards/exokit.yaml"),
    ("environment.json", "dashboards/environment.json"),
];

/// Whether observability is on and the workload's image is Grafana.
pub(crate) fn is_workload(spec: &EnvironmentSpec) -> bool {
    let image = &spec.workload.image;
    let without_digest = image.split('@').next().unwrap_or(image);
    let (path, last) = without_digest.rsplit_once('/').unwrap_or(("", without_digest));
    let name = last.split(':').next().unwrap_or(last);
    let is_vendor = path == "grafana" || path.ends_with("/grafana");
    spec.observability && is_vendor && ["grafana", "grafana-oss", "grafana-enterprise"].contains(&name)
}

/// Whether a Grafana runs beside the workload.
pub(crate) fn has_own_grafana(spec: &EnvironmentSpec) -> bool {
    spec.observability && !is_workload(spec)
}

/// Adds the provisioning files of Grafana.
pub(crate) fn add_files(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    let data_sources = DATA_SOURCES
        .replace("@prometheus@", &address(spec, App::Prometheus, PROMETHEUS_PORT))
        .replace("@loki@", &address(spec, App::Loki, LOKI_PORT));
    let texts = [data_sources, DASHBOARDS.to_owned(), DASHBOARD.to_owned()];
    let files: Vec<(&str, String)> = FILES.iter().map(|file| file.0).zip(texts).collect();
    add_config(builder, CONFIG, APP, &files);
}

/// Adds a Grafana beside the workload.
pub(super) fn add(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    service_account::add(builder, APP);
    let from = [App::Traefik, App::Prometheus].map(|app| (Peer::Pods(app), vec![GRAFANA_PORT]));
    network_policy::add(builder, APP, &from, &data_sources());
    let resources = resources(("100m", "192Mi"), ("500m", "512Mi"));
    let check = Check::Http(HTTP, format!("{GRAFANA_PATH}/api/health"));
    let mut plan = DeploymentPlan::new(APP, images::GRAFANA.reference(), USER, check, resources);
    plan.ports = vec![(HTTP, GRAFANA_PORT)];
    plan.env = vec![
        variable("GF_SERVER_ROOT_URL", format!("%(protocol)s://%(domain)s{GRAFANA_PATH}/")),
        variable("GF_SERVER_SERVE_FROM_SUB_PATH", "true"),
    ];
    provision(spec, &mut plan, GRAFANA_PORT);
    // Requests outside its path get a redirect.
    let metrics = format!("{GRAFANA_PATH}/metrics");
    plan.pod_annotations.insert("prometheus.io/path".to_owned(), metrics);
    plan.add_to(builder);
    add_service(builder, APP, GRAFANA_PORT);
}

/// Gives a Grafana its settings, its data sources and its dashboard.
///
/// Its database is a file that lives as long as the pod: provisioning restores
/// all content, and several pods cannot share a SQLite file.
pub(crate) fn provision(spec: &EnvironmentSpec, plan: &mut DeploymentPlan, port: u16) {
    plan.env.extend(settings(port));
    let files = MountSource::Files(APP.name(spec), FILES.to_vec());
    plan.mounts.push(Mount { name: "config", path: DIRECTORY.to_owned(), source: files });
    plan.mounts.push(data_mount("/var/lib/grafana", "512Mi"));
    plan.uses.push(CONFIG);
    plan.pod_annotations = scraped(port);
}

/// Settings without any password: every visitor is a viewer, sign-in is off, and
/// there is no administrator.
fn settings(port: u16) -> Vec<EnvVar> {
    let port = port.to_string();
    let home = format!("{DIRECTORY}/{}", FILES[2].1);
    let settings = [
        ("GF_SERVER_HTTP_PORT", port.as_str()),
        ("GF_AUTH_ANONYMOUS_ENABLED", "true"),
        ("GF_AUTH_ANONYMOUS_ORG_ROLE", "Viewer"),
        ("GF_AUTH_BASIC_ENABLED", "false"),
        ("GF_AUTH_DISABLE_LOGIN_FORM", "true"),
        ("GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION", "true"),
        ("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH", &home),
        ("GF_LOG_MODE", "console"),
        // No downloads at start, no reports, no update checks.
        ("GF_PLUGINS_PREINSTALL_DISABLED", "true"),
        ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
        ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
        ("GF_NEWS_NEWS_FEED_ENABLED", "false"),
    ];
    settings.map(|(name, value)| variable(name, value)).to_vec()
}
