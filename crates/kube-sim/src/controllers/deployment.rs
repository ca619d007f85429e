//! The deployment controller: replica sets, rollouts and status.

use crate::cluster::Cluster;
use crate::controllers::conditions::{condition, remove_condition, set_condition};
use crate::controllers::pods::{available_at, is_ready};
use crate::kind::Kind;
use crate::objects::{Propagation, controller_of, controller_reference};
use crate::queue::Task;
use crate::rng::name_hash;
use crate::store::key_of;
use crate::time;
use crate::value::{at, entry, flag, is_deleting, name, namespace, number, object, place, set, text, uid};
use serde_json::{Value, json};
use std::sync::Arc;

const REVISION: &str = "deployment.kubernetes.io/revision";

/// The replica sets of a deployment with their pods.
struct Rollout {
    deployment: Arc<Value>,
    current: Option<Arc<Value>>,
    /// Oldest first.
    old: Vec<Arc<Value>>,
}

impl Cluster {
    /// Brings a deployment closer to its spec.
    pub(crate) fn reconcile_deployment(&mut self, key: &str) {
        let Some(deployment) = self.store.get(Kind::Deployment, key).cloned() else {
            return;
        };
        if is_deleting(&deployment) {
            self.write_deployment_status(&deployment);
            return;
        }
        let mut rollout = self.rollout(&deployment);
        if !flag(&deployment, "spec.paused") {
            if rollout.current.is_none() && (!self.is_recreating(&deployment) || !self.has_old_pods(&rollout))
            {
                self.create_replica_set(&rollout);
                rollout = self.rollout(&deployment);
            }
            self.scale_rollout(&rollout);
            self.clean_up(&rollout);
        } else if let Some(current) = &rollout.current {
            self.scale_replica_set(current, number(&deployment, "spec.replicas"));
        }
        self.write_deployment_status(&deployment);
    }

    fn rollout(&self, deployment: &Arc<Value>) -> Rollout {
        let mut owned: Vec<Arc<Value>> = self
            .store
            .within(Kind::ReplicaSet, namespace(deployment))
            .filter(|set| controller_of(set).is_some_and(|owner| text(owner, "uid") == uid(deployment)))
            .cloned()
            .collect();
        owned.sort_by_key(|set| revision(set));
        let is_current =
            |set: &Arc<Value>| is_same_template(at(deployment, "spec.template"), at(set, "spec.template"));
        let current = owned.iter().rposition(is_current).map(|place| owned.remove(place));
        Rollout { deployment: Arc::clone(deployment), current, old: owned }
    }

    fn is_recreating(&self, deployment: &Value) -> bool {
        text(deployment, "spec.strategy.type") == "Recreate"
    }

    fn has_old_pods(&self, rollout: &Rollout) -> bool {
        let has_any = |set: &Arc<Value>| {
            self.store
                .within(Kind::Pod, namespace(set))
                .any(|pod| controller_of(pod).is_some_and(|owner| text(owner, "uid") == uid(set)))
        };
        rollout.old.iter().any(|set| number(set, "spec.replicas") > 0 || has_any(set))
    }

    fn create_replica_set(&mut self, rollout: &Rollout) {
        let deployment = &rollout.deployment;
        let mut template = at(deployment, "spec.template").clone();
        let mut hash = name_hash(&template.to_string());
        let named = |hash: &str| format!("{}-{hash}", name(deployment));
        while self.store.contains(Kind::ReplicaSet, &crate::store::key(namespace(deployment), &named(&hash)))
        {
            hash = name_hash(&hash);
        }
        object(place(&mut template, "metadata.labels")).insert("pod-template-hash".to_owned(), json!(hash));
        let mut selector = at(deployment, "spec.selector").clone();
        object(place(&mut selector, "matchLabels")).insert("pod-template-hash".to_owned(), json!(hash));
        let next = rollout.old.iter().map(|set| revision(set)).max().unwrap_or(0).saturating_add(1);
        let replicas = if rollout.old.iter().any(|set| number(set, "spec.replicas") > 0) {
            0
        } else {
            number(deployment, "spec.replicas")
        };
        let set = json!({
            "metadata": {
                "name": named(&hash),
                "namespace": namespace(deployment),
                "labels": at(&template, "metadata.labels"),
                "annotations": {
                    "deployment.kubernetes.io/desired-replicas": number(deployment, "spec.replicas").to_string(),
                    REVISION: next.to_string(),
                },
                "ownerReferences": [controller_reference(Kind::Deployment, deployment)],
            },
            "spec": {"replicas": replicas, "selector": selector, "template": template},
            "status": {"replicas": 0, "observedGeneration": 0},
        });
        self.create_object(Kind::ReplicaSet, set);
        let (now, message) = (self.now, format!("Created new replica set \"{}\"", named(&hash)));
        self.change_object(Kind::Deployment, &key_of(deployment), |deployment| {
            remove_update_time(deployment);
            set_updated(deployment, now, "Progressing", true, ("NewReplicaSetCreated", &message));
        });
    }

