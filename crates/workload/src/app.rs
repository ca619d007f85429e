//! The programs that run in an environment, and what their objects are called.

use exokit_model::spec::EnvironmentSpec;

/// One program: the user's workload, or one that exokit bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum App {
    /// The user's workload.
    Workload,
    /// The ingress controller.
    Traefik,
    /// Collects and stores metrics.
    Prometheus,
    /// Stores logs.
    Loki,
    /// Ships logs to Loki.
    Alloy,
    /// Shows dashboards.
    Grafana,
}

impl App {
    /// Stem of the keys of its objects.
    pub(crate) fn key(self) -> &'static str {
        match self {
            App::Workload => "workload",
            App::Traefik => "traefik",
            App::Prometheus => "prometheus",
            App::Loki => "loki",
            App::Alloy => "alloy",
            App::Grafana => "grafana",
        }
    }

    /// Name of its objects. The prefix prevents a collision with a workload that
    /// the user calls `grafana`, for instance.
    pub(crate) fn name(self, spec: &EnvironmentSpec) -> String {
        match self {
            App::Workload => spec.workload.service.clone(),
            other => format!("exokit-{}", other.key()),
        }
    }
}

/// Longest name of a Service.
const SERVICE_NAME_CHARS_MAX: usize = 63;

/// Name of the cluster-internal Service of a workload behind an ingress, where
/// the public Service has the workload's own name.
pub(crate) fn pods_service_name(spec: &EnvironmentSpec) -> String {
    const SUFFIX: &str = "-pods";
    let stem: String = spec.workload.service.chars().take(SERVICE_NAME_CHARS_MAX - SUFFIX.len()).collect();
    format!("{stem}{SUFFIX}")
}
