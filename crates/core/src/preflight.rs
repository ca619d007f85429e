//! Checks a description against what the cloud offers, before anything is
//! planned: whatever can be known to fail is refused here.

use exokit_model::catalog::Catalog;
use exokit_model::ids::ResourceId;
use exokit_model::spec::EnvironmentSpec;

/// Why the cloud cannot make an environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreflightError {
    /// The zone does not exist.
    #[error("zone {zone:?} does not exist")]
    Zone {
        /// What was asked for.
        zone: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The instance type does not exist or the organisation may not use it.
    #[error("instance type {wanted:?} is not offered to this organisation")]
    InstanceType {
        /// What was asked for, as `family/size`.
        wanted: String,
        /// What there is in that family.
        known: Vec<String>,
    },
    /// SKS does not take machines as small as this.
    #[error("instance size {0:?} is too small for SKS nodes")]
    TooSmall(String),
    /// The Kubernetes version is not offered.
    #[error("Kubernetes version {wanted:?} is not offered")]
    KubernetesVersion {
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The plan or version of a database is not offered.
    #[error("{engine} has no {property} {wanted:?}")]
    Database {
        /// `pg` or `valkey`.
        engine: String,
        /// `plan` or `version`.
        property: &'static str,
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The account has not enough left of something.
    #[error("the quota for {resource} has {free} left, this needs {needed}")]
    Quota {
        /// Name of the quota.
        resource: String,
        /// What is left.
        free: i64,
        /// What is needed.
        needed: i64,
    },
}

impl PreflightError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            PreflightError::Zone { known, .. } => format!("use one of: {}", known.join(", ")),
            PreflightError::InstanceType { known, .. } if known.is_empty() => {
                "the family is unknown; `standard` always exists".to_owned()
            }
            PreflightError::InstanceType { known, .. } => format!("this family has: {}", known.join(", ")),
            PreflightError::TooSmall { .. } => "use `small` or larger".to_owned(),
            PreflightError::KubernetesVersion { known, .. } | PreflightError::Database { known, .. } => {
                format!("offered are: {}", known.join(", "))
            }
            PreflightError::Quota { .. } => {
                "remove something, or ask for more in the Exoscale portal under Organization > Quotas"
                    .to_owned()
            }
        }
    }
}

/// What a checked description resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Id of the nodes' instance type.
    pub instance_type: ResourceId,
    /// Complete Kubernetes version.
    pub kubernetes_version: String,
}

/// Checks `spec` against `catalog`.
///
/// # Errors
/// The first thing that the cloud cannot do.
pub fn check(spec: &EnvironmentSpec, catalog: &Catalog) -> Result<Offer, PreflightError> {
    check_zone(spec, catalog)?;
    let instance_type = check_instance_type(spec, catalog)?;
    let kubernetes_version = check_kubernetes(spec, catalog)?;
    check_database(spec, catalog)?;
    check_quota(spec, catalog)?;
    Ok(Offer { instance_type, kubernetes_version })
}

fn check_zone(spec: &EnvironmentSpec, catalog: &Catalog) -> Result<(), PreflightError> {
    match catalog.zones.contains(&spec.zone) {
        true => Ok(()),
        false => Err(PreflightError::Zone {
            zone: spec.zone.to_string(),
            known: catalog.zones.iter().map(ToString::to_string).collect(),
        }),
    }
}

fn check_instance_type(spec: &EnvironmentSpec, catalog: &Catalog) -> Result<ResourceId, PreflightError> {
    if matches!(spec.nodes.size.as_str(), "micro" | "tiny") {
        return Err(PreflightError::TooSmall(spec.nodes.size.clone()));
    }
    let wanted = format!("{}/{}", spec.nodes.family, spec.nodes.size);
    let in_family = || {
        let prefix = format!("{}/", spec.nodes.family);
        catalog
            .instance_types
            .keys()
            .filter_map(|name| name.strip_prefix(&prefix))
            .map(str::to_owned)
            .collect()
    };
    match catalog.instance_types.get(&wanted) {
        Some(id) => Ok(id.clone()),
        None => Err(PreflightError::InstanceType { known: in_family(), wanted }),
    }
}

/// A version may be given in part: `1.35` means the newest `1.35.x`.
fn check_kubernetes(spec: &EnvironmentSpec, catalog: &Catalog) -> Result<String, PreflightError> {
    let matches = |version: &&String, wanted: &str| {
        *version == wanted || version.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
    };
    let found = match &spec.cluster.version {
        None => catalog.sks_versions.first(),
        Some(wanted) => catalog.sks_versions.iter().find(|version| matches(version, wanted)),
    };
    found.cloned().ok_or_else(|| PreflightError::KubernetesVersion {
        wanted: spec.cluster.version.clone().unwrap_or_else(|| "newest".to_owned()),
        known: catalog.sks_versions.clone(),
    })
}

fn check_database(spec: &EnvironmentSpec, catalog: &Catalog) -> Result<(), PreflightError> {
    let Some(database) = &spec.database else {
        return Ok(());
    };
    let engine = database.engine.to_string();
    let offer = catalog.databases.get(&engine).cloned().unwrap_or_default();
    let refuse = |property, wanted: &str, known| {
        Err(PreflightError::Database { engine, property, wanted: wanted.to_owned(), known })
    };
    if !offer.plans.contains(&database.plan) {
        return refuse("plan", &database.plan, offer.plans.into_iter().collect());
    }
    match &database.version {
        Some(wanted) if !offer.versions.contains(wanted) => refuse("version", wanted, offer.versions),
        _ => Ok(()),
    }
}

fn check_quota(spec: &EnvironmentSpec, catalog: &Catalog) -> Result<(), PreflightError> {
    let needs = [
        ("sks-cluster", 1),
        ("instance", i64::from(spec.nodes.count)),
        ("database", i64::from(spec.database.is_some())),
        ("bucket", i64::from(spec.bucket.is_some())),
        ("iam-key", i64::from(spec.bucket.is_some())),
        ("network-load-balancer", i64::from(spec.workload.load_balancer)),
    ];
    for (resource, needed) in needs {
        match catalog.quota_free.get(resource) {
            // An account may have more than its quota; who needs none of it is not held up.
            Some(free) if needed > 0 && *free < needed => {
                return Err(PreflightError::Quota { resource: resource.to_owned(), free: *free, needed });
            }
            _ => {}
        }
    }
    Ok(())
}
