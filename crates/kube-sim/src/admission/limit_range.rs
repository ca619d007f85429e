//! Limit ranges: defaults and bounds of containers and claims.

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::quantity;
use crate::refusal::Refusal;
use crate::value::{at, entries, items, list, name, namespace, object, place, set, text};
use serde_json::{Value, json};

/// Fills in what a limit range leaves out: defaults follow from maxima.
pub(crate) fn defaults(range: &mut Value) {
    if items(range, "spec.limits").is_empty() {
        return;
    }
    for limit in list(place(range, "spec.limits")) {
        if text(limit, "type") != "Container" {
            continue;
        }
        for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
            for (resource, amount) in at(limit, from).as_object().cloned().into_iter().flatten() {
                object(place(limit, to)).entry(resource).or_insert(amount);
            }
        }
    }
}

impl Cluster {
    /// Fills in the limits and requests of containers, then checks them.
    pub(crate) fn apply_limit_ranges(&self, pod: &mut Value) -> Result<(), Refusal> {
        let ranges: Vec<_> = self.store.within(Kind::LimitRange, namespace(pod)).cloned().collect();
        let limits = ranges.iter().flat_map(|range| items(range, "spec.limits"));
        for limit in limits.filter(|limit| text(limit, "type") == "Container") {
            for field in ["initContainers", "containers"] {
                let path = format!("spec.{field}");
                if items(pod, &path).is_empty() {
                    continue;
                }
                for container in list(place(pod, &path)) {
                    fill(container, limit);
                }
            }
            for container in items(pod, "spec.initContainers").iter().chain(items(pod, "spec.containers")) {
                let problems = check(at(container, "resources"), limit, "Container");
                if !problems.is_empty() {
                    return Err(Refusal::forbidden(Kind::Pod.info(), name(pod), &joined(&problems)));
                }
            }
        }
        Ok(())
    }

    /// Checks the size of a claim.
    pub(crate) fn check_claim_limits(&self, claim: &Value) -> Result<(), Refusal> {
        let ranges = self.store.within(Kind::LimitRange, namespace(claim));
        for limit in ranges.flat_map(|range| items(range, "spec.limits")) {
            if text(limit, "type") == "PersistentVolumeClaim" {
                let problems = check(at(claim, "spec.resources"), limit, "PersistentVolumeClaim");
                if !problems.is_empty() {
                    let info = Kind::PersistentVolumeClaim.info();
                    return Err(Refusal::forbidden(info, name(claim), &joined(&problems)));
                }
            }
        }
        Ok(())
    }
}

fn fill(container: &mut Value, limit: &Value) {
    let had_limits = at(container, "resources.limits").clone();
    for (from, to) in [("defaultRequest", "resources.requests"), ("default", "resources.limits")] {
        for (resource, amount) in entries(limit, from) {
            // A container that states a limit requests as much.
            let stated = had_limits.get(resource).filter(|_| from == "defaultRequest");
            let amount = stated.unwrap_or(amount).clone();
            object(place(container, to)).entry(resource).or_insert(amount);
        }
    }
    if at(container, "resources").is_null() {
        set(container, "resources", json!({}));
    }
}

fn check(resources: &Value, limit: &Value, kind: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let stated = |side: &str, resource: &str| at(resources, side).get(resource).cloned();
    for (resource, least) in entries(limit, "min") {
        match stated("requests", resource) {
            None => problems.push(format!(
                "minimum {resource} usage per {kind} is {}.  No request is specified",
                shown(least)
            )),
            Some(actual) if quantity::milli(&actual) < quantity::milli(least) => problems.push(format!(
                "minimum {resource} usage per {kind} is {}, but request is {}",
                shown(least),
                shown(&actual)
            )),
            Some(_) => {}
        }
    }
    for (resource, most) in entries(limit, "max") {
        let side = if kind == "Container" { "limits" } else { "requests" };
        match stated(side, resource) {
            None => problems.push(format!(
                "maximum {resource} usage per {kind} is {}.  No limit is specified",
                shown(most)
            )),
            Some(actual) if quantity::milli(&actual) > quantity::milli(most) => {
                let word = if side == "limits" { "limit" } else { "request" };
                problems.push(format!(
                    "maximum {resource} usage per {kind} is {}, but {word} is {}",
                    shown(most),
                    shown(&actual)
                ));
            }
            Some(_) => {}
        }
    }
    problems
}

fn joined(problems: &[String]) -> String {
    match problems {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}
