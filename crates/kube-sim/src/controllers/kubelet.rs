//! The kubelets: pods start, become ready and stop.

use crate::cluster::Cluster;
use crate::controllers::conditions::set_condition;
use crate::controllers::pods::is_finished;
use crate::kind::Kind;
use crate::queue::Task;
use crate::store::key;
use crate::time::rfc3339;
use crate::triggers::claims_of;
use crate::value::{at, flag, is_deleting, items, namespace, number, set, text};
use serde_json::{Value, json};

/// How often the kubelet tries an image again that it could not pull.
const PULL_RETRY_MS: i64 = 60_000;

/// What a pod on a node waits for.
enum Obstacle {
    /// A volume is unbound or not attached.
    Volume,
    /// A config map or secret that a container reads is missing.
    Configuration(String),
    /// An image cannot be pulled.
    Image,
}

impl Cluster {
    /// Whether a pod will become ready by itself.
    pub(crate) fn is_pod_starting(&self, pod: &str) -> bool {
        self.queue.contains(&Task::ReadyPod(pod.to_owned()))
    }

    /// A node takes a pod that was scheduled to it.
    pub(crate) fn start_pod(&mut self, key: &str) {
        let Some(pod) = self.store.get(Kind::Pod, key).cloned() else {
            return;
        };
        let is_waiting = text(&pod, "status.phase") == "Pending" && !text(&pod, "spec.nodeName").is_empty();
        if !is_waiting || is_deleting(&pod) || self.is_pod_starting(key) || self.is_left_behind(&pod) {
            return;
        }
        let obstacle = self.obstacle(&pod);
        let (now, address) = (self.now, self.node_address(&pod));
        let waiting = match &obstacle {
            None | Some(Obstacle::Volume) => ("ContainerCreating", String::new()),
            Some(Obstacle::Configuration(message)) => ("CreateContainerConfigError", message.clone()),
            Some(Obstacle::Image) => ("ImagePullBackOff", "Back-off pulling image".to_owned()),
        };
        self.change_object(Kind::Pod, key, |pod| {
            crate::value::set_default(pod, "status.startTime", rfc3339(now));
            set(pod, "status.hostIP", address.clone());
            set(pod, "status.hostIPs", json!([{"ip": address}]));
            let containers = unready_containers(pod);
            let message = format!("containers with unready status: [{containers}]");
            set_condition(pod, now, "Initialized", true, "", "");
            set_condition(pod, now, "Ready", false, "ContainersNotReady", &message);
            set_condition(pod, now, "ContainersReady", false, "ContainersNotReady", &message);
            let statuses = waiting_statuses(pod, waiting.0, &waiting.1);
            set(pod, "status.containerStatuses", statuses);
        });
        match obstacle {
            None => {
                let (low, high) = self.settings.pod_start_ms;
                let delay = self.rng.between(low, high);
                self.schedule(i64::try_from(delay).unwrap_or(i64::MAX), Task::ReadyPod(key.to_owned()));
            }
            Some(Obstacle::Image) => self.schedule(PULL_RETRY_MS, Task::StartPod(key.to_owned())),
            Some(_) => {}
        }
    }

    fn obstacle(&self, pod: &Value) -> Option<Obstacle> {
        let space = namespace(pod);
        if claims_of(pod)
            .iter()
            .any(|claim| !self.is_claim_attached(space, claim, text(pod, "spec.nodeName")))
        {
            return Some(Obstacle::Volume);
        }
        for volume in items(pod, "spec.volumes") {
            let is_missing = |kind: Kind, path: &str, name: &str| {
                let wanted = text(volume, &format!("{path}.{name}"));
                !wanted.is_empty()
                    && !flag(volume, &format!("{path}.optional"))
                    && !self.store.contains(kind, &key(space, wanted))
            };
            if is_missing(Kind::ConfigMap, "configMap", "name")
                || is_missing(Kind::Secret, "secret", "secretName")
            {
                return Some(Obstacle::Volume);
            }
        }
        if let Some(message) = self.missing_configuration(pod) {
            return Some(Obstacle::Configuration(message));
        }
        let is_broken = |container: &Value| {
            let image = text(container, "image");
            self.settings.broken_images.iter().any(|prefix| image.starts_with(prefix.as_str()))
        };
        let mut containers = items(pod, "spec.initContainers").iter().chain(items(pod, "spec.containers"));
        containers.any(is_broken).then_some(Obstacle::Image)
    }

    /// The first config map or secret of an environment that does not exist.
    fn missing_configuration(&self, pod: &Value) -> Option<String> {
        let space = namespace(pod);
        let check = |source: &Value, kind: Kind, what: &str| {
            let name = text(source, "name");
            let is_missing = !name.is_empty()
                && !flag(source, "optional")
                && !self.store.contains(kind, &key(space, name));
            is_missing.then(|| format!("{what} \"{name}\" not found"))
        };
        for container in items(pod, "spec.initContainers").iter().chain(items(pod, "spec.containers")) {
            let sources = items(container, "env")
                .iter()
                .map(|variable| {
                    (at(variable, "valueFrom.configMapKeyRef"), at(variable, "valueFrom.secretKeyRef"))
                })
                .chain(
                    items(container, "envFrom")
                        .iter()
                        .map(|source| (at(source, "configMapRef"), at(source, "secretRef"))),
                );
            for (map, secret) in sources {
                let missing = check(map, Kind::ConfigMap, "configmap")
                    .or_else(|| check(secret, Kind::Secret, "secret"));
                if missing.is_some() {
                    return missing;
                }
            }
        }
        None
    }

