//! Resource quotas.

use crate::cluster::Cluster;
use crate::controllers::pods::{is_finished, requests};
use crate::kind::Kind;
use crate::quantity;
use crate::refusal::Refusal;
use crate::value::{at, entries, items, name, namespace, text};
use serde_json::Value;
use std::collections::BTreeMap;

/// The kinds that quotas count.
pub(crate) const COUNTED: [Kind; 6] =
    [Kind::Pod, Kind::Service, Kind::PersistentVolumeClaim, Kind::ConfigMap, Kind::Secret, Kind::Deployment];

/// What one object counts for, in thousandths, by resource.
pub(crate) fn usage_of(kind: Kind, object: &Value) -> Vec<(String, i128)> {
    let one = 1000;
    let info = kind.info();
    let mut used = vec![(format!("count/{}", info.qualified()), one)];
    match kind {
        Kind::Pod if is_finished(object) => used.clear(),
        Kind::Pod => {
            used.push(("pods".to_owned(), one));
            for resource in ["cpu", "memory", "ephemeral-storage"] {
                let requested = requests(object, "requests", resource);
                used.push((resource.to_owned(), requested));
                used.push((format!("requests.{resource}"), requested));
                used.push((format!("limits.{resource}"), requests(object, "limits", resource)));
            }
        }
        Kind::Service => {
            used.push(("services".to_owned(), one));
            let ports = i128::try_from(items(object, "spec.ports").len()).unwrap_or(0) * one;
            match text(object, "spec.type") {
                "LoadBalancer" => {
                    used.push(("services.loadbalancers".to_owned(), one));
                    if at(object, "spec.allocateLoadBalancerNodePorts") != false {
                        used.push(("services.nodeports".to_owned(), ports));
                    }
                }
                "NodePort" => used.push(("services.nodeports".to_owned(), ports)),
                _ => {}
            }
        }
        Kind::PersistentVolumeClaim => {
            let size = quantity::milli(at(object, "spec.resources.requests.storage"));
            used.push(("persistentvolumeclaims".to_owned(), one));
            used.push(("requests.storage".to_owned(), size));
            let class = text(object, "spec.storageClassName");
            if !class.is_empty() {
                let prefix = format!("{class}.storageclass.storage.k8s.io");
                used.push((format!("{prefix}/requests.storage"), size));
                used.push((format!("{prefix}/persistentvolumeclaims"), one));
            }
        }
        _ => used.push((info.plural.to_owned(), one)),
    }
    used
}

impl Cluster {
    /// Refuses an object that would exceed a quota of its namespace.
    pub(crate) fn check_quotas(&self, kind: Kind, old: Option<&Value>, new: &Value) -> Result<(), Refusal> {
        if !COUNTED.contains(&kind) {
            return Ok(());
        }
        let mut quotas = self.store.within(Kind::ResourceQuota, namespace(new)).peekable();
        if quotas.peek().is_none() {
            return Ok(());
        }
        let mut wanted: BTreeMap<String, i128> = usage_of(kind, new).into_iter().collect();
        for (resource, amount) in old.map(|old| usage_of(kind, old)).unwrap_or_default() {
            *wanted.entry(resource).or_default() -= amount;
        }
        let used = self.usage(namespace(new));
        for quota in quotas {
            check_specified(kind, new, quota)?;
            let mut exceeded: Vec<(&str, i128, i128, i128)> = Vec::new();
            for (resource, hard) in entries(quota, "spec.hard") {
                let more = wanted.get(resource).copied().unwrap_or(0);
                let (before, most) = (used.get(resource).copied().unwrap_or(0), quantity::milli(hard));
                if more > 0 && before + more > most {
                    exceeded.push((resource, more, before, most));
                }
            }
            if !exceeded.is_empty() {
                return Err(Refusal::forbidden(
                    kind.info(),
                    name(new),
                    &exceeded_text(name(quota), &exceeded),
                ));
            }
        }
        Ok(())
    }
}

/// A quota of requests or limits demands that each container states them.
fn check_specified(kind: Kind, pod: &Value, quota: &Value) -> Result<(), Refusal> {
    if kind != Kind::Pod {
        return Ok(());
    }
    let mut missing: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for container in items(pod, "spec.initContainers").iter().chain(items(pod, "spec.containers")) {
        let mut absent: Vec<&str> = Vec::new();
        for (resource, _) in entries(quota, "spec.hard") {
            let (side, plain) = match resource.split_once('.') {
                Some(("limits", plain)) => ("limits", plain),
                Some(("requests", plain)) => ("requests", plain),
                _ => ("requests", resource),
            };
            let is_compute = ["cpu", "memory", "ephemeral-storage"].contains(&plain);
            let stated = at(container, &format!("resources.{side}")).get(plain);
            if is_compute && stated.is_none_or(Value::is_null) {
                absent.push(resource);
            }
        }
        if !absent.is_empty() {
            missing.entry(absent.join(",")).or_default().push(text(container, "name"));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let parts: Vec<String> = missing
        .iter()
        .flat_map(|(resources, containers)| {
            resources.split(',').map(|r| format!("{r} for: {}", containers.join(",")))
        })
        .collect();
    let why = format!("failed quota: {}: must specify {}", name(quota), parts.join("; "));
    Err(Refusal::forbidden(kind.info(), name(pod), &why))
}

fn exceeded_text(quota: &str, exceeded: &[(&str, i128, i128, i128)]) -> String {
    let list = |amount: fn(&(&str, i128, i128, i128)) -> i128| {
        let parts: Vec<String> = exceeded
            .iter()
            .map(|entry| format!("{}={}", entry.0, format_amount(entry.0, amount(entry))))
            .collect();
        parts.join(",")
    };
    format!(
        "exceeded quota: {quota}, requested: {}, used: {}, limited: {}",
        list(|entry| entry.1),
        list(|entry| entry.2),
        list(|entry| entry.3)
    )
}

/// An amount as quotas show it.
pub(crate) fn format_amount(resource: &str, milli: i128) -> String {
    if resource.ends_with("memory") || resource.ends_with("storage") {
        quantity::format_bytes(milli)
    } else {
        quantity::format_milli(milli)
    }
}
