//! The cloud controller: load balancers of services.

use crate::cloud::{CloudCall, LoadBalancerPort};
use crate::cluster::Cluster;
use crate::controllers::cloud_state::LoadBalancer;
use crate::kind::Kind;
use crate::objects::{add_finalizer, remove_finalizer};
use crate::store::key_of;
use crate::value::{at, entry, is_deleting, items, number, object, place, remove, set, text, uid};
use serde_json::{Value, json};

const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
/// Prefix of the annotations of the cloud controller.
const ANNOTATION: &str = "service.beta.kubernetes.io/exoscale-loadbalancer-";

impl Cluster {
    /// Has the load balancer of a service created, changed or deleted.
    pub(crate) fn reconcile_service(&mut self, key: &str) {
        let Some(service) = self.store.get(Kind::Service, key).cloned() else {
            return;
        };
        if self.cloud.load_balancers.get(uid(&service)).is_some_and(|balancer| balancer.in_flight) {
            return;
        }
        let is_wanted = text(&service, "spec.type") == "LoadBalancer" && !is_deleting(&service);
        if is_wanted {
            self.ensure_load_balancer(key, &service);
        } else {
            self.release_load_balancer(key, &service);
        }
    }

    fn ensure_load_balancer(&mut self, key: &str, service: &Value) {
        if !text(service, "spec.loadBalancerClass").is_empty() || !self.has_ready_node() {
            return;
        }
        let ports = ports(service);
        let annotation = |name: &str| {
            entry(service, "metadata.annotations", &format!("{ANNOTATION}{name}")).map(str::to_owned)
        };
        let description = annotation("description").unwrap_or_default();
        let known = self.cloud.load_balancers.get(uid(service));
        if known.is_some_and(|known| known.ports == ports && known.description == description) {
            return;
        }
        self.change_object(Kind::Service, key, |service| add_finalizer(service, FINALIZER));
        let balancer = LoadBalancer {
            service: key.to_owned(),
            ports: ports.clone(),
            description: description.clone(),
            in_flight: true,
            is_deleting: false,
        };
        self.cloud.load_balancers.insert(uid(service).to_owned(), balancer);
        self.call(CloudCall::EnsureLoadBalancer {
            service_uid: uid(service).to_owned(),
            name: annotation("name").unwrap_or_else(|| format!("k8s-{}", uid(service))),
            description,
            ports,
        });
    }

    fn release_load_balancer(&mut self, key: &str, service: &Value) {
        match self.cloud.load_balancers.get_mut(uid(service)) {
            Some(balancer) => {
                balancer.in_flight = true;
                balancer.is_deleting = true;
                self.call(CloudCall::DeleteLoadBalancer { service_uid: uid(service).to_owned() });
            }
            None => self.change_object(Kind::Service, key, |service| remove_finalizer(service, FINALIZER)),
        }
    }

    /// The load balancer has the requested ports.
    pub(crate) fn load_balancer_ready(&mut self, service_uid: &str, id: &str, address: &str) {
        let Some(balancer) = self.cloud.load_balancers.get_mut(service_uid).filter(|b| !b.is_deleting) else {
            return;
        };
        balancer.in_flight = false;
        let key = balancer.service.clone();
        self.change_object(Kind::Service, &key, |service| {
            if uid(service) == service_uid && !is_deleting(service) {
                let annotations = object(place(service, "metadata.annotations"));
                annotations.insert(format!("{ANNOTATION}id"), json!(id));
                set(service, "status.loadBalancer.ingress", json!([{"ip": address, "ipMode": "VIP"}]));
            }
        });
        self.reconcile_service(&key);
    }

    /// The load balancer is deleted.
    pub(crate) fn load_balancer_gone(&mut self, service_uid: &str) {
        let Some(balancer) = self.cloud.load_balancers.get(service_uid).filter(|b| b.is_deleting) else {
            return;
        };
        let key = balancer.service.clone();
        self.cloud.load_balancers.remove(service_uid);
        self.change_object(Kind::Service, &key, |service| {
            if uid(service) == service_uid {
                remove_finalizer(service, FINALIZER);
                set(service, "status.loadBalancer", json!({}));
                if at(service, "metadata.annotations").is_object() {
                    object(place(service, "metadata.annotations")).remove(&format!("{ANNOTATION}id"));
                }
                if at(service, "metadata.annotations").as_object().is_some_and(serde_json::Map::is_empty) {
                    remove(service, "metadata.annotations");
                }
            }
        });
        let again = self.store.get(Kind::Service, &key).map(|service| key_of(service));
        if let Some(key) = again {
            self.reconcile_service(&key);
        }
    }
}

fn ports(service: &Value) -> Vec<LoadBalancerPort> {
    let own = uid(service);
    let of = |port: &Value, field: &str| u16::try_from(number(port, field)).unwrap_or(0);
    items(service, "spec.ports")
        .iter()
        .map(|port| {
            let is_udp = text(port, "protocol") == "UDP";
            let suffix = if is_udp { "-udp" } else { "" };
            LoadBalancerPort {
                name: format!("{own}-{}{suffix}", of(port, "port")),
                protocol: if is_udp { "udp" } else { "tcp" }.to_owned(),
                port: of(port, "port"),
                node_port: of(port, "nodePort"),
            }
        })
        .collect()
}
