//! Addresses and ports of services.

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::refusal::{Cause, Refusal};
use crate::value::{at, items, list, name, number, place, remove, set, set_default, text, uid};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;

impl Cluster {
    /// Gives a service its addresses and ports.
    pub(crate) fn allocate(
        &mut self,
        kind: Kind,
        old: Option<&Value>,
        new: &mut Value,
    ) -> Result<(), Refusal> {
        if kind != Kind::Service {
            return Ok(());
        }
        if let Some(old) = old {
            drop_fields_of_type(old, new);
        }
        set_families(new);
        self.allocate_address(old, new)?;
        self.allocate_ports(old, new)
    }

    fn allocate_address(&mut self, old: Option<&Value>, new: &mut Value) -> Result<(), Refusal> {
        if text(new, "spec.type") == "ExternalName" {
            for field in ["spec.clusterIP", "spec.clusterIPs"] {
                remove(new, field);
            }
            return Ok(());
        }
        let before = old.map_or("", |old| text(old, "spec.clusterIP"));
        let mut wanted = text(new, "spec.clusterIP").to_owned();
        if wanted.is_empty() {
            wanted = before.to_owned();
        }
        if !before.is_empty() && wanted != before {
            let value = json!([wanted]);
            let cause = Cause::invalid("spec.clusterIPs[0]", &value, "may not change once set");
            return Err(Refusal::invalid(Kind::Service.info(), name(new), &[cause]));
        }
        if wanted.is_empty() {
            wanted = self.new_service_address();
        } else if before.is_empty() && wanted != "None" {
            let is_taken = self.store.all(Kind::Service).any(|other| text(other, "spec.clusterIP") == wanted);
            let is_address = wanted.parse::<std::net::IpAddr>().is_ok();
            if is_taken || !is_address {
                let why = match is_address {
                    true => "failed to allocate IP: provided IP is already allocated",
                    false => "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                };
                let cause = Cause::invalid("spec.clusterIPs", &json!([wanted]), why);
                return Err(Refusal::invalid(Kind::Service.info(), name(new), &[cause]));
            }
        }
        set(new, "spec.clusterIPs", json!([wanted]));
        set(new, "spec.clusterIP", wanted);
        Ok(())
    }

    fn new_service_address(&mut self) -> String {
        loop {
            self.addresses.services = self.addresses.services % 0x000F_FFF0 + 1;
            let number = self.addresses.services;
            let address = format!("10.{}.{}.{}", 96 + (number >> 16), (number >> 8) & 255, number & 255);
            if !self.store.all(Kind::Service).any(|other| text(other, "spec.clusterIP") == address) {
                return address;
            }
        }
    }

    fn allocate_ports(&mut self, old: Option<&Value>, new: &mut Value) -> Result<(), Refusal> {
        let has_ports = match text(new, "spec.type") {
            "NodePort" => true,
            "LoadBalancer" => at(new, "spec.allocateLoadBalancerNodePorts") != false,
            _ => false,
        };
        if items(new, "spec.ports").is_empty() {
            return Ok(());
        }
        let own = old.map_or("", uid);
        let mut taken: BTreeSet<(i64, String)> = BTreeSet::new();
        for service in self.store.all(Kind::Service).filter(|service| own.is_empty() || uid(service) != own) {
            // A port of another service is taken for every protocol.
            let numbers = items(service, "spec.ports").iter().map(|port| number(port, "nodePort"));
            taken.extend(numbers.flat_map(|port| ["TCP", "UDP", "SCTP"].map(|name| (port, name.to_owned()))));
        }
        let old_ports = old.map_or(&[][..], |old| items(old, "spec.ports"));
        let was_allocated = old.is_some_and(|old| text(old, "spec.type") != "ClusterIP");
        let mut causes = Vec::new();
        let mut ports = items(new, "spec.ports").to_vec();
        for (place_, port) in ports.iter_mut().enumerate() {
            if !has_ports {
                // A service that becomes internal gives its ports back.
                if was_allocated || number(port, "nodePort") == 0 {
                    remove(port, "nodePort");
                }
                continue;
            }
            if number(port, "nodePort") == 0
                && let Some(same) = old_ports.iter().find(|old| is_same_port(old, port))
            {
                let before = number(same, "nodePort");
                set(port, "nodePort", before);
            }
            if number(port, "nodePort") == 0 {
                continue;
            }
            let field = format!("spec.ports[{place_}].nodePort");
            let value = at(port, "nodePort").clone();
            if !PORTS.contains(&number(port, "nodePort")) {
                let why = "provided port is not in the valid range. The range of valid ports is 30000-32767";
                causes.push(Cause::invalid(&field, &value, why));
            } else if !taken.insert(port_key(port)) {
                causes.push(Cause::invalid(&field, &value, "provided port is already allocated"));
            }
        }
        if !causes.is_empty() {
            return Err(Refusal::invalid(Kind::Service.info(), name(new), &causes));
        }
        if has_ports {
            self.draw_ports(&mut ports, &mut taken);
        }
        *list(place(new, "spec.ports")) = ports;
        Ok(())
    }

    /// Gives a free port to each port without one.
    fn draw_ports(&mut self, ports: &mut [Value], taken: &mut BTreeSet<(i64, String)>) {
        for port in ports.iter_mut().filter(|port| number(port, "nodePort") == 0) {
            let span = PORTS.end() - PORTS.start() + 1;
            let first = i64::try_from(self.rng.next() % 2768).unwrap_or(0);
            for step in 0..span {
                let candidate = PORTS.start() + (first + step) % span;
                set(port, "nodePort", candidate);
                if taken.insert(port_key(port)) {
                    break;
                }
            }
        }
    }
}

/// Removes what belongs to the type that a service had before.
fn drop_fields_of_type(old: &Value, new: &mut Value) {
    let kind = text(new, "spec.type").to_owned();
    if text(old, "spec.type") == kind {
        return;
    }
    if !["NodePort", "LoadBalancer"].contains(&kind.as_str()) {
        remove(new, "spec.externalTrafficPolicy");
    }
    if kind == "ExternalName" {
        for field in ["internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy"] {
            remove(new, &format!("spec.{field}"));
        }
    }
}

/// The families of addresses. Without a selector, a headless service has both,
/// because nobody knows what its endpoints will be.
fn set_families(service: &mut Value) {
    if text(service, "spec.type") == "ExternalName" {
        return;
    }
    let is_open = text(service, "spec.clusterIP") == "None" && at(service, "spec.selector").is_null();
    let (families, policy) = match is_open {
        true => (json!(["IPv4", "IPv6"]), "RequireDualStack"),
        false => (json!(["IPv4"]), "SingleStack"),
    };
    set_default(service, "spec.ipFamilies", families);
    set_default(service, "spec.ipFamilyPolicy", policy);
}

fn port_key(port: &Value) -> (i64, String) {
    (number(port, "nodePort"), text(port, "protocol").to_owned())
}

/// Whether two ports are one to the server, which goes by their names alone.
fn is_same_port(a: &Value, b: &Value) -> bool {
    text(a, "name") == text(b, "name")
}
