//! The replica set controller: pods and status.

use crate::cluster::Cluster;
use crate::controllers::conditions::{remove_condition, set_condition};
use crate::controllers::pods::{available_at, is_ready};
use crate::kind::Kind;
use crate::queue::Task;
use crate::refusal::Refusal;
use crate::value::{at, is_deleting, number, set, text};
use serde_json::Value;
use std::sync::Arc;

/// How long the controller waits after admission refused a pod.
const REFUSED_RETRY_MS: i64 = 10_000;
/// Pods created at once at most.
const BURST: i64 = 500;

impl Cluster {
    /// Creates or deletes pods until their number is right.
    pub(crate) fn reconcile_replica_set(&mut self, key: &str) {
        let Some(replica_set) = self.store.get(Kind::ReplicaSet, key).cloned() else {
            return;
        };
        let mut refused = None;
        if !is_deleting(&replica_set) {
            let pods = self.pods_of(&replica_set);
            let present = i64::try_from(pods.len()).unwrap_or(i64::MAX);
            let missing = number(&replica_set, "spec.replicas") - present;
            if missing > 0 {
                refused = self.add_pods(&replica_set, missing.min(BURST)).err();
            } else if missing < 0 {
                self.delete_surplus(pods, missing.unsigned_abs());
            }
        }
        if refused.is_some() {
            self.schedule(REFUSED_RETRY_MS, Task::ReplicaSet(key.to_owned()));
        }
        self.write_replica_set_status(key, &replica_set, refused);
    }

    fn add_pods(&mut self, replica_set: &Value, count: i64) -> Result<(), Refusal> {
        for _ in 0..count {
            self.create_pod(Kind::ReplicaSet, replica_set, |_| {})?;
        }
        Ok(())
    }

    /// Deletes pods without a node first, then those that are not ready, then
    /// the youngest.
    fn delete_surplus(&mut self, mut pods: Vec<Arc<Value>>, count: u64) {
        pods.sort_by_key(|pod| {
            let is_assigned = !text(pod, "spec.nodeName").is_empty();
            let age = std::cmp::Reverse(text(pod, "metadata.creationTimestamp").to_owned());
            (is_assigned, is_ready(pod), age)
        });
        for pod in pods.iter().take(usize::try_from(count).unwrap_or(usize::MAX)) {
            self.delete_pod(pod);
        }
    }

    fn write_replica_set_status(&mut self, key: &str, replica_set: &Value, refused: Option<Refusal>) {
        let seconds = number(replica_set, "spec.minReadySeconds");
        let (mut replicas, mut ready, mut available) = (0, 0, 0);
        for pod in self.pods_of(replica_set) {
            replicas += 1;
            ready += i64::from(is_ready(&pod));
            match available_at(&pod, seconds) {
                Some(at) if at <= self.now => available += 1,
                Some(at) => self.schedule(at - self.now, Task::ReplicaSet(key.to_owned())),
                None => {}
            }
        }
        let now = self.now;
        self.change_object(Kind::ReplicaSet, key, |replica_set| {
            set(replica_set, "status.replicas", replicas);
            for (field, count) in [
                ("fullyLabeledReplicas", replicas),
                ("readyReplicas", ready),
                ("availableReplicas", available),
            ] {
                let path = format!("status.{field}");
                if count == 0 {
                    crate::value::remove(replica_set, &path);
                } else {
                    set(replica_set, &path, count);
                }
            }
            let generation = at(replica_set, "metadata.generation").clone();
            set(replica_set, "status.observedGeneration", generation);
            match refused {
                Some(refusal) => {
                    set_condition(replica_set, now, "ReplicaFailure", true, "FailedCreate", &refusal.message);
                }
                None => remove_condition(replica_set, "ReplicaFailure"),
            }
        });
    }
}
