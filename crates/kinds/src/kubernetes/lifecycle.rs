//! When an object inside a cluster is ready.

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
/// `kubectl rollout status`.
pub(super) fn deployment(raw: &Value) -> Lifecycle {
    let status = |field: &str| number(raw, &format!("/status/{field}")).unwrap_or(0);
    let wanted = number(raw, "/spec/replicas").unwrap_or(1);
    let seen = status("observedGeneration") >= number(raw, "/metadata/generation").unwrap_or(1);
    let updated = status("updatedReplicas");
    let is_ready = seen
        && updated >= wanted
        && status("replicas") <= updated
        && status("availableReplicas") >= updated.max(wanted);
    ready_if(is_ready)
}

/// A service with a load balancer waits for its address.
pub(super) fn service(raw: &Value) -> Lifecycle {
    let needs_balancer = raw.pointer("/spec/type").and_then(Value::as_str) == Some("LoadBalancer");
    ready_if(!needs_balancer || raw.pointer("/status/loadBalancer/ingress/0").is_some())
}

/// An autoscaler has brought what it scales to its lowest number at least.
pub(super) fn autoscaler(raw: &Value) -> Lifecycle {
    let least = number(raw, "/spec/minReplicas").unwrap_or(1);
    ready_if(number(raw, "/status/currentReplicas").unwrap_or(0) >= least)
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

        let balancer = json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}});
        assert_eq!(service(&balancer), Lifecycle::Pending);
        let address = json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}});
        assert_eq!(service(&address), Lifecycle::Ready);
        assert_eq!(service(&json!({"spec": {"type": "ClusterIP"}})), Lifecycle::Ready);

        let scaler =
            |now: u32| autoscaler(&json!({"spec": {"minReplicas": 2}, "status": {"currentReplicas": now}}));
        assert_eq!(
            [scaler(1), scaler(2), scaler(5)],
            [Lifecycle::Pending, Lifecycle::Ready, Lifecycle::Ready]
        );
        assert_eq!(claim(&json!({"status": {"phase": "Pending"}})), Lifecycle::Ready);
        assert_eq!(claim(&json!({"status": {"phase": "Lost"}})), Lifecycle::Failed);
        assert_eq!(namespace(&json!({"status": {"phase": "Terminating"}})), Lifecycle::Deleting);
    }
}
