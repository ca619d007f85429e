//! The namespace controller: sets namespaces up and empties deleted ones.

use crate::cluster::Cluster;
use crate::controllers::conditions::set_condition;
use crate::kind::{KINDS, Kind};
use crate::queue::Task;
use crate::store::key;
use crate::value::{is_deleting, items, set};
use serde_json::json;

/// How often a namespace that is not empty yet is looked at again.
const RETRY_MS: i64 = 1000;

impl Cluster {
    /// Gives a namespace what every namespace has, or empties it when it is
    /// being deleted.
    pub(crate) fn reconcile_namespace(&mut self, name: &str) {
        let Some(namespace) = self.store.get(Kind::Namespace, name) else {
            return;
        };
        if is_deleting(namespace) {
            self.empty_namespace(name);
            return;
        }
        if !self.store.contains(Kind::ServiceAccount, &key(name, "default")) {
            let account = json!({"metadata": {"name": "default", "namespace": name}});
            self.create_object(Kind::ServiceAccount, account);
        }
        if !self.store.contains(Kind::ConfigMap, &key(name, "kube-root-ca.crt")) {
            let certificate = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
            let map = json!({
                "metadata": {"name": "kube-root-ca.crt", "namespace": name},
                "data": {"ca.crt": certificate},
            });
            self.create_object(Kind::ConfigMap, map);
        }
    }

    fn empty_namespace(&mut self, name: &str) {
        let mut held = Vec::new();
        let mut remaining = 0;
        // Pods last, since their controllers would replace them.
        let kinds =
            KINDS.iter().filter(|info| info.namespaced && info.kind != Kind::Pod).map(|info| info.kind);
        for kind in kinds.chain([Kind::Pod]) {
            let keys: Vec<String> =
                self.store.range(kind, Some(name), None).map(|(key, _)| key.to_owned()).collect();
            for key in keys {
                if self.store.get(kind, &key).is_some_and(|object| !is_deleting(object)) {
                    self.delete_object(kind, &key);
                }
            }
            for object in self.store.within(kind, name) {
                remaining += 1;
                held.extend(
                    items(object, "metadata.finalizers").iter().filter_map(|f| f.as_str()).map(str::to_owned),
                );
            }
        }
        if remaining == 0 {
            self.change_object(Kind::Namespace, name, |namespace| {
                set(namespace, "spec.finalizers", json!([]))
            });
            return;
        }
        held.sort();
        held.dedup();
        let now = self.now;
        self.change_object(Kind::Namespace, name, |namespace| {
            let condition = "NamespaceContentRemaining";
            let message = format!("Some resources are remaining: {remaining} resource instances");
            set_condition(namespace, now, condition, true, "SomeResourcesRemain", &message);
            let condition = "NamespaceFinalizersRemaining";
            let message =
                format!("Some content in the namespace has finalizers remaining: {}", held.join(", "));
            let (status, reason) = match held.is_empty() {
                true => (false, "ContentHasNoFinalizers"),
                false => (true, "SomeFinalizersRemain"),
            };
            let message =
                if status { message } else { "All content-preserving finalizers finished".to_owned() };
            set_condition(namespace, now, condition, status, reason, &message);
        });
        self.schedule(RETRY_MS, Task::Namespace(name.to_owned()));
    }
}
