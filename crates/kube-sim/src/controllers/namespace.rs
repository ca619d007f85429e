//! The namespace controller: sets namespaces up and empties deleted ones.

use crate::cluster::Cluster;
use crate::controllers::conditions::set_condition;
use crate::kind::{KINDS, Kind};
use crate::queue::Task;
use crate::store::key;
use crate::value::{is_deleting, items, set};
use serde_json::json;
use std::collections::BTreeMap;

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
        // Numbers of objects: by kind, and by finalizer.
        let (mut left, mut held) = (BTreeMap::new(), BTreeMap::new());
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
                *left.entry(kind.info().qualified_resource()).or_insert(0_usize) += 1;
                for finalizer in items(object, "metadata.finalizers").iter().filter_map(|f| f.as_str()) {
                    *held.entry(finalizer.to_owned()).or_insert(0_usize) += 1;
                }
            }
        }
        if left.is_empty() {
            self.change_object(Kind::Namespace, name, |namespace| {
                set(namespace, "spec.finalizers", json!([]))
            });
            return;
        }
        let now = self.now;
        self.change_object(Kind::Namespace, name, |namespace| {
            for (condition, is_true, reason, message) in conditions(&left, &held) {
                set_condition(namespace, now, condition, is_true, reason, &message);
            }
        });
        self.schedule(RETRY_MS, Task::Namespace(name.to_owned()));
    }
}

/// A condition: type, status, reason, message.
type Condition = (&'static str, bool, &'static str, String);

/// The conditions of a namespace that is being emptied.
fn conditions(left: &BTreeMap<String, usize>, held: &BTreeMap<String, usize>) -> [Condition; 5] {
    let listed = |counts: &BTreeMap<String, usize>, word: &str| {
        let parts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{name}{word} {count} resource instances")).collect();
        parts.join(", ")
    };
    let finalizers = match held.is_empty() {
        true => (false, "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned()),
        false => {
            let message =
                format!("Some content in the namespace has finalizers remaining: {}", listed(held, " in"));
            (true, "SomeFinalizersRemain", message)
        }
    };
    let remaining = format!("Some resources are remaining: {}", listed(left, " has"));
    [
        (
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered".to_owned(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        (
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
        ("NamespaceContentRemaining", true, "SomeResourcesRemain", remaining),
        ("NamespaceFinalizersRemaining", finalizers.0, finalizers.1, finalizers.2),
    ]
}
