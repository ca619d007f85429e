//! Endpoints of services.

use crate::cluster::Cluster;
use crate::controllers::pods::{is_finished, is_ready};
use crate::kind::Kind;
use crate::objects::controller_reference;
use crate::selector::{LabelSelector, labels};
use crate::store::key;
use crate::value::{at, flag, is_deleting, items, name, namespace, number, set, text, uid};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Cluster {
    /// Writes the endpoints of a service from the pods that it selects.
    pub(crate) fn reconcile_endpoints(&mut self, own: &str) {
        let service = self.store.get(Kind::Service, own).cloned();
        let (space, service_name) = crate::store::split_key(own);
        let slice_name = self.slice_name(space, service_name);
        let Some(service) = service.filter(|service| has_selector(service) && !is_deleting(service)) else {
            if self.store.get(Kind::Service, own).is_none() {
                self.remove_object(Kind::Endpoints, own);
            }
            return;
        };
        let pods = self.selected_pods(&service);
        let groups = by_ports(&service, &pods);
        let mut endpoints =
            json!({"metadata": {"name": service_name, "namespace": space, "labels": labels(&service)}});
        let subsets: Vec<Value> = groups.iter().map(|(ports, pods)| subset(ports, pods)).collect();
        if !subsets.is_empty() {
            set(&mut endpoints, "subsets", json!(subsets));
        }
        self.upsert(Kind::Endpoints, own, endpoints);
        for (number, (ports, pods)) in groups.iter().enumerate() {
            let suffix = if number == 0 { String::new() } else { format!("-{number}") };
            let slice = slice(&service, &format!("{slice_name}{suffix}"), ports, pods);
            let slice_key = key(space, &format!("{slice_name}{suffix}"));
            self.upsert(Kind::EndpointSlice, &slice_key, slice);
        }
        if groups.is_empty() {
            let slice_key = key(space, &slice_name);
            self.upsert(Kind::EndpointSlice, &slice_key, slice(&service, &slice_name, &json!([]), &[]));
        }
        for number in groups.len().max(1).. {
            let surplus = key(space, &format!("{slice_name}-{number}"));
            if !self.store.contains(Kind::EndpointSlice, &surplus) {
                break;
            }
            self.remove_object(Kind::EndpointSlice, &surplus);
        }
    }

    fn slice_name(&self, space: &str, service: &str) -> String {
        let hash: String = crate::rng::name_hash(&key(space, service)).chars().take(5).collect();
        format!("{service}-{hash}")
    }

    /// Creates an object of a controller or replaces its fields.
    fn upsert(&mut self, kind: Kind, own: &str, mut object: Value) {
        if !self.store.contains(kind, own) {
            self.create_object(kind, object);
            return;
        }
        self.change_object(kind, own, |stored| {
            let Some(fields) = object.as_object_mut() else {
                return;
            };
            fields.remove("metadata");
            if !fields.contains_key("subsets") {
                crate::value::remove(stored, "subsets");
            }
            for (field, value) in std::mem::take(fields) {
                set(stored, &field, value);
            }
        });
    }

    /// The pods of a service that have an address, ready or not.
    pub(crate) fn selected_pods(&self, service: &Value) -> Vec<Arc<Value>> {
        let selector = LabelSelector::of_map(at(service, "spec.selector"));
        self.store
            .within(Kind::Pod, namespace(service))
            .filter(|pod| {
                selector.selects(labels(pod)) && !text(pod, "status.podIP").is_empty() && !is_finished(pod)
            })
            .cloned()
            .collect()
    }
}

fn has_selector(service: &Value) -> bool {
    at(service, "spec.selector").as_object().is_some_and(|selector| !selector.is_empty())
        && text(service, "spec.type") != "ExternalName"
}

/// The port of the container that a port of a service leads to.
pub(crate) fn target_port(port: &Value, pod: &Value) -> Option<u16> {
    match at(port, "targetPort") {
        Value::String(wanted) => items(pod, "spec.containers")
            .iter()
            .flat_map(|container| items(container, "ports"))
            .find(|port| text(port, "name") == wanted)
            .and_then(|port| u16::try_from(number(port, "containerPort")).ok()),
        Value::Number(number) => u16::try_from(number.as_i64()?).ok().filter(|port| *port > 0),
        _ => u16::try_from(number(port, "port")).ok(),
    }
}

/// The pods by the ports that they have for the service: a named target port
/// may differ between pods, or be absent.
fn by_ports<'a>(service: &Value, pods: &'a [Arc<Value>]) -> Vec<(Value, Vec<&'a Value>)> {
    let mut groups: BTreeMap<String, (Value, Vec<&'a Value>)> = BTreeMap::new();
    for pod in pods {
        let ports: Vec<Value> = items(service, "spec.ports")
            .iter()
            .filter_map(|port| {
                let target = target_port(port, pod)?;
                let mut out = json!({"port": target, "protocol": text(port, "protocol")});
                if !text(port, "name").is_empty() {
                    set(&mut out, "name", text(port, "name"));
                }
                if !text(port, "appProtocol").is_empty() {
                    set(&mut out, "appProtocol", text(port, "appProtocol"));
                }
                Some(out)
            })
            .collect();
        let has_ports = !ports.is_empty() || items(service, "spec.ports").is_empty();
        if has_ports {
            let ports = json!(ports);
            groups.entry(ports.to_string()).or_insert_with(|| (ports, Vec::new())).1.push(pod);
        }
    }
    groups.into_values().collect()
}

fn target_reference(pod: &Value) -> Value {
    json!({"kind": "Pod", "namespace": namespace(pod), "name": name(pod), "uid": uid(pod)})
}

fn subset(ports: &Value, pods: &[&Value]) -> Value {
    let address = |pod: &&Value| {
        json!({
            "ip": text(pod, "status.podIP"), "nodeName": text(pod, "spec.nodeName"), "targetRef": target_reference(pod),
        })
    };
    let is_serving = |pod: &&&Value| is_ready(pod) && !is_deleting(pod);
    let ready: Vec<Value> = pods.iter().filter(is_serving).map(address).collect();
    let other: Vec<Value> =
        pods.iter().filter(|pod| !is_ready(pod) && !is_deleting(pod)).map(address).collect();
    let mut subset = json!({"ports": ports});
    for (field, addresses) in [("addresses", ready), ("notReadyAddresses", other)] {
        if !addresses.is_empty() {
            set(&mut subset, field, json!(addresses));
        }
    }
    subset
}

fn slice(service: &Value, slice_name: &str, ports: &Value, pods: &[&Value]) -> Value {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let serving = is_ready(pod);
            let terminating = is_deleting(pod);
            let ready = (serving && !terminating) || flag(service, "spec.publishNotReadyAddresses");
            json!({
                "addresses": [text(pod, "status.podIP")],
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
                "nodeName": text(pod, "spec.nodeName"),
                "targetRef": target_reference(pod),
            })
        })
        .collect();
    let mut labels = labels(service).clone();
    let map = crate::value::object(&mut labels);
    map.insert("endpointslice.kubernetes.io/managed-by".to_owned(), json!("endpointslice-controller.k8s.io"));
    map.insert("kubernetes.io/service-name".to_owned(), json!(name(service)));
    json!({
        "metadata": {
            "name": slice_name, "namespace": namespace(service), "generateName": format!("{}-", name(service)),
            "labels": labels, "ownerReferences": [controller_reference(Kind::Service, service)],
        },
        "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    })
}
