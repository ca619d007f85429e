//! The daemon set controller: one pod on each suitable node.

use crate::cluster::Cluster;
use crate::controllers::deployment::share;
use crate::controllers::pods::{available_at, is_ready};
use crate::controllers::scheduling_rules::{accepts_node, repelling_taint};
use crate::kind::Kind;
use crate::queue::Task;
use crate::rng::name_hash;
use crate::selector::label;
use crate::value::{at, is_deleting, items, list, name, number, object, place, set, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const HASH: &str = "controller-revision-hash";
/// How long the controller waits after admission refused a pod.
const REFUSED_RETRY_MS: i64 = 10_000;

impl Cluster {
    /// Brings the pods of a daemon set in line with the nodes.
    pub(crate) fn reconcile_daemon_set(&mut self, key: &str) {
        let Some(daemon_set) = self.store.get(Kind::DaemonSet, key).cloned() else {
            return;
        };
        let hash = name_hash(&at(&daemon_set, "spec.template").to_string());
        let nodes = self.suitable_nodes(&daemon_set);
        if !is_deleting(&daemon_set) {
            self.place_daemon_pods(key, &daemon_set, &nodes, &hash);
        }
        self.write_daemon_set_status(key, &daemon_set, &nodes, &hash);
    }

    fn suitable_nodes(&self, daemon_set: &Value) -> Vec<String> {
        let mut pod = json!({"metadata": at(daemon_set, "spec.template.metadata"), "spec": at(daemon_set, "spec.template.spec")});
        add_daemon_tolerations(&mut pod);
        self.store
            .all(Kind::Node)
            .filter(|node| accepts_node(&pod, node) && repelling_taint(&pod, node).is_none())
            .map(|node| name(node).to_owned())
            .collect()
    }

    fn place_daemon_pods(&mut self, key: &str, daemon_set: &Value, nodes: &[String], hash: &str) {
        let mut by_node: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
        for pod in self.pods_of(daemon_set) {
            by_node.entry(target_node(&pod).to_owned()).or_default().push(pod);
        }
        for (node, pods) in &by_node {
            let keep = usize::from(nodes.contains(node));
            pods.iter().skip(keep).for_each(|pod| self.delete_pod(pod));
        }
        for node in nodes.iter().filter(|node| !by_node.contains_key(*node)) {
            let created = self.create_pod(Kind::DaemonSet, daemon_set, |pod| {
                object(place(pod, "metadata.labels")).insert(HASH.to_owned(), json!(hash));
                add_daemon_tolerations(pod);
                let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
                let terms = json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
                let path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution";
                set(pod, path, terms);
            });
            if created.is_err() {
                self.schedule(REFUSED_RETRY_MS, Task::DaemonSet(key.to_owned()));
                return;
            }
        }
        self.replace_outdated(daemon_set, nodes.len(), hash);
    }

    /// Deletes pods of an older template, while enough others are available.
    fn replace_outdated(&mut self, daemon_set: &Value, nodes: usize, hash: &str) {
        if text(daemon_set, "spec.updateStrategy.type") != "RollingUpdate" {
            return;
        }
        let desired = i64::try_from(nodes).unwrap_or(i64::MAX);
        let most = at(daemon_set, "spec.updateStrategy.rollingUpdate.maxUnavailable");
        let most = share(most, desired, true).max(1);
        let pods = self.pods_of(daemon_set);
        let ready = i64::try_from(pods.iter().filter(|pod| is_ready(pod)).count()).unwrap_or(0);
        let mut may_go = most - (desired - ready);
        for pod in pods.iter().filter(|pod| label(pod, HASH) != Some(hash)) {
            if !is_ready(pod) {
                self.delete_pod(pod);
            } else if may_go > 0 {
                may_go -= 1;
                self.delete_pod(pod);
            }
        }
    }

    fn write_daemon_set_status(&mut self, key: &str, daemon_set: &Value, nodes: &[String], hash: &str) {
        let seconds = number(daemon_set, "spec.minReadySeconds");
        let (mut current, mut misplaced, mut ready, mut available, mut updated) = (0, 0, 0, 0, 0);
        for pod in self.pods_of(daemon_set) {
            if !nodes.iter().any(|node| node == target_node(&pod)) {
                misplaced += 1;
                continue;
            }
            current += 1;
            ready += i64::from(is_ready(&pod));
            updated += i64::from(label(&pod, HASH) == Some(hash));
            match available_at(&pod, seconds) {
                Some(at) if at <= self.now => available += 1,
                Some(at) => self.schedule(at - self.now, Task::DaemonSet(key.to_owned())),
                None => {}
            }
        }
        let desired = i64::try_from(nodes.len()).unwrap_or(i64::MAX);
        self.change_object(Kind::DaemonSet, key, |daemon_set| {
            let generation = number(daemon_set, "metadata.generation");
            let mut status = json!({
                "currentNumberScheduled": current, "desiredNumberScheduled": desired,
                "numberMisscheduled": misplaced, "numberReady": ready, "observedGeneration": generation,
            });
            let unavailable = desired - available;
            for (field, count) in [
                ("numberAvailable", available),
                ("numberUnavailable", unavailable),
                ("updatedNumberScheduled", updated),
            ] {
                if count > 0 {
                    set(&mut status, field, count);
                }
            }
            set(daemon_set, "status", status);
        });
    }
}

/// The node that a pod of a daemon set is for.
fn target_node(pod: &Value) -> &str {
    let path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution";
    let terms = items(at(pod, path), "nodeSelectorTerms");
    let field = terms.first().and_then(|term| items(term, "matchFields").first());
    field.and_then(|field| items(field, "values").first()).and_then(Value::as_str).unwrap_or_default()
}

fn add_daemon_tolerations(pod: &mut Value) {
    let tolerations = list(place(pod, "spec.tolerations"));
    for (key, effect) in [
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ] {
        tolerations.push(json!({"key": key, "operator": "Exists", "effect": effect}));
    }
}
