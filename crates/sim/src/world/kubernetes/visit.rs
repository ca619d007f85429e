//! Visits from the internet: a request to the address of a load balancer or a
//! machine reaches the pod behind it, if the security groups let it through.

use crate::world::kinds::instance;
use crate::world::request::authority;
use crate::world::{Kind, Object, Outcome, World, ids_in};
use bytes::Bytes;
use exokit_kube_sim::HttpTarget;
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

/// The addresses that simulated machines and load balancers have: those that are
/// set aside for measurements between networks.
pub(crate) fn is_simulated(host: &str) -> bool {
    host.starts_with("198.18.") || host.starts_with("198.19.")
}

impl World {
    /// Answers a request from the internet; unreachable where nothing listens.
    pub(in crate::world) fn visit(&mut self, request: &Request<Bytes>) -> Outcome {
        let authority = authority(request);
        let (host, port) = authority.split_once(':').unwrap_or((&authority, "80"));
        let Ok(port) = port.parse() else { return Outcome::Unreachable };
        match self.pod_at(host, port) {
            // The host of no Ingress: what Traefik answers.
            Some(target) if target.is_ingress_controller() => {
                let mut reply = Response::new(Bytes::from_static(b"404 page not found\n"));
                *reply.status_mut() = StatusCode::NOT_FOUND;
                Outcome::Reply(reply)
            }
            // What the image that templates use by default answers.
            Some(target) => {
                let text = format!("Hello, world!\nVersion: 1.0.0\nHostname: {}\n", target.pod);
                Outcome::Reply(Response::new(Bytes::from(text)))
            }
            None => Outcome::Unreachable,
        }
    }

    /// The pod that a connection to an address reaches.
    fn pod_at(&self, address: &str, port: u16) -> Option<HttpTarget> {
        let balancers = self.all(Kind::LoadBalancer);
        let (pool, node_port) = match balancers.into_iter().find(|nlb| nlb.text("ip") == address) {
            Some(nlb) => {
                let services = nlb.items("services");
                let service = services.iter().find(|service| service["port"] == json!(port))?;
                let node_port = u16::try_from(service["target-port"].as_u64()?).ok()?;
                (service["instance-pool"]["id"].as_str()?.to_owned(), node_port)
            }
            None => {
                let machines = self.all(Kind::Instance);
                let machine = machines.into_iter().find(|machine| machine.text("public-ip") == address)?;
                (machine.parent.clone()?, port)
            }
        };
        let mut machines = instance::members(self, &pool);
        machines.find(|machine| machine.state() == "running" && self.admits(machine, node_port))?;
        let nodepool = self.find(Kind::InstancePool, &pool)?.parent.clone()?;
        let cluster = self.find(Kind::SksNodepool, &nodepool)?.parent.clone()?;
        self.clusters.get(&cluster)?.http_answer(node_port, address)
    }

    /// Whether a machine's security groups let TCP from anywhere to a port.
    fn admits(&self, machine: &Object, port: u16) -> bool {
        let groups = machine.doc.get("security-groups").unwrap_or(&Value::Null);
        let groups = ids_in(groups).into_iter().filter_map(|id| self.find(Kind::SecurityGroup, id));
        groups.flat_map(|group| group.items("rules")).any(|rule| {
            let bound = |key: &str| rule[key].as_u64().unwrap_or(0);
            rule["flow-direction"] == "ingress"
                && rule["protocol"] == "tcp"
                && rule.get("network").is_some()
                && (bound("start-port")..=bound("end-port")).contains(&u64::from(port))
        })
    }
}
