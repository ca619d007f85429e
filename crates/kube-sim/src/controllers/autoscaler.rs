//! Horizontal pod autoscalers, with simulated metrics: pods use half of what
//! they request.

use crate::cluster::Cluster;
use crate::controllers::conditions::set_condition;
use crate::controllers::pods::{is_active, requests};
use crate::kind::Kind;
use crate::quantity::format_milli;
use crate::selector::{LabelSelector, labels};
use crate::time::rfc3339;
use crate::value::{at, is_deleting, items, namespace, number, set, text};
use serde_json::{Value, json};
use std::sync::Arc;

/// The share of requested CPU and memory that pods use, in percent.
pub(crate) const USE_PERCENT: i128 = 50;

impl Cluster {
    /// Scales the target of an autoscaler and writes its status.
    pub(crate) fn reconcile_autoscaler(&mut self, key: &str) {
        let Some(autoscaler) = self.store.get(Kind::HorizontalPodAutoscaler, key).cloned() else {
            return;
        };
        if is_deleting(&autoscaler) {
            return;
        }
        let now = self.now;
        let Some((kind, target_key, target)) = self.scale_target(&autoscaler) else {
            self.change_object(Kind::HorizontalPodAutoscaler, key, |autoscaler| {
                let message = "the HPA controller was unable to get the target's current scale";
                set_condition(autoscaler, now, "AbleToScale", false, "FailedGetScale", message);
            });
            return;
        };
        let selector = LabelSelector::of(at(&target, "spec.selector"));
        let pods: Vec<Arc<Value>> = self
            .store
            .within(Kind::Pod, namespace(&target))
            .filter(|pod| is_active(pod) && selector.selects(labels(pod)))
            .cloned()
            .collect();
        let current = number(&target, "spec.replicas");
        let (metrics, proposals) = evaluate(&autoscaler, &pods, current);
        let has_metrics = !metrics.is_empty();
        let least = number(&autoscaler, "spec.minReplicas").max(1);
        let most = number(&autoscaler, "spec.maxReplicas").max(least);
        // A target scaled to zero by hand is left alone.
        let wanted = proposals.into_iter().max().unwrap_or(current);
        let desired = if current == 0 { 0 } else { wanted.clamp(least, most) };
        if desired != current {
            self.scale_target_to(kind, &target_key, desired);
        }
        self.change_object(Kind::HorizontalPodAutoscaler, key, |autoscaler| {
            let pods = i64::try_from(pods.len()).unwrap_or(i64::MAX);
            set(autoscaler, "status.currentReplicas", pods.max(0));
            set(autoscaler, "status.desiredReplicas", desired);
            if desired != current {
                set(autoscaler, "status.lastScaleTime", rfc3339(now));
            }
            if has_metrics {
                set(autoscaler, "status.currentMetrics", json!(metrics));
            }
            write_conditions(autoscaler, now, has_metrics, current, wanted, (least, most));
        });
    }

    fn scale_target(&self, autoscaler: &Value) -> Option<(Kind, String, Arc<Value>)> {
        let reference = at(autoscaler, "spec.scaleTargetRef");
        let kind = Kind::by_name(text(reference, "apiVersion"), text(reference, "kind"))?;
        let own = crate::store::key(namespace(autoscaler), text(reference, "name"));
        let target = self.store.get(kind, &own).filter(|_| kind.info().has_scale)?;
        Some((kind, own, Arc::clone(target)))
    }

    /// Scales as the real controller does: through the `scale` subresource.
    fn scale_target_to(&mut self, kind: Kind, key: &str, replicas: i64) {
        let Some(old) = self.store.get(kind, key).cloned() else {
            return;
        };
        let mut new = Value::clone(&old);
        set(&mut new, "spec.replicas", replicas);
        self.track_scale(kind, &old, &mut new, "kube-controller-manager");
        self.replace_object(kind, &old, new);
    }
}

/// The current metrics, and the replicas that each proposes.
fn evaluate(autoscaler: &Value, pods: &[Arc<Value>], current: i64) -> (Vec<Value>, Vec<i64>) {
    let (mut shown, mut proposals) = (Vec::new(), Vec::new());
    for metric in items(autoscaler, "spec.metrics") {
        let resource = text(metric, "resource.name");
        let requested: i128 = pods.iter().map(|pod| requests(pod, "requests", resource)).sum();
        let count = i128::try_from(pods.len()).unwrap_or(1);
        if text(metric, "type") != "Resource" || requested == 0 || count == 0 {
            continue;
        }
        let average = requested * USE_PERCENT / 100 / count;
        let value = if resource == "memory" { (average / 1000).to_string() } else { format_milli(average) };
        let mut status = json!({"averageValue": value});
        let target = at(metric, "resource.target");
        let (used, wanted) = match number(target, "averageUtilization") {
            0 => (average, crate::quantity::milli(at(target, "averageValue"))),
            percent => {
                set(&mut status, "averageUtilization", json!(50));
                (USE_PERCENT, i128::from(percent))
            }
        };
        shown.push(json!({"type": "Resource", "resource": {"name": resource, "current": status}}));
        if wanted > 0 {
            let is_close = (used * 10 - wanted * 10).abs() <= wanted;
            let exact = (i128::from(current) * used + wanted - 1) / wanted;
            proposals.push(if is_close { current } else { i64::try_from(exact).unwrap_or(i64::MAX) });
        }
    }
    (shown, proposals)
}

fn write_conditions(
    autoscaler: &mut Value,
    now: i64,
    has_metrics: bool,
    current: i64,
    wanted: i64,
    (least, most): (i64, i64),
) {
    let message =
        "recent recommendations were higher than current one, applying the highest recent recommendation";
    set_condition(autoscaler, now, "AbleToScale", true, "ReadyForNewScale", message);
    if current == 0 {
        let message = "scaling is disabled since the replica count of the target is zero";
        set_condition(autoscaler, now, "ScalingActive", false, "ScalingDisabled", message);
    } else if has_metrics {
        let message = "the HPA was able to successfully calculate a replica count from metrics";
        set_condition(autoscaler, now, "ScalingActive", true, "ValidMetricFound", message);
    } else {
        let message =
            "the HPA was unable to compute the replica count: no metrics returned from resource metrics API";
        set_condition(autoscaler, now, "ScalingActive", false, "FailedGetResourceMetric", message);
    }
    let (status, reason, message) = match () {
        () if wanted < least => {
            (true, "TooFewReplicas", "the desired replica count is less than the minimum replica count")
        }
        () if wanted > most => {
            (true, "TooManyReplicas", "the desired replica count is more than the maximum replica count")
        }
        () => (false, "DesiredWithinRange", "the desired count is within the acceptable range"),
    };
    set_condition(autoscaler, now, "ScalingLimited", status, reason, message);
}
