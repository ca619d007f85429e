//! The autoscaler and the disruption budget of the workload.

use exokit_model::kind::Kind;
use exokit_model::spec::AutoscalingSpec;
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::app::App;
use crate::builder::Builder;
use crate::deployment::count;
use crate::labels::{metadata, pod_selector};

/// Key of the autoscaler.
pub(crate) const AUTOSCALER: &str = "autoscaler";

/// Adds the autoscaler that the description asks for.
pub(crate) fn add(builder: &mut Builder<'_>) {
    if let Some(autoscaling) = &builder.spec.workload.autoscaling {
        let autoscaler = autoscaler(builder, autoscaling);
        builder.add(AUTOSCALER, Kind::HorizontalPodAutoscaler, &autoscaler, &[]);
    }
}

/// Adds the disruption budget that the description asks for.
pub(crate) fn add_disruption_budget(builder: &mut Builder<'_>) {
    if let Some(least) = builder.spec.workload.min_available {
        let budget = disruption_budget(builder, least);
        let kind = Kind::PodDisruptionBudget;
        builder.add("disruption-budget", kind, &budget, &[App::Workload.key()]);
    }
}

fn autoscaler(builder: &Builder<'_>, autoscaling: &AutoscalingSpec) -> HorizontalPodAutoscaler {
    let spec = builder.spec;
    let metric = |(name, percent): (&str, u32)| MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: name.to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(count(percent)),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    };
    let metrics = [("cpu", autoscaling.cpu_percent), ("memory", autoscaling.memory_percent)].map(metric);
    HorizontalPodAutoscaler {
        metadata: metadata(spec, App::Workload, &spec.workload.service),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: spec.workload.service.clone(),
            },
            min_replicas: Some(count(autoscaling.min_replicas)),
            max_replicas: count(autoscaling.max_replicas),
            metrics: Some(metrics.to_vec()),
            behavior: None,
        }),
        ..HorizontalPodAutoscaler::default()
    }
}

fn disruption_budget(builder: &Builder<'_>, least: u32) -> PodDisruptionBudget {
    let spec = builder.spec;
    PodDisruptionBudget {
        metadata: metadata(spec, App::Workload, &spec.workload.service),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(count(least))),
            selector: Some(pod_selector(spec, App::Workload)),
            // Otherwise a pod that never became ready blocks the drain of its node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}
