//! Metrics, logs and dashboards inside the environment.
//!
//! Data lives on the disks of the nodes for a few days, and no longer than its
//! pod. It serves to watch the environment, not to archive it.

mod alloy;
mod grafana;
mod loki;
mod prometheus;

use std::collections::BTreeMap;

use exokit_model::kind::Kind;
use exokit_model::spec::EnvironmentSpec;
use k8s_openapi::api::core::v1::ConfigMap;

use crate::app::App;
use crate::builder::Builder;
use crate::labels::metadata;
use crate::network_policy::{Allowed, Peer};
use crate::pod::{Mount, MountSource};
use crate::service::{self, HTTP, Port};

pub(crate) use grafana::{
    GRAFANA_PATH, GRAFANA_PORT, GRAFANA_SERVICE, add_files as add_grafana_files, has_own_grafana,
    is_workload as workload_is_grafana, provision,
};

/// Ports of the programs.
const PROMETHEUS_PORT: u16 = 9090;
const LOKI_PORT: u16 = 3100;
const ALLOY_PORT: u16 = 12_345;

/// Adds Prometheus, Loki and the log shipper, and Grafana unless the workload
/// is Grafana.
pub(crate) fn add(builder: &mut Builder<'_>) {
    prometheus::add(builder);
    loki::add(builder);
    alloy::add(builder);
    if has_own_grafana(builder.spec) {
        grafana::add(builder);
    }
}

/// Annotations of pods whose metrics Prometheus collects from `port`.
pub(crate) fn scraped(port: u16) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("prometheus.io/scrape".to_owned(), "true".to_owned()),
        ("prometheus.io/port".to_owned(), port.to_string()),
    ])
}

/// The servers that Grafana connects to.
pub(crate) fn data_sources() -> [Allowed; 2] {
    [(Peer::Pods(App::Prometheus), vec![PROMETHEUS_PORT]), (Peer::Pods(App::Loki), vec![LOKI_PORT])]
}

/// The app that is Grafana.
fn grafana_app(spec: &EnvironmentSpec) -> App {
    if has_own_grafana(spec) { App::Grafana } else { App::Workload }
}

/// URL of an app inside the namespace.
fn address(spec: &EnvironmentSpec, app: App, port: u16) -> String {
    format!("http://{}:{port}", app.name(spec))
}

/// Adds the Service of an app that has one port.
fn add_service(builder: &mut Builder<'_>, app: App, port: u16) {
    let name = app.name(builder.spec);
    let key = format!("{}-service", app.key());
    let port = Port { name: HTTP, port, target: HTTP, node_port: None };
    service::add_internal(builder, &key, app, &name, &[port]);
}

/// Adds a config map with files of an app.
fn add_config(builder: &mut Builder<'_>, key: &str, app: App, files: &[(&str, String)]) {
    let data = files.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
    let config = ConfigMap {
        metadata: metadata(builder.spec, app, &app.name(builder.spec)),
        data: Some(data),
        ..ConfigMap::default()
    };
    builder.add(key, Kind::ConfigMap, &config, &[]);
}

/// Mounts the one file of an app in `directory`.
fn config_mount(spec: &EnvironmentSpec, app: App, directory: &str, file: &'static str) -> Mount {
    let source = MountSource::Files(app.name(spec), vec![(file, file)]);
    Mount { name: "config", path: directory.to_owned(), source }
}

/// Mounts a writable directory for the data of an app.
fn data_mount(path: &str, size: &'static str) -> Mount {
    Mount { name: "state", path: path.to_owned(), source: MountSource::Scratch(size) }
}
