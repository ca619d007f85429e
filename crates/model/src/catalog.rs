//! What the cloud offers, as read just before planning.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::ids::{ResourceId, Zone};

/// A snapshot of the cloud's offer in one zone. A plan is made from it, so the
/// same snapshot always gives the same plan.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Catalog {
    /// Zones that the cloud has.
    pub zones: BTreeSet<Zone>,
    /// Id of each instance type that the organisation may use, by
    /// `family/size`.
    pub instance_types: BTreeMap<String, ResourceId>,
    /// Kubernetes versions, newest first.
    pub sks_versions: Vec<String>,
    /// Database offers by service type (`pg`, `valkey`).
    pub databases: BTreeMap<String, DatabaseOffer>,
    /// Free quota by resource name; absent means unlimited.
    pub quota_free: BTreeMap<String, i64>,
}

/// What the cloud offers for one database engine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DatabaseOffer {
    /// Versions that can be made.
    pub versions: Vec<String>,
    /// Version used when none is given.
    pub default_version: Option<String>,
    /// Names of plans.
    pub plans: BTreeSet<String>,
}