    fn node_address(&self, pod: &Value) -> String {
        let node = self.store.get(Kind::Node, text(pod, "spec.nodeName"));
        let addresses = node.map_or(&[][..], |node| items(node, "status.addresses"));
        addresses
            .iter()
            .find(|address| text(address, "type") == "InternalIP")
            .map(|address| text(address, "address").to_owned())
            .unwrap_or_default()
    }

    /// The containers of a pod run and pass their probes.
    pub(crate) fn ready_pod(&mut self, key: &str) {
        let Some(pod) = self.store.get(Kind::Pod, key).cloned() else {
            return;
        };
        if is_deleting(&pod) || is_finished(&pod) || self.is_left_behind(&pod) {
            return;
        }
        if self.obstacle(&pod).is_some() {
            self.start_pod(key);
            return;
        }
        if text(&pod, "status.phase") == "Running" {
            self.complete_pod(key);
            return;
        }
        let address = match flag(&pod, "spec.hostNetwork") {
            true => self.node_address(&pod),
            false => self.new_pod_address(),
        };
        let now = self.now;
        self.change_object(Kind::Pod, key, |pod| {
            set(pod, "status.phase", "Running");
            set(pod, "status.podIP", address.clone());
            set(pod, "status.podIPs", json!([{"ip": address}]));
            for condition in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"] {
                set_condition(pod, now, condition, true, "", "");
            }
            let statuses = running_statuses(pod, now);
            set(pod, "status.containerStatuses", statuses);
            let generation = number(pod, "metadata.generation");
            set(pod, "status.observedGeneration", generation);
        });
        if text(&pod, "spec.restartPolicy") != "Always" {
            let (low, high) = self.settings.pod_start_ms;
            let delay = self.rng.between(low, high);
            self.schedule(i64::try_from(delay).unwrap_or(i64::MAX), Task::ReadyPod(key.to_owned()));
        }
    }

    /// A pod that is not to be restarted has done its work.
    fn complete_pod(&mut self, key: &str) {
        let now = self.now;
        self.change_object(Kind::Pod, key, |pod| {
            set(pod, "status.phase", "Succeeded");
            for condition in ["Ready", "ContainersReady"] {
                set_condition(pod, now, condition, false, "PodCompleted", "");
            }
            let at = rfc3339(now);
            for status in crate::value::list(crate::value::place(pod, "status.containerStatuses")) {
                set(status, "ready", false);
                set(status, "started", false);
                set(
                    status,
                    "state",
                    json!({"terminated": {
                        "exitCode": 0, "reason": "Completed", "startedAt": at, "finishedAt": at,
                    }}),
                );
            }
        });
    }

    fn new_pod_address(&mut self) -> String {
        self.addresses.pods = self.addresses.pods % 65_000 + 1;
        let number = self.addresses.pods;
        format!("192.168.{}.{}", number / 250 % 256, number % 250 + 2)
    }

    /// The containers of a deleted pod have stopped.
    pub(crate) fn remove_stopped_pod(&mut self, key: &str) {
        if !self.store.get(Kind::Pod, key).is_some_and(|pod| is_deleting(pod)) {
            return;
        }
        if self.is_mirror() {
            return self.remove_object(Kind::Pod, key);
        }
        self.change_object(Kind::Pod, key, |pod| {
            set(pod, "metadata.deletionGracePeriodSeconds", 0);
        });
    }
}

fn unready_containers(pod: &Value) -> String {
    let names: Vec<&str> =
        items(pod, "spec.containers").iter().map(|container| text(container, "name")).collect();
    names.join(" ")
}

fn waiting_statuses(pod: &Value, reason: &str, message: &str) -> Value {
    let mut waiting = json!({"reason": reason});
    if !message.is_empty() {
        set(&mut waiting, "message", message);
    }
    items(pod, "spec.containers")
        .iter()
        .map(|container| {
            json!({
                "name": text(container, "name"), "image": text(container, "image"), "imageID": "",
                "ready": false, "started": false, "restartCount": 0, "lastState": {}, "state": {"waiting": waiting},
            })
        })
        .collect()
}

fn running_statuses(pod: &Value, now: i64) -> Value {
    let at = rfc3339(now);
    items(pod, "spec.containers")
        .iter()
        .map(|container| {
            let name = text(container, "name");
            let image = text(container, "image");
            json!({
                "name": name, "image": image, "imageID": image, "containerID": format!("containerd://{name}"),
                "ready": true, "started": true, "restartCount": 0, "lastState": {},
                "state": {"running": {"startedAt": at}},
            })
        })
        .collect()
}
