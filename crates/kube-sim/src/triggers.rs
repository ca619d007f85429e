//! Which controllers a change of an object concerns.

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::objects::{FOREGROUND, ORPHAN, controller_of, has_finalizer};
use crate::queue::Task;
use crate::selector::{LabelSelector, labels};
use crate::store::{key, key_of};
use crate::value::{at, is_deleting, items, name, namespace, text, uid};
use serde_json::Value;

/// How long controllers take to react, in milliseconds. The order in which
/// tasks run follows from these.
const REACTION_MS: i64 = 10;
/// Endpoints and quotas lag behind the controllers of pods.
const LATE_REACTION_MS: i64 = 20;

impl Cluster {
    /// Queues the work that follows from a change. Either form is missing when
    /// the object is new or gone.
    pub(crate) fn notify(&mut self, kind: Kind, old: Option<&Value>, new: Option<&Value>) {
        let Some(object) = new.or(old) else {
            return;
        };
        self.notify_ownership(kind, old, new, object);
        let own = key_of(object);
        match kind {
            Kind::Pod => self.notify_pod(old, new, object),
            Kind::Node => self.notify_node(old, new),
            Kind::Namespace => self.schedule(REACTION_MS, Task::Namespace(own)),
            Kind::Deployment => {
                self.schedule(REACTION_MS, Task::Deployment(own));
                self.notify_selectors(namespace(object));
            }
            Kind::ReplicaSet => {
                if new.is_some() {
                    self.schedule(REACTION_MS, Task::ReplicaSet(own));
                }
                self.notify_controller(object);
            }
            Kind::DaemonSet => self.schedule(REACTION_MS, Task::DaemonSet(own)),
            Kind::HorizontalPodAutoscaler => self.schedule(REACTION_MS, Task::Autoscaler(own)),
            Kind::PodDisruptionBudget => self.schedule(REACTION_MS, Task::DisruptionBudget(own)),
            Kind::ResourceQuota => {
                self.schedule(REACTION_MS, Task::Quota(namespace(object).to_owned()));
            }
            Kind::Service => {
                self.schedule(REACTION_MS, Task::Service(own.clone()));
                self.schedule(LATE_REACTION_MS, Task::Endpoints(own));
                self.notify_quota(namespace(object));
            }
            Kind::PersistentVolumeClaim => {
                self.schedule(REACTION_MS, Task::Claim(own));
                self.schedule(LATE_REACTION_MS, Task::Schedule);
                if !text(object, "spec.volumeName").is_empty() {
                    self.schedule(REACTION_MS, Task::Volume(text(object, "spec.volumeName").to_owned()));
                    self.schedule(LATE_REACTION_MS, Task::Attachments);
                }
                self.notify_quota(namespace(object));
            }
            Kind::PersistentVolume => {
                let claim = at(object, "spec.claimRef");
                if claim.is_object() {
                    self.schedule(
                        REACTION_MS,
                        Task::Claim(key(text(claim, "namespace"), text(claim, "name"))),
                    );
                }
                self.schedule(REACTION_MS, Task::Volume(own));
                if self.is_mirror() {
                    self.schedule(REACTION_MS, Task::Attachments);
                }
            }
            Kind::VolumeAttachment if self.is_mirror() => self.schedule(REACTION_MS, Task::Attachments),
            Kind::StorageClass => self.notify_claims(),
            Kind::ServiceAccount | Kind::ConfigMap if new.is_none() => {
                self.schedule(REACTION_MS, Task::Namespace(namespace(object).to_owned()));
            }
            Kind::ConfigMap | Kind::Secret if old.is_none() => self.notify_waiting_pods(namespace(object)),
            _ => {}
        }
    }

    /// Garbage collection: of dependents when an owner goes, of objects whose
    /// owner never was, and the progress of deletions in the foreground.
    fn notify_ownership(&mut self, kind: Kind, old: Option<&Value>, new: Option<&Value>, object: &Value) {
        let owners = items(object, "metadata.ownerReferences");
        match new {
            None => {
                if ![Kind::Pod, Kind::EndpointSlice, Kind::Endpoints, Kind::Event].contains(&kind) {
                    let orphans = Task::CollectOrphans {
                        namespace: namespace(object).to_owned(),
                        uid: uid(object).to_owned(),
                    };
                    self.schedule(REACTION_MS, orphans);
                }
                for reference in owners {
                    let waiting =
                        self.owner(object, reference).filter(|owner| has_finalizer(owner, FOREGROUND));
                    if let (Some(owner), Some(kind)) =
                        (waiting, Kind::by_name(text(reference, "apiVersion"), text(reference, "kind")))
                    {
                        let task = Task::FinishDeletion(kind, key_of(owner));
                        self.schedule(REACTION_MS, task);
                    }
                }
            }
            Some(new)
                if is_deleting(new) && (has_finalizer(new, FOREGROUND) || has_finalizer(new, ORPHAN)) =>
            {
                self.schedule(REACTION_MS, Task::FinishDeletion(kind, key_of(new)));
            }
            Some(new) if old.is_none() && !owners.is_empty() => {
                if owners.iter().all(|owner| self.owner(new, owner).is_none()) {
                    self.schedule(REACTION_MS, Task::CheckOwners(kind, key_of(new)));
                }
            }
            Some(_) => {}
        }
    }

