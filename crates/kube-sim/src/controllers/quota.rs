//! The use of resource quotas.

use crate::admission::quota::usage_of;
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::quantity;
use crate::store::key_of;
use crate::value::{entries, place, set};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The kinds that quotas count.
pub(crate) const COUNTED: [Kind; 6] =
    [Kind::Pod, Kind::Service, Kind::PersistentVolumeClaim, Kind::ConfigMap, Kind::Secret, Kind::Deployment];

impl Cluster {
    /// Writes the use of all quotas of a namespace.
    pub(crate) fn reconcile_quotas(&mut self, namespace: &str) {
        let keys: Vec<String> =
            self.store.within(Kind::ResourceQuota, namespace).map(|quota| key_of(quota)).collect();
        if keys.is_empty() {
            return;
        }
        let used = self.usage(namespace);
        for own in keys {
            self.change_object(Kind::ResourceQuota, &own, |quota| {
                let hard = crate::value::at(quota, "spec.hard").clone();
                let mut shown = json!({});
                for (resource, _) in entries(quota, "spec.hard") {
                    let amount = used.get(resource).copied().unwrap_or(0);
                    crate::value::object(&mut shown)
                        .insert(resource.to_owned(), json!(format_amount(resource, amount)));
                }
                if !hard.is_null() {
                    set(quota, "status.hard", hard);
                    *place(quota, "status.used") = shown;
                }
            });
        }
    }

    /// What the objects of a namespace use, in thousandths, by resource.
    pub(crate) fn usage(&self, namespace: &str) -> BTreeMap<String, i128> {
        let mut used: BTreeMap<String, i128> = BTreeMap::new();
        for kind in COUNTED {
            for object in self.store.within(kind, namespace) {
                for (resource, amount) in usage_of(kind, object) {
                    *used.entry(resource).or_default() += amount;
                }
            }
        }
        used
    }
}

/// An amount as quotas show it.
pub(crate) fn format_amount(resource: &str, milli: i128) -> String {
    if resource.ends_with("memory") || resource.ends_with("storage") {
        quantity::format_bytes(milli)
    } else {
        quantity::format_milli(milli)
    }
}

/// A hard limit in thousandths.
pub(crate) fn limit(value: &Value) -> i128 {
    quantity::milli(value)
}
