//! Which pod answers an HTTP request from outside: that behind a node port, and
//! behind an ingress controller that to which an Ingress leads.

use crate::cluster::Cluster;
use crate::controllers::endpoints::target_port;
use crate::controllers::pods::is_ready;
use crate::kind::Kind;
use crate::store::key;
use crate::value::{at, is_deleting, items, name, namespace, number, text};
use serde_json::Value;

/// The container that serves a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Image of the container that has the port, or of the first container.
    pub image: String,
    /// Port of the container.
    pub port: u16,
}

impl HttpTarget {
    /// Whether it passes requests on to where Ingresses lead. That is told from
    /// the image: of ingress controllers, Traefik is known.
    #[must_use]
    pub fn is_ingress_controller(&self) -> bool {
        let name = self.image.split(['@', ':']).next().unwrap_or_default();
        name.rsplit('/').next() == Some("traefik")
    }
}

impl Cluster {
    /// The ready pod that answers a request for the root of a host, if any. It is
    /// the ingress controller itself where no Ingress is about the host.
    #[must_use]
    pub fn http_answer(&self, node_port: u16, host: &str) -> Option<HttpTarget> {
        let has_port = |port: &&Value| number(port, "nodePort") == i64::from(node_port);
        let target = self
            .store
            .all(Kind::Service)
            .filter(|service| !is_deleting(service))
            .find_map(|service| Some((service, items(service, "spec.ports").iter().find(has_port)?)))
            .and_then(|(service, port)| self.target(service, port))?;
        match target.is_ingress_controller() {
            true => Some(self.behind_ingress(host).unwrap_or(target)),
            false => Some(target),
        }
    }

    /// The ready pod behind a port of a service.
    fn target(&self, service: &Value, port: &Value) -> Option<HttpTarget> {
        let pods = self.selected_pods(service);
        let pod = pods.iter().find(|pod| is_ready(pod) && !is_deleting(pod))?;
        let target = target_port(port, pod)?;
        let containers = items(pod, "spec.containers");
        let has_port = |container: &&Value| {
            items(container, "ports").iter().any(|port| number(port, "containerPort") == i64::from(target))
        };
        let container = containers.iter().find(has_port).or_else(|| containers.first())?;
        Some(HttpTarget {
            namespace: namespace(pod).to_owned(),
            pod: name(pod).to_owned(),
            image: text(container, "image").to_owned(),
            port: target,
        })
    }

    /// The pod to which the first rule leads that is about the root of a host; a
    /// rule without a host is about every one.
    fn behind_ingress(&self, host: &str) -> Option<HttpTarget> {
        let ingresses = self.store.all(Kind::Ingress).filter(|ingress| !is_deleting(ingress));
        ingresses
            .flat_map(|ingress| items(ingress, "spec.rules").iter().map(move |rule| (ingress, rule)))
            .filter(|(_, rule)| ["", host].contains(&text(rule, "host")))
            .flat_map(|(ingress, rule)| items(rule, "http.paths").iter().map(move |path| (ingress, path)))
            .filter(|(_, path)| ["", "/"].contains(&text(path, "path")))
            .find_map(|(ingress, path)| self.backend(namespace(ingress), at(path, "backend.service")))
    }

    fn backend(&self, space: &str, backend: &Value) -> Option<HttpTarget> {
        let service = self.store.get(Kind::Service, &key(space, text(backend, "name")))?;
        let ports = items(service, "spec.ports");
        let port = ports.iter().find(|port| match text(backend, "port.name") {
            "" => number(port, "port") == number(backend, "port.number"),
            wanted => text(port, "name") == wanted,
        });
        self.target(service, port?)
    }
}