    fn notify_controller(&mut self, object: &Value) {
        let Some(owner) = controller_of(object) else {
            return;
        };
        let own = key(namespace(object), text(owner, "name"));
        match text(owner, "kind") {
            "Deployment" => self.schedule(REACTION_MS, Task::Deployment(own)),
            "ReplicaSet" => self.schedule(REACTION_MS, Task::ReplicaSet(own)),
            "DaemonSet" => self.schedule(REACTION_MS, Task::DaemonSet(own)),
            _ => {}
        }
    }

    fn notify_pod(&mut self, old: Option<&Value>, new: Option<&Value>, pod: &Value) {
        self.notify_controller(pod);
        self.schedule(REACTION_MS, Task::Schedule);
        if self.is_mirror() {
            self.notify_kubelet(old, new);
        } else if old.is_none() && !text(pod, "spec.nodeName").is_empty() {
            self.schedule(LATE_REACTION_MS, Task::StartPod(key_of(pod)));
        }
        let is_same = |path: &str| old.map(|pod| at(pod, path)) == new.map(|pod| at(pod, path));
        let is_readiness_same = is_same("status.conditions")
            && is_same("status.podIP")
            && is_same("metadata.labels")
            && is_same("metadata.deletionTimestamp");
        if !is_readiness_same {
            let mut services: Vec<String> = Vec::new();
            for service in self.store.within(Kind::Service, namespace(pod)) {
                let selector = LabelSelector::of_map(at(service, "spec.selector"));
                let is_selected = |pod: Option<&Value>| pod.is_some_and(|pod| selector.selects(labels(pod)));
                if !selector.is_empty() && (is_selected(old) || is_selected(new)) {
                    services.push(key_of(service));
                }
            }
            for service in services {
                self.schedule(LATE_REACTION_MS, Task::Endpoints(service));
            }
            self.notify_selectors(namespace(pod));
        }
        if old.is_none() || new.is_none() || !is_same("status.phase") {
            self.notify_quota(namespace(pod));
        }
        for claim in claims_of(pod) {
            self.schedule(REACTION_MS, Task::Claim(key(namespace(pod), &claim)));
            self.schedule(LATE_REACTION_MS, Task::Attachments);
        }
    }

    /// Autoscalers and disruption budgets of a namespace.
    fn notify_selectors(&mut self, namespace: &str) {
        let keys = |kind| self.store.within(kind, namespace).map(|o| key_of(o)).collect::<Vec<String>>();
        let (autoscalers, budgets) = (keys(Kind::HorizontalPodAutoscaler), keys(Kind::PodDisruptionBudget));
        for own in autoscalers {
            self.schedule(LATE_REACTION_MS, Task::Autoscaler(own));
        }
        for own in budgets {
            self.schedule(LATE_REACTION_MS, Task::DisruptionBudget(own));
        }
    }

    fn notify_quota(&mut self, namespace: &str) {
        if self.store.count(Kind::ResourceQuota, namespace) > 0 {
            self.schedule(LATE_REACTION_MS, Task::Quota(namespace.to_owned()));
        }
    }

    fn notify_node(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let relevant = |node: &Value| {
            (
                at(node, "metadata.labels").clone(),
                at(node, "spec").clone(),
                at(node, "status.conditions").clone(),
            )
        };
        if old.map(relevant) == new.map(relevant) {
            return;
        }
        self.schedule(REACTION_MS, Task::Schedule);
        let daemon_sets: Vec<String> = self.store.all(Kind::DaemonSet).map(|o| key_of(o)).collect();
        for own in daemon_sets {
            self.schedule(REACTION_MS, Task::DaemonSet(own));
        }
        let is_balanced = |service: &&std::sync::Arc<Value>| text(service, "spec.type") == "LoadBalancer";
        let services: Vec<String> =
            self.store.all(Kind::Service).filter(is_balanced).map(|o| key_of(o)).collect();
        for own in services {
            self.schedule(REACTION_MS, Task::Service(own));
        }
    }

    fn notify_claims(&mut self) {
        let claims: Vec<String> = self.store.all(Kind::PersistentVolumeClaim).map(|o| key_of(o)).collect();
        for own in claims {
            self.schedule(REACTION_MS, Task::Claim(own));
        }
    }

    /// Pods that may wait for a config map or a secret.
    fn notify_waiting_pods(&mut self, namespace: &str) {
        let waiting: Vec<String> = self
            .store
            .within(Kind::Pod, namespace)
            .filter(|pod| text(pod, "status.phase") == "Pending" && !text(pod, "spec.nodeName").is_empty())
            .map(|pod| key_of(pod))
            .collect();
        for own in waiting {
            if !self.is_pod_starting(&own) {
                self.schedule(REACTION_MS, Task::StartPod(own));
            }
        }
    }
}

/// The names of the claims that a pod mounts.
pub(crate) fn claims_of(pod: &Value) -> Vec<String> {
    let mut claims: Vec<String> = items(pod, "spec.volumes")
        .iter()
        .map(|volume| text(volume, "persistentVolumeClaim.claimName"))
        .filter(|claim| !claim.is_empty())
        .map(str::to_owned)
        .collect();
    for volume in items(pod, "spec.volumes") {
        if at(volume, "ephemeral").is_object() {
            claims.push(format!("{}-{}", name(pod), text(volume, "name")));
        }
    }
    claims
}
