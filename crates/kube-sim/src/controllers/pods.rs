//! Pods as controllers see and make them.

use crate::cluster::Cluster;
use crate::controllers::conditions::{condition, is_true};
use crate::kind::Kind;
use crate::objects::{controller_of, controller_reference};
use crate::refusal::Refusal;
use crate::store::key_of;
use crate::time;
use crate::value::{at, is_deleting, name, namespace, set, text, uid};
use serde_json::{Value, json};
use std::sync::Arc;

/// Pods that controllers create at most, so that a mistaken number of replicas
/// costs little.
const PODS_MAX: usize = 1000;

/// Whether a pod still counts for its controller.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_deleting(pod) && !is_finished(pod)
}

/// Whether all containers of a pod have ended for good.
pub(crate) fn is_finished(pod: &Value) -> bool {
    ["Succeeded", "Failed"].contains(&text(pod, "status.phase"))
}

/// Whether a pod serves.
pub(crate) fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready")
}

/// When a pod is available: ready for this many seconds. `None` if not ready.
pub(crate) fn available_at(pod: &Value, min_ready_seconds: i64) -> Option<i64> {
    let ready = condition(pod, "Ready").filter(|ready| text(ready, "status") == "True")?;
    let since = time::parse(text(ready, "lastTransitionTime"))?;
    Some(since.saturating_add(min_ready_seconds.saturating_mul(1000)))
}

impl Cluster {
    /// The active pods that a controller owns.
    pub(crate) fn pods_of(&self, owner: &Value) -> Vec<Arc<Value>> {
        self.store
            .within(Kind::Pod, namespace(owner))
            .filter(|pod| {
                is_active(pod) && controller_of(pod).is_some_and(|owned| text(owned, "uid") == uid(owner))
            })
            .map(Arc::clone)
            .collect()
    }

    /// Creates a pod from the template of its controller, unless admission
    /// refuses it.
    pub(crate) fn create_pod(
        &mut self,
        kind: Kind,
        owner: &Value,
        change: impl FnOnce(&mut Value),
    ) -> Result<(), Refusal> {
        if self.store.all(Kind::Pod).count() >= PODS_MAX {
            let why = format!("the simulated cluster holds at most {PODS_MAX} pods");
            return Err(Refusal::forbidden(Kind::Pod.info(), "", &why));
        }
        let template = at(owner, "spec.template");
        let prefix: String = name(owner).chars().take(57).collect();
        let mut pod_name = format!("{prefix}-{}", self.rng.suffix());
        while self.store.contains(Kind::Pod, &crate::store::key(namespace(owner), &pod_name)) {
            pod_name = format!("{prefix}-{}", self.rng.suffix());
        }
        let mut pod = json!({
            "metadata": {
                "generateName": format!("{prefix}-"),
                "name": pod_name,
                "namespace": namespace(owner),
                "ownerReferences": [controller_reference(kind, owner)],
            },
            "spec": at(template, "spec"),
        });
        for field in ["labels", "annotations"] {
            if let Some(value) = at(template, "metadata").get(field) {
                set(&mut pod, &format!("metadata.{field}"), value.clone());
            }
        }
        change(&mut pod);
        self.prepare_pod(&mut pod);
        self.admit_creation(Kind::Pod, &mut pod)?;
        self.create_object(Kind::Pod, pod);
        Ok(())
    }

    /// What the server itself writes into a new pod.
    pub(crate) fn prepare_pod(&mut self, pod: &mut Value) {
        crate::defaults::apply(Kind::Pod, pod);
        if text(pod, "spec.serviceAccountName").is_empty() {
            set(pod, "spec.serviceAccountName", "default");
            set(pod, "spec.serviceAccount", "default");
        }
        crate::value::set_default(pod, "spec.priority", 0);
        crate::value::set_default(pod, "spec.preemptionPolicy", "PreemptLowerPriority");
        add_tolerations(pod);
        let class = quality_of_service(pod);
        set(pod, "status", json!({"phase": "Pending", "qosClass": class}));
        if !crate::value::items(pod, "spec.schedulingGates").is_empty() {
            let condition = json!({
                "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": null, "lastTransitionTime": crate::time::rfc3339(self.now),
            });
            set(pod, "status.conditions", json!([condition]));
        }
    }

    /// Deletes a pod by its controller.
    pub(crate) fn delete_pod(&mut self, pod: &Value) {
        self.delete_object(Kind::Pod, &key_of(pod));
    }
}

/// The tolerations that admission adds, for five minutes of a lost node.
fn add_tolerations(pod: &mut Value) {
    let tolerations = crate::value::list(crate::value::place(pod, "spec.tolerations"));
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let is_tolerated = tolerations.iter().any(|toleration| {
            [key, ""].contains(&text(toleration, "key")) && text(toleration, "effect") != "NoSchedule"
        });
        if !is_tolerated {
            tolerations.push(json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }));
        }
    }
}

/// The class of a pod by its requests and limits.
pub(crate) fn quality_of_service(pod: &Value) -> &'static str {
    let containers = crate::value::items(pod, "spec.containers");
    let of = |container: &Value, side: &str, resource: &str| {
        crate::quantity::milli(at(container, &format!("resources.{side}.{resource}")))
    };
    let has_any = containers.iter().any(|container| {
        ["requests", "limits"].iter().any(|side| ["cpu", "memory"].iter().any(|r| of(container, side, r) > 0))
    });
    let is_guaranteed = containers.iter().all(|container| {
        ["cpu", "memory"].iter().all(|resource| {
            let limit = of(container, "limits", resource);
            limit > 0 && limit == of(container, "requests", resource)
        })
    });
    match (is_guaranteed, has_any) {
        (true, _) => "Guaranteed",
        (false, true) => "Burstable",
        (false, false) => "BestEffort",
    }
}

/// What the containers of a pod request together, in thousandths. Init
/// containers run one after the other, before the others.
pub(crate) fn requests(pod: &Value, side: &str, resource: &str) -> i128 {
    let path = format!("resources.{side}");
    let of = |container: &Value| at(container, &path).get(resource).map_or(0, crate::quantity::milli);
    let all: i128 = crate::value::items(pod, "spec.containers").iter().map(of).sum();
    let first = crate::value::items(pod, "spec.initContainers").iter().map(of).max().unwrap_or(0);
    all.max(first)
}
