//! When an object inside a cluster is ready.

use exokit_model::spec::REPLICAS_AT_LEAST;
use serde_json::Value;

use crate::Lifecycle;

fn ready_if(is_ready: bool) -> Lifecycle {
    if is_ready { Lifecycle::Ready } else { Lifecycle::Pending }
}

fn number(raw: &Value, pointer: &str) -> Option<i64> {
    raw.pointer(pointer).and_then(Value::as_i64)
}

/// What is there is ready.
pub(super) fn present(_: &Value) -> Lifecycle {
    Lifecycle::Ready
}

/// A namespace takes objects while it is active.
pub(super) fn namespace(raw: &Value) -> Lifecycle {
    match raw.pointer("/status/phase").and_then(Value::as_str) {
        Some("Terminating") => Lifecycle::Deleting,
        _ => Lifecycle::Ready,
    }
}

/// A claim waits for the first pod that uses it; that it lost its volume is
/// final.
pub(super) fn claim(raw: &Value) -> Lifecycle {
    match raw.pointer("/status/phase").and_then(Value::as_str) {
        Some("Lost") => Lifecycle::Failed,
        _ => Lifecycle::Ready,
    }
}

/// All pods are of the newest form, and available. The same condition as
/// `kubectl rollout status`, but where an autoscaler controls the number, its
/// minimum counts as well: it may not have begun.
pub(super) fn deployment(raw: &Value) -> Lifecycle {
    let status = |field: &str| number(raw, &format!("/status/{field}")).unwrap_or(0);
    let wanted = number(raw, "/spec/replicas").unwrap_or(1).max(least(raw));
    let seen = status("observedGeneration") >= number(raw, "/metadata/generation").unwrap_or(1);
    let updated = status("updatedReplicas");
    let is_ready = seen
        && updated >= wanted
        && status("replicas") <= updated
        && status("availableReplicas") >= updated.max(wanted);
    ready_if(is_ready)
}

fn least(raw: &Value) -> i64 {
    let annotation = raw.pointer("/metadata/annotations").and_then(|all| all.get(REPLICAS_AT_LEAST));
    annotation.and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A service with a load balancer waits for its address.
pub(super) fn service(raw: &Value) -> Lifecycle {
    let needs_balancer = raw.pointer("/spec/type").and_then(Value::as_str) == Some("LoadBalancer");
    ready_if(!needs_balancer || raw.pointer("/status/loadBalancer/ingress/0").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_ready_when_the_controllers_say_so() {
        let deployment = |status: Value| {
            super::deployment(
                &json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status}),
            )
        };
        let whole =
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(deployment(whole.clone()), Lifecycle::Ready);
        for (field, value) in
            [("observedGeneration", 1), ("updatedReplicas", 1), ("availableReplicas", 1), ("replicas", 3)]
        {
            let mut status = whole.clone();
            status[field] = json!(value);
            assert_eq!(deployment(status), Lifecycle::Pending, "{field}");
        }
        assert_eq!(deployment(json!({})), Lifecycle::Pending);

        let scaled = |at_least: &str, pods: u64| {
            super::deployment(&json!({
                "metadata": {"generation": 1, "annotations": {"stargate.io/replicas-at-least": at_least}},
                "spec": {"replicas": pods},
                "status": {
                    "observedGeneration": 1, "replicas": pods, "updatedReplicas": pods, "availableReplicas": pods,
                },
            }))
        };
        assert_eq!(scaled("2", 1), Lifecycle::Pending, "the autoscaler has not begun");
        assert_eq!([scaled("2", 2), scaled("2", 3), scaled("-", 1)], [Lifecycle::Ready; 3]);

        let balancer = json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}});
        assert_eq!(service(&balancer), Lifecycle::Pending);
        let address = json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}});
        assert_eq!(service(&address), Lifecycle::Ready);
        assert_eq!(service(&json!({"spec": {"type": "ClusterIP"}})), Lifecycle::Ready);

        assert_eq!(claim(&json!({"status": {"phase": "Pending"}})), Lifecycle::Ready);
        assert_eq!(claim(&json!({"status": {"phase": "Lost"}})), Lifecycle::Failed);
        assert_eq!(namespace(&json!({"status": {"phase": "Terminating"}})), Lifecycle::Deleting);
    }
}
