//! The files that programs start with.

use exokit_model::kind::Kind;
use exokit_workload::IMAGES;
use serde_json::Value;

use crate::environments::{Environment, all, container, list, shipped};

fn file<'e>(environment: &'e Environment, key: &str, name: &str) -> &'e str {
    environment.get(key).unwrap().body["data"][name].as_str().unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// Asserts that an address leads to a Service of the environment.
#[track_caller]
fn assert_served(environment: &Environment, url: &str) {
    let address = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let (name, port) = address.split_once(':').unwrap();
    let service = environment.named(Kind::Service, name).unwrap_or_else(|| panic!("no {name}"));
    let ports = list(&service.body["spec"]["ports"]);
    let port: u64 = port.parse().unwrap();
    assert!(ports.iter().any(|one| one["port"] == port), "{url}");
}

#[test]
fn no_placeholder_is_left() {
    for environment in all() {
        for config in environment.of(Kind::ConfigMap) {
            let data = config.body["data"].as_object().unwrap();
            assert!(data.values().all(|text| !text.as_str().unwrap().contains('@')), "{}", config.key);
        }
    }
}

#[test]
fn configuration_files_are_well_formed_and_lead_somewhere() {
    for environment in all().iter().filter(|environment| environment.spec.observability) {
        let namespace = environment.spec.workload.namespace.as_str();
        let prometheus = yaml(file(environment, "prometheus-config", "prometheus.yaml"));
        let discovery = &prometheus["scrape_configs"][0]["kubernetes_sd_configs"][0];
        assert_eq!(discovery["namespaces"]["names"][0], namespace);
        let loki = yaml(file(environment, "loki-config", "loki.yaml"));
        assert_eq!(loki["server"]["http_listen_port"], 3100);
        let alloy = file(environment, "alloy-config", "config.alloy");
        assert_eq!(alloy.matches('{').count(), alloy.matches('}').count());
        assert!(alloy.contains(&format!("names = [\"{namespace}\"]")));
        let url = alloy.lines().find_map(|line| line.trim().strip_prefix("url = ")).unwrap();
        assert_served(environment, url.trim_matches('"'));
        let sources = yaml(file(environment, "grafana-config", "datasources.yaml"));
        for source in list(&sources["datasources"]) {
            assert_served(environment, source["url"].as_str().unwrap());
        }
        yaml(file(environment, "grafana-config", "dashboards.yaml"));
    }
}

#[test]
fn panels_of_the_dashboard_use_data_sources_that_exist() {
    let environment = &shipped()[5];
    let sources = yaml(file(environment, "grafana-config", "datasources.yaml"));
    let known: Vec<&Value> = list(&sources["datasources"]).iter().map(|source| &source["uid"]).collect();
    let dashboard: Value =
        serde_json::from_str(file(environment, "grafana-config", "environment.json")).unwrap();
    let panels = list(&dashboard["panels"]);
    assert!(panels.len() >= 4);
    assert!(panels.iter().all(|panel| known.contains(&&panel["datasource"]["uid"])));
}

#[test]
fn the_workload_for_observability_is_grafana_itself() {
    let environment = &shipped()[5];
    assert!(environment.get("grafana").is_none());
    let workload = environment.get("workload").unwrap();
    let variables = list(&container(workload)["env"]);
    let value = |name: &str| variables.iter().find(|one| one["name"] == name).map(|one| &one["value"]);
    assert_eq!(value("GF_SERVER_HTTP_PORT").unwrap(), "3000");
    assert_eq!(value("GF_AUTH_ANONYMOUS_ORG_ROLE").unwrap(), "Viewer");
    assert!(!variables.iter().any(|one| one["name"] == "GF_SECURITY_ADMIN_PASSWORD"));
    assert_eq!(list(environment.at("ingress", "/spec/rules/0/http/paths")).len(), 1);
}

#[test]
fn elsewhere_grafana_answers_below_its_path() {
    let environment = all().into_iter().find(|environment| environment.name == "T7 observed").unwrap();
    let paths = list(environment.at("ingress", "/spec/rules/0/http/paths"));
    assert_eq!(paths[1]["path"], "/grafana");
    assert_eq!(paths[1]["backend"]["service"]["name"], "exokit-grafana");
    let probe = &container(environment.get("grafana").unwrap())["readinessProbe"];
    assert_eq!(probe["httpGet"]["path"], "/grafana/api/health");
}

#[test]
fn images_are_the_listed_ones_or_that_of_the_user() {
    for environment in all() {
        for deployment in environment.of(Kind::Deployment) {
            let image = container(deployment)["image"].as_str().unwrap();
            let listed = IMAGES.iter().any(|one| one.reference() == image);
            assert_eq!(listed, deployment.key.as_str() != "workload", "{image}");
        }
    }
}