    fn scale_rollout(&mut self, rollout: &Rollout) {
        let deployment = &rollout.deployment;
        let desired = number(deployment, "spec.replicas");
        let Some(current) = &rollout.current else {
            // Recreate: the old pods go first.
            rollout.old.iter().for_each(|set| self.scale_replica_set(set, 0));
            return;
        };
        self.mark_revision(rollout, current);
        let size = |set: &Arc<Value>| number(set, "spec.replicas");
        let old_size: i64 = rollout.old.iter().map(size).sum();
        if old_size == 0 {
            self.scale_replica_set(current, desired);
            return;
        }
        if self.is_recreating(deployment) {
            rollout.old.iter().for_each(|set| self.scale_replica_set(set, 0));
            return;
        }
        let (surge, unavailable) = rolling_bounds(deployment, desired);
        let room = desired + surge - (old_size + size(current));
        let current_size = (size(current) + room.max(0)).min(desired);
        self.scale_replica_set(current, current_size);
        let sets = rollout.old.iter().chain([current]);
        let available: i64 = sets.map(|set| self.available_pods(set)).sum();
        let least = desired - unavailable;
        let current_unavailable = current_size - self.available_pods(current);
        let mut may_go = (old_size + current_size - least - current_unavailable).max(0);
        let mut healthy_may_go = (available - least).max(0);
        for set in rollout.old.iter().filter(|set| has_pods(set)) {
            let healthy = self.available_pods(set).min(size(set));
            let broken = (size(set) - healthy).min(may_go);
            let whole = healthy.min(may_go - broken).min(healthy_may_go);
            may_go -= broken + whole;
            healthy_may_go -= whole;
            self.scale_replica_set(set, size(set) - broken - whole);
        }
    }

    /// Gives the current replica set the highest revision, also after a return
    /// to an older template.
    fn mark_revision(&mut self, rollout: &Rollout, current: &Value) {
        let newest = rollout.old.iter().map(|set| revision(set)).max().unwrap_or(0);
        let own = revision(current).max(newest.saturating_add(i64::from(newest >= revision(current))));
        let annotate = |object_: &mut Value| {
            let annotations = object(place(object_, "metadata.annotations"));
            annotations.insert(REVISION.to_owned(), json!(own.to_string()));
        };
        self.change_object(Kind::ReplicaSet, &key_of(current), annotate);
        self.change_object(Kind::Deployment, &key_of(&rollout.deployment), annotate);
    }

    fn scale_replica_set(&mut self, replica_set: &Value, replicas: i64) {
        self.change_object(Kind::ReplicaSet, &key_of(replica_set), |replica_set| {
            set(replica_set, "spec.replicas", replicas.max(0));
        });
    }

    fn available_pods(&self, replica_set: &Value) -> i64 {
        if !has_pods(replica_set) {
            return 0;
        }
        let seconds = number(replica_set, "spec.minReadySeconds");
        let is_available = |pod: &&Arc<Value>| available_at(pod, seconds).is_some_and(|at| at <= self.now);
        i64::try_from(self.pods_of(replica_set).iter().filter(is_available).count()).unwrap_or(i64::MAX)
    }

    /// Deletes old replica sets beyond the history limit.
    fn clean_up(&mut self, rollout: &Rollout) {
        let limit = usize::try_from(number(&rollout.deployment, "spec.revisionHistoryLimit")).unwrap_or(0);
        let is_empty = |set: &&Arc<Value>| {
            number(set, "spec.replicas") == 0 && number(set, "status.replicas") == 0 && !is_deleting(set)
        };
        let empty: Vec<&Arc<Value>> = rollout.old.iter().filter(is_empty).collect();
        for replica_set in empty.iter().take(rollout.old.len().saturating_sub(limit)) {
            let deletion =
                crate::objects::Deletion { propagation: Propagation::Background, grace_seconds: None };
            self.delete_with(Kind::ReplicaSet, &key_of(replica_set), &deletion);
        }
    }

