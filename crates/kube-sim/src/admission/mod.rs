//! Admission: what may be created, and what is filled in.

pub(crate) mod limit_range;
pub(crate) mod pod_security;
pub(crate) mod quota;

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::refusal::Refusal;
use serde_json::Value;

impl Cluster {
    /// Admits a new object: fills in limits, then checks pod security and
    /// quotas. Returns warnings.
    pub(crate) fn admit_creation(&self, kind: Kind, object: &mut Value) -> Result<Vec<String>, Refusal> {
        if kind == Kind::Pod {
            self.apply_limit_ranges(object)?;
        }
        if kind == Kind::PersistentVolumeClaim {
            self.check_claim_limits(object)?;
        }
        let warnings = self.check_pod_security(kind, object)?;
        self.check_quotas(kind, None, object)?;
        Ok(warnings)
    }

    /// Admits a change of an object. Returns warnings.
    pub(crate) fn admit_update(&self, kind: Kind, old: &Value, new: &Value) -> Result<Vec<String>, Refusal> {
        let warnings = if kind == Kind::Pod { Vec::new() } else { self.check_pod_security(kind, new)? };
        if kind == Kind::Service || kind == Kind::PersistentVolumeClaim {
            self.check_quotas(kind, Some(old), new)?;
        }
        Ok(warnings)
    }
}
