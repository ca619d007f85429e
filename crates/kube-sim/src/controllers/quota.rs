//! The use of resource quotas.

use crate::admission::quota::{COUNTED, format_amount, usage_of};
use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::store::key_of;
use crate::value::{entries, place, set};
use serde_json::json;
use std::collections::BTreeMap;

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
