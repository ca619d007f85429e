//! The subresource `scale`.

use super::body::{self, Answer};
use super::call::Call;
use super::patch;
use super::route::Target;
use crate::apply::{Writer, track_update};
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::refusal::{Cause, Refusal};
use crate::value::{at, entries, number, set, text};
use serde_json::{Value, json};

impl Cluster {
    /// Answers a request for the scale of an object.
    pub(crate) fn answer_scale(
        &mut self,
        call: &Call<'_>,
        target: &Target,
        verb: &str,
    ) -> Result<Answer, Refusal> {
        let info = target.kind.info();
        let old = self.store.get(target.kind, &target.key()).cloned();
        let old = old.ok_or_else(|| Refusal::not_found(info, target.name()))?;
        let current = scale_of(&old);
        let wanted = match verb {
            "get" => return Ok(Answer::object(200, current)),
            "update" => body::read(call, self.schema(), "Scale")?,
            _ => {
                let changes = body::patch(call.request.body())?;
                let mut patched = current;
                match changes.is_array() {
                    true => patch::json_patch(&mut patched, &changes)?,
                    false => patch::merge(&mut patched, &changes),
                }
                patched
            }
        };
        let version = text(&wanted, "metadata.resourceVersion");
        if !version.is_empty() && version != text(&old, "metadata.resourceVersion") {
            return Err(Refusal::stale(info, target.name()));
        }
        let replicas = number(&wanted, "spec.replicas");
        if !(0..=i64::from(i32::MAX)).contains(&replicas) {
            let cause =
                Cause::invalid("spec.replicas", &json!(replicas), "must be greater than or equal to 0");
            return Err(Refusal::invalid_scale(target.name(), &cause));
        }
        let mut new = Value::clone(&old);
        set(&mut new, "spec.replicas", replicas);
        let writer = self.writer(call, target);
        track_update(self.schema(), target.kind, Some(&old), &mut new, &writer);
        if call.query.is_dry_run() {
            return Ok(Answer::object(200, scale_of(&new)));
        }
        let stored = self.replace_object(target.kind, &old, new);
        Ok(Answer::object(200, scale_of(&stored)))
    }

    /// Records that a controller has scaled an object.
    pub(crate) fn track_scale(&self, kind: Kind, old: &Value, new: &mut Value, manager: &str) {
        let writer = Writer {
            manager: manager.to_owned(),
            subresource: "scale".to_owned(),
            api_version: kind.info().api_version(),
            now: self.now,
        };
        track_update(self.schema(), kind, Some(old), new, &writer);
    }
}

fn scale_of(object: &Value) -> Value {
    let labels: Vec<String> = entries(object, "spec.selector.matchLabels")
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let metadata = at(object, "metadata");
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": at(metadata, "name"), "namespace": at(metadata, "namespace"), "uid": at(metadata, "uid"),
            "resourceVersion": at(metadata, "resourceVersion"), "creationTimestamp": at(metadata, "creationTimestamp"),
        },
        // Go leaves a number out that is zero.
        "spec": match number(object, "spec.replicas") { 0 => json!({}), replicas => json!({"replicas": replicas}) },
        "status": {"replicas": number(object, "status.replicas"), "selector": labels.join(",")},
    })
}
