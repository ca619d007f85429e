//! Who can reach whom, by the network policies alone.

use exokit_model::kind::Kind;
use exokit_workload::WorkloadObject;
use serde_json::Value;

use crate::environments::{Environment, all, container, is_subset, list, pod, shipped};

/// Whether a selector finds the pods of a deployment; an empty one finds all.
fn finds(selector: &Value, deployment: &WorkloadObject) -> bool {
    match selector.get("matchLabels") {
        Some(labels) => is_subset(labels, &pod(deployment)["metadata"]["labels"]),
        None => true,
    }
}

/// Whether the policies let `this` talk in `direction` with `other` on a port.
/// None is an address outside the cluster.
fn permits(
    environment: &Environment,
    this: &WorkloadObject,
    direction: (&str, &str, &str),
    other: Option<&WorkloadObject>,
    port: u64,
) -> bool {
    let (kind, rules, peers) = direction;
    let mut selected = false;
    for policy in environment.of(Kind::NetworkPolicy) {
        let spec = &policy.body["spec"];
        let applies = list(&spec["policyTypes"]).iter().any(|one| one == kind);
        if !applies || !finds(&spec["podSelector"], this) {
            continue;
        }
        selected = true;
        for rule in list(&spec[rules]) {
            let ports = list(&rule["ports"]);
            let good_port = ports.is_empty()
                || ports.iter().any(|one| one["port"].as_u64() == Some(port) && one["protocol"] == "TCP");
            let is_peer = |peer: &Value| {
                other.is_some_and(|other| {
                    peer.get("podSelector").is_some_and(|selector| finds(selector, other))
                })
            };
            let good_peer = rule.get(peers).is_none_or(|peers| list(peers).iter().any(is_peer));
            if good_port && good_peer {
                return true;
            }
        }
    }
    !selected
}

/// Whether pods of one deployment can connect to a port of another one.
fn connects(environment: &Environment, from: &WorkloadObject, to: &WorkloadObject, port: u64) -> bool {
    permits(environment, from, ("Egress", "egress", "to"), Some(to), port)
        && permits(environment, to, ("Ingress", "ingress", "from"), Some(from), port)
}

fn port_of(deployment: &WorkloadObject, name: &str) -> u64 {
    let ports = list(&container(deployment)["ports"]);
    let port = ports.iter().find(|port| port["name"] == name);
    port.unwrap_or_else(|| panic!("{} has no port {name}", deployment.key))["containerPort"].as_u64().unwrap()
}

/// Paths that have to work, where both ends exist.
const PATHS: [(&str, &str); 9] = [
    ("traefik", "workload"),
    ("traefik", "grafana"),
    ("grafana", "prometheus"),
    ("grafana", "loki"),
    ("alloy", "loki"),
    ("prometheus", "loki"),
    ("prometheus", "alloy"),
    ("prometheus", "grafana"),
    ("prometheus", "prometheus"),
];

#[test]
fn what_belongs_together_can_talk() {
    for environment in all() {
        for (from, to) in PATHS {
            if let (Some(from), Some(to)) = (environment.get(from), environment.get(to)) {
                // A pod always reaches itself.
                let itself = from.key == to.key;
                let port = port_of(to, "http");
                let name = &environment.name;
                assert!(
                    itself || connects(&environment, from, to, port),
                    "{name}: {} -> {}",
                    from.key,
                    to.key
                );
            }
        }
        // Without a Grafana of its own, an observed environment is one.
        if environment.spec.observability && environment.get("grafana").is_none() {
            let workload = environment.get("workload").unwrap();
            for key in ["prometheus", "loki"] {
                let source = environment.get(key).unwrap();
                assert!(connects(&environment, workload, source, port_of(source, "http")), "{key}");
            }
        }
    }
}

#[test]
fn clients_reach_what_the_public_service_leads_to_and_nothing_else() {
    let from_outside = ("Ingress", "ingress", "from");
    for environment in all() {
        let selector = environment.at("service", "/spec/selector");
        let entry = environment.selected(selector)[0];
        let open: Vec<u64> = list(environment.at("service", "/spec/ports"))
            .iter()
            .map(|port| port_of(entry, port["targetPort"].as_str().unwrap()))
            .collect();
        for deployment in environment.of(Kind::Deployment) {
            for port in list(&container(deployment)["ports"]) {
                let number = port["containerPort"].as_u64().unwrap();
                let expected = deployment.key == entry.key && open.contains(&number);
                let permitted = permits(&environment, deployment, from_outside, None, number);
                assert_eq!(permitted, expected, "{}: {} {port}", environment.name, deployment.key);
            }
        }
    }
}

#[test]
fn prometheus_reaches_every_pod_that_it_collects_from() {
    for environment in all() {
        let Some(prometheus) = environment.get("prometheus") else {
            continue;
        };
        let mut collected = 0;
        for deployment in environment.of(Kind::Deployment) {
            let annotations = &pod(deployment)["metadata"]["annotations"];
            if annotations["prometheus.io/scrape"] != "true" {
                continue;
            }
            collected += 1;
            let port = annotations["prometheus.io/port"].as_str().unwrap().parse().unwrap();
            let itself = deployment.key == prometheus.key;
            assert!(itself || connects(&environment, prometheus, deployment, port), "{}", deployment.key);
        }
        assert!(collected >= 4, "{}", environment.name);
    }
}

#[test]
fn what_is_not_named_is_denied() {
    for environment in shipped() {
        let workload = environment.get("workload").unwrap();
        if let Some(prometheus) = environment.get("prometheus") {
            let loki = environment.get("loki").unwrap();
            assert!(!connects(&environment, loki, prometheus, 9090));
            assert!(!connects(&environment, loki, workload, port_of(workload, "http")));
        }
        let out = permits(&environment, workload, ("Egress", "egress", "to"), None, 443);
        assert_eq!(out, !environment.spec.hardened, "{}", environment.name);
    }
}

#[test]
fn hardened_environments_send_only_what_is_named() {
    let to_outside = ("Egress", "egress", "to");
    for environment in all().into_iter().filter(|environment| environment.spec.hardened) {
        let types = environment.at("deny-all", "/spec/policyTypes");
        assert_eq!(list(types), ["Ingress", "Egress"]);
        assert_eq!(list(environment.at("dns-policy", "/spec/egress/0/ports")).len(), 2);
        for deployment in environment.of(Kind::Deployment) {
            let api = permits(&environment, deployment, to_outside, None, 6443);
            let token = pod(deployment)["spec"]["automountServiceAccountToken"] == true;
            let has_database = deployment.key.as_str() == "workload" && environment.spec.database.is_some();
            assert_eq!(api, token || has_database, "{}: {}", environment.name, deployment.key);
        }
    }
}
