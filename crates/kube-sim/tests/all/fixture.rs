//! A cluster with an owner that carries out its cloud calls.

use bytes::Bytes;
use exokit_kube_sim::{CloudAnswer, CloudCall, Cluster, Machine, Reply, Settings, User, Watch};
use serde_json::{Value, json};

/// Time of the cloud for each call.
const CLOUD_MS: i64 = 5000;

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) now: i64,
    pub(crate) user: User,
    pub(crate) calls: Vec<CloudCall>,
    /// Whether calls to the cloud are answered.
    pub(crate) has_cloud: bool,
    answers: Vec<(i64, CloudAnswer)>,
    volumes: u32,
}

pub(crate) struct Got {
    pub(crate) code: u16,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Got {
    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        seed: 7,
        version: "1.35.1".into(),
        zone: "ch-gva-2".into(),
        pod_start_ms: (1000, 3000),
        broken_images: vec!["broken/".into()],
    }
}

pub(crate) fn machine(number: u32) -> Machine {
    Machine {
        id: format!("00000000-0000-4000-8000-{number:012}"),
        name: format!("node-{number}"),
        address: format!("203.0.113.{number}"),
        zone: "ch-gva-2".into(),
        instance_type: "standard.medium".into(),
        labels: [("pool".to_owned(), "a".to_owned())].into(),
        taints: vec![],
        cpus: 2,
        memory_bytes: 4 << 30,
        disk_gib: 50,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let now = 1_800_000_000_000;
        Self {
            cluster: Cluster::new(settings(), now),
            now,
            user: User { name: "admin".into(), groups: vec!["system:masters".into()] },
            calls: vec![],
            has_cloud: true,
            answers: vec![],
            volumes: 0,
        }
    }

    /// A cluster with ready nodes.
    pub(crate) fn with_nodes(count: u32) -> Self {
        let mut world = Self::new();
        for number in 1..=count {
            world.cluster.join(world.now, &machine(number));
        }
        world.run(1000);
        world
    }

    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let Reply::Whole(reply) = self.cluster.handle(self.now, &self.user, &request) else {
            panic!("{method} {path} is a watch");
        };
        let warnings =
            reply.headers().get_all("warning").iter().map(|w| w.to_str().unwrap().to_owned()).collect();
        let body = serde_json::from_slice(reply.body())
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(reply.body())));
        Got { code: reply.status().as_u16(), body, warnings }
    }

    pub(crate) fn watch(&mut self, path: &str) -> Watch {
        let request = http::Request::get(path).body(Bytes::new()).unwrap();
        match self.cluster.handle(self.now, &self.user, &request) {
            Reply::Watch(watch) => watch,
            Reply::Whole(reply) => panic!("{path}: {reply:?}"),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> Got {
        self.request("GET", path, &[], "")
    }

    pub(crate) fn delete(&mut self, path: &str) -> Got {
        self.request("DELETE", path, &[], "")
    }

    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Got {
        self.request("POST", path, &[("content-type", "application/json")], &body.to_string())
    }

    pub(crate) fn put(&mut self, path: &str, body: &Value) -> Got {
        self.request("PUT", path, &[("content-type", "application/json")], &body.to_string())
    }

    pub(crate) fn patch(&mut self, kind: &str, path: &str, body: &Value) -> Got {
        let kind = format!("application/{kind}-patch+json");
        self.request("PATCH", path, &[("content-type", &kind)], &body.to_string())
    }

    /// Server-side apply as the manager `tester`, with further parameters.
    pub(crate) fn apply(&mut self, path: &str, body: &Value) -> Got {
        self.apply_as("tester", path, body)
    }

    pub(crate) fn apply_as(&mut self, manager: &str, path: &str, body: &Value) -> Got {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}fieldManager={manager}");
        self.request("PATCH", &path, &[("content-type", "application/apply-patch+yaml")], &body.to_string())
    }

    /// Lets time pass, and carries out calls to the cloud.
    pub(crate) fn run(&mut self, ms: i64) {
        let end = self.now + ms;
        loop {
            let calls = self.cluster.take_cloud_calls();
            for call in calls {
                if self.has_cloud {
                    let answer = self.answer_of(&call);
                    self.answers.push((self.now + CLOUD_MS, answer));
                }
                self.calls.push(call);
            }
            let answer_due = self.answers.iter().map(|(due, _)| *due).min();
            let next = [self.cluster.next_due_ms(), answer_due].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            match self.answers.iter().position(|(due, _)| *due <= self.now) {
                Some(place) => {
                    let (_, answer) = self.answers.remove(place);
                    self.cluster.answer(self.now, answer);
                }
                None => self.cluster.advance(self.now),
            }
        }
        self.now = end;
        self.cluster.advance(end);
    }

    fn answer_of(&mut self, call: &CloudCall) -> CloudAnswer {
        match call.clone() {
            CloudCall::EnsureLoadBalancer { service_uid, .. } => {
                CloudAnswer::LoadBalancer { service_uid, id: "lb-1".into(), ip: "198.51.100.7".into() }
            }
            CloudCall::DeleteLoadBalancer { service_uid } => CloudAnswer::LoadBalancerGone { service_uid },
            CloudCall::CreateVolume { claim_uid, .. } => {
                self.volumes += 1;
                CloudAnswer::VolumeCreated { claim_uid, id: format!("volume-{}", self.volumes) }
            }
            CloudCall::DeleteVolume { id } => CloudAnswer::VolumeDeleted { id },
            CloudCall::AttachVolume { id, .. } => CloudAnswer::VolumeAttached { id },
            CloudCall::DetachVolume { id } => CloudAnswer::VolumeDetached { id },
        }
    }

    /// The status conditions of an object as `Type=Status`.
    pub(crate) fn conditions(&mut self, path: &str) -> Vec<String> {
        let got = self.get(path);
        let conditions = got.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions
            .iter()
            .map(|c| format!("{}={}", c["type"].as_str().unwrap(), c["status"].as_str().unwrap()))
            .collect()
    }
}

pub(crate) fn deployment(name: &str, replicas: u32, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "main", "image": image, "ports": [{"name": "http", "containerPort": 8080}],
                    "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
                }]},
            },
        },
    })
}

pub(crate) const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
pub(crate) const SERVICES: &str = "/api/v1/namespaces/default/services";
pub(crate) const CLAIMS: &str = "/api/v1/namespaces/default/persistentvolumeclaims";
pub(crate) const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