    fn write_deployment_status(&mut self, deployment: &Arc<Value>) {
        let rollout = self.rollout(deployment);
        let seconds = number(deployment, "spec.minReadySeconds");
        let (mut replicas, mut ready, mut available, mut updated) = (0, 0, 0, 0);
        let mut failure = None;
        for set in rollout.old.iter().chain(&rollout.current).filter(|set| has_pods(set)) {
            let is_current = rollout.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, set));
            for pod in self.pods_of(set) {
                replicas += 1;
                ready += i64::from(is_ready(&pod));
                updated += i64::from(is_current);
                match available_at(&pod, seconds) {
                    Some(at) if at <= self.now => available += 1,
                    Some(at) => self.schedule(at - self.now, Task::Deployment(key_of(deployment))),
                    None => {}
                }
            }
            failure = failure.or_else(|| condition(set, "ReplicaFailure").cloned());
        }
        let counts = Counts { replicas, ready, available, updated };
        let now = self.now;
        let current_name = rollout.current.as_ref().map(|set| name(set).to_owned()).unwrap_or_default();
        self.change_object(Kind::Deployment, &key_of(deployment), |deployment| {
            let before = Counts::read(deployment);
            write_counts(deployment, &counts);
            write_available(deployment, now, &counts);
            write_progress(deployment, now, &counts, &before, &current_name);
            match failure {
                Some(failure) => set_condition(
                    deployment,
                    now,
                    "ReplicaFailure",
                    true,
                    text(&failure, "reason"),
                    text(&failure, "message"),
                ),
                None => remove_condition(deployment, "ReplicaFailure"),
            }
        });
        self.watch_deadline(&key_of(deployment));
    }

    /// Looks at an incomplete rollout again when its deadline passes.
    fn watch_deadline(&mut self, key: &str) {
        let Some(deployment) = self.store.get(Kind::Deployment, key) else {
            return;
        };
        let Some(progress) = condition(deployment, "Progressing") else {
            return;
        };
        let is_open =
            text(progress, "status") == "True" && text(progress, "reason") != "NewReplicaSetAvailable";
        if let (true, Some(since)) = (is_open, time::parse(text(progress, "lastUpdateTime"))) {
            let deadline = since + deadline_ms(deployment);
            self.schedule(deadline - self.now, Task::Deployment(key.to_owned()));
        }
    }
}

/// The pods of a deployment.
struct Counts {
    replicas: i64,
    ready: i64,
    available: i64,
    updated: i64,
}

impl Counts {
    fn read(deployment: &Value) -> Self {
        Self {
            replicas: number(deployment, "status.replicas"),
            ready: number(deployment, "status.readyReplicas"),
            available: number(deployment, "status.availableReplicas"),
            updated: number(deployment, "status.updatedReplicas"),
        }
    }

    fn has_progressed_since(&self, before: &Self) -> bool {
        self.updated > before.updated
            || self.ready > before.ready
            || self.available > before.available
            || self.replicas - self.updated < before.replicas - before.updated
    }
}

fn write_counts(deployment: &mut Value, counts: &Counts) {
    let generation = number(deployment, "metadata.generation");
    set(deployment, "status.observedGeneration", generation);
    let unavailable = (number(deployment, "spec.replicas").max(counts.replicas) - counts.available).max(0);
    for (field, count) in [
        ("replicas", counts.replicas),
        ("updatedReplicas", counts.updated),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.available),
        ("unavailableReplicas", unavailable),
    ] {
        let path = format!("status.{field}");
        if count == 0 {
            crate::value::remove(deployment, &path);
        } else {
            set(deployment, &path, count);
        }
    }
}

