//! What an environment has, in words for people and for the selection matrix.
//! Derived from the specification, so that it cannot say what is not so.

use std::collections::BTreeSet;
use std::fmt;

use exokit_model::spec::{DatabaseEngine, EnvironmentSpec};
use serde::{Deserialize, Serialize};

/// Something that an environment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// A managed PostgreSQL.
    Postgres,
    /// A managed Valkey.
    Valkey,
    /// A bucket.
    ObjectStorage,
    /// A volume for the workload.
    BlockStorage,
    /// Replicas by load.
    Autoscaling,
    /// A load balancer before the workload.
    LoadBalancer,
    /// An ingress.
    Ingress,
    /// TLS at the ingress.
    Tls,
    /// The hardened profile.
    Isolation,
    /// Grafana, Prometheus and Loki.
    Observability,
}

impl Capability {
    /// Everything that `spec` has.
    #[must_use]
    pub fn of(spec: &EnvironmentSpec) -> BTreeSet<Self> {
        let engine = spec.database.as_ref().map(|database| database.engine);
        let workload = &spec.workload;
        [
            (Self::Postgres, engine == Some(DatabaseEngine::Pg)),
            (Self::Valkey, engine == Some(DatabaseEngine::Valkey)),
            (Self::ObjectStorage, spec.bucket.is_some()),
            (Self::BlockStorage, spec.block_storage.is_some()),
            (Self::Autoscaling, workload.autoscaling.is_some()),
            (Self::LoadBalancer, workload.load_balancer),
            (Self::Ingress, workload.ingress.is_some()),
            (Self::Tls, workload.ingress.as_ref().is_some_and(|ingress| ingress.tls)),
            (Self::Isolation, spec.hardened),
            (Self::Observability, spec.observability),
        ]
        .into_iter()
        .filter_map(|(capability, present)| present.then_some(capability))
        .collect()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "postgres",
            Self::Valkey => "valkey",
            Self::ObjectStorage => "object-storage",
            Self::BlockStorage => "block-storage",
            Self::Autoscaling => "autoscaling",
            Self::LoadBalancer => "load-balancer",
            Self::Ingress => "ingress",
            Self::Tls => "tls",
            Self::Isolation => "isolation",
            Self::Observability => "observability",
        })
    }
}