fn write_available(deployment: &mut Value, now: i64, counts: &Counts) {
    let desired = number(deployment, "spec.replicas");
    let (_, unavailable) = rolling_bounds(deployment, desired);
    let is_available = counts.available >= desired - unavailable;
    let (reason, message) = match is_available {
        true => ("MinimumReplicasAvailable", "Deployment has minimum availability."),
        false => ("MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
    };
    set_updated(deployment, now, "Available", is_available, (reason, message));
}

fn write_progress(deployment: &mut Value, now: i64, counts: &Counts, before: &Counts, current: &str) {
    let progress = condition(deployment, "Progressing");
    let reason = progress.map(|progress| text(progress, "reason").to_owned()).unwrap_or_default();
    if reason == "NewReplicaSetAvailable" && counts.replicas == counts.updated {
        return;
    }
    let since = progress.and_then(|progress| time::parse(text(progress, "lastUpdateTime")));
    let subject = match current.is_empty() {
        true => format!("Deployment \"{}\"", name(deployment)),
        false => format!("ReplicaSet \"{current}\""),
    };
    let desired = number(deployment, "spec.replicas");
    if [counts.updated, counts.replicas, counts.available] == [desired; 3] {
        let message = format!("{subject} has successfully progressed.");
        set_updated(deployment, now, "Progressing", true, ("NewReplicaSetAvailable", &message));
    } else if since.is_none() {
        let message = format!("Created new replica set \"{current}\"");
        set_updated(deployment, now, "Progressing", true, ("NewReplicaSetCreated", &message));
    } else if counts.has_progressed_since(before) {
        // The time of the update counts for the deadline, so it is always new.
        remove_update_time(deployment);
        let message = format!("{subject} is progressing.");
        set_updated(deployment, now, "Progressing", true, ("ReplicaSetUpdated", &message));
    } else if since.is_some_and(|since| now >= since + deadline_ms(deployment)) {
        let message = format!("{subject} has timed out progressing.");
        set_updated(deployment, now, "Progressing", false, ("ProgressDeadlineExceeded", &message));
    }
}

/// Sets a condition with a time of update, which changes with its text.
fn set_updated(deployment: &mut Value, now: i64, kind: &str, status: bool, (reason, message): (&str, &str)) {
    let before = condition(deployment, kind).cloned();
    set_condition(deployment, now, kind, status, reason, message);
    let is_same = condition(deployment, kind) == before.as_ref();
    let conditions = crate::value::list(place(deployment, "status.conditions"));
    for condition in conditions.iter_mut().filter(|condition| text(condition, "type") == kind) {
        if !is_same || at(condition, "lastUpdateTime").is_null() {
            set(condition, "lastUpdateTime", time::rfc3339(now));
        }
    }
}

fn remove_update_time(deployment: &mut Value) {
    for condition in crate::value::list(place(deployment, "status.conditions")) {
        if text(condition, "type") == "Progressing" {
            crate::value::remove(condition, "lastUpdateTime");
        }
    }
}

fn deadline_ms(deployment: &Value) -> i64 {
    number(deployment, "spec.progressDeadlineSeconds").clamp(1, 1_000_000_000) * 1000
}

/// Whether a replica set has pods or is about to.
fn has_pods(replica_set: &Value) -> bool {
    number(replica_set, "spec.replicas") > 0 || number(replica_set, "status.replicas") > 0
}

fn revision(replica_set: &Value) -> i64 {
    entry(replica_set, "metadata.annotations", REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether two templates are the same but for the label that tells replica sets
/// apart.
fn is_same_template(wanted: &Value, actual: &Value) -> bool {
    const HASH: &str = "pod-template-hash";
    let is_same_but = |skipped: &str, a: &Value, b: &Value| {
        let (a, b) = (a.as_object(), b.as_object());
        let rest = |map: Option<&'_ serde_json::Map<String, Value>>| {
            map.into_iter().flatten().filter(|(key, _)| *key != skipped).count()
        };
        let has_same = a
            .into_iter()
            .flatten()
            .filter(|(key, _)| *key != skipped)
            .all(|(key, value)| b.and_then(|b| b.get(key)) == Some(value));
        has_same && rest(a) == rest(b)
    };
    is_same_but("metadata", wanted, actual)
        && is_same_but("labels", at(wanted, "metadata"), at(actual, "metadata"))
        && is_same_but(HASH, at(wanted, "metadata.labels"), at(actual, "metadata.labels"))
}

/// How many pods may be added and how many may be missing in a rollout.
pub(crate) fn rolling_bounds(deployment: &Value, desired: i64) -> (i64, i64) {
    let strategy = at(deployment, "spec.strategy.rollingUpdate");
    if text(deployment, "spec.strategy.type") == "Recreate" {
        return (0, desired);
    }
    let surge = share(at(strategy, "maxSurge"), desired, true);
    let unavailable = share(at(strategy, "maxUnavailable"), desired, false);
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    (surge, unavailable.min(desired))
}

/// A number, or a percentage of `whole`.
pub(crate) fn share(value: &Value, whole: i64, round_up: bool) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0).clamp(0, 1_000_000_000),
        Value::String(text) => {
            let percent = text.trim_end_matches('%').parse::<i64>().unwrap_or(0).clamp(0, 10_000);
            let product = whole.saturating_mul(percent);
            if round_up { (product + 99) / 100 } else { product / 100 }
        }
        _ => 0,
    }
}
