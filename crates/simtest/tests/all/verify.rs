//! Verification: each promise of every template is checked, and a promise that
//! is broken by hand fails its own check and no other.

use std::collections::BTreeSet;

use exokit_engine::verify::Verification;
use exokit_model::ids::EnvironmentName;
use exokit_model::phase::Phase;
use exokit_sim::{Config, Kind};
use exokit_simtest::rig::{Rig, request};
use exokit_simtest::setup;
use serde_json::{Value, json};

use crate::administrator::administer;

/// An environment of a template, and somebody with rights on the account and in
/// the cluster.
struct Scene {
    rig: Rig,
    template: u16,
    environment: EnvironmentName,
    namespace: String,
    service: String,
}

impl Scene {
    async fn new(template: u16) -> Self {
        let rig = Rig::new(Config::default());
        rig.install_roster().await;
        let (state, phase) = setup::provisioned(&rig, template).await.unwrap();
        assert_eq!(phase, Phase::Succeeded, "T{template}");
        let workload = &state.plan.spec.as_ref().unwrap().workload;
        let (namespace, service) = (workload.namespace.clone(), workload.service.clone());
        Self { rig, template, environment: state.plan.environment.clone(), namespace, service }
    }

    async fn verify(&self) -> Verification {
        let level = request(self.template).template_level;
        self.rig.engine().verify(&self.environment, |_| Some(level)).await.unwrap()
    }

    async fn failed(&self) -> Vec<String> {
        let checks = self.verify().await.checks;
        checks.into_iter().filter(|check| !check.passed).map(|check| check.id).collect()
    }

    fn id(&self, kind: Kind) -> String {
        let live = self.rig.cloud(|world| world.live());
        live.into_iter().find(|resource| resource.kind == kind).unwrap().id
    }

    /// Someone changes a field of the only resource of a kind.
    fn change(&self, kind: Kind, field: &str, value: Value) {
        let id = self.id(kind);
        assert!(self.rig.cloud_mut(|world| world.human_change(kind, &id, field, value)));
    }

    fn administer(&self, method: &str, path: &str, body: &Value) {
        administer(&self.rig, method, path, body);
    }

    /// The path of an object in the namespace.
    fn path(&self, group: &str, kind: &str, name: &str) -> String {
        format!("{group}/namespaces/{}/{kind}/{name}", self.namespace)
    }

    fn patch(&self, group: &str, kind: &str, body: &Value) {
        self.administer("PATCH", &self.path(group, kind, &self.service), body);
    }

    /// The workload's object of a kind.
    fn object(&self, kind: &str) -> Value {
        self.object_named(kind, Some(&self.service))
    }

    fn object_named(&self, kind: &str, name: Option<&str>) -> Value {
        self.rig.cloud(|world| {
            let mut objects = world.objects_in_clusters();
            let found = objects.find(|object| {
                object["kind"] == kind && name.is_none_or(|name| object["metadata"]["name"] == name)
            });
            found.unwrap().clone()
        })
    }

    fn label_nodes(&self, label: &str, value: Value) {
        let nodes: Vec<String> = self.rig.cloud(|world| {
            let nodes = world.objects_in_clusters().filter(|object| object["kind"] == "Node");
            nodes.map(|node| node["metadata"]["name"].as_str().unwrap().to_owned()).collect()
        });
        assert!(!nodes.is_empty());
        let labels = json!({"metadata": {"labels": {label: value}}});
        nodes.iter().for_each(|node| self.administer("PATCH", &format!("/api/v1/nodes/{node}"), &labels));
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn every_promise_of_every_template_is_kept() {
    for template in 1..=7 {
        let verification = Scene::new(template).await.verify().await;
        let failed: Vec<_> = verification.checks.iter().filter(|check| !check.passed).collect();
        assert!(failed.is_empty(), "T{template}: {failed:#?}");
        assert_eq!(verification.checks.len(), 10 + 18);
    }
}

const APPS: &str = "/apis/apps/v1";
const SCALING: &str = "/apis/autoscaling/v2";
const NETWORKING: &str = "/apis/networking.k8s.io/v1";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Changes the amounts of the workload's container. A merge patch replaces the
/// list of containers, so the rest of it is taken from what is there.
fn change_amounts(scene: &Scene, which: &str, amounts: &Value) {
    let deployment = scene.object("Deployment");
    let mut containers = deployment["spec"]["template"]["spec"]["containers"].clone();
    containers[0]["resources"][which] = amounts.clone();
    scene.patch(APPS, "deployments", &json!({"spec": {"template": {"spec": {"containers": containers}}}}));
}

/// A promise, and how somebody breaks it.
type Break = (&'static str, u16, fn(&Scene));

const BREAKS: &[Break] = &[
    ("U02", 3, |scene| scene.change(Kind::SksCluster, "level", json!("pro"))),
    ("U05", 3, |scene| scene.change(Kind::SksNodepool, "instance-type", json!({"id": "other"}))),
    ("U03", 3, |scene| {
        let node = scene.object_named("Node", None);
        let mut conditions = node["status"]["conditions"].clone();
        let ready = conditions.as_array_mut().unwrap().iter_mut().find(|one| one["type"] == "Ready").unwrap();
        ready["status"] = json!("False");
        let path = format!("/api/v1/nodes/{}/status", node["metadata"]["name"].as_str().unwrap());
        scene.administer("PATCH", &path, &json!({"status": {"conditions": conditions}}));
    }),
    ("U07", 3, |scene| {
        let mut ports = scene.object("Service")["spec"]["ports"].clone();
        ports[0]["port"] = json!(5001);
        scene.patch("/api/v1", "services", &json!({"spec": {"ports": ports}}));
    }),
    ("U08", 3, |scene| scene.label_nodes("stargate.io/role", Value::Null)),
    ("U09", 3, |scene| scene.label_nodes("stargate.io/template", json!("T4-compute-heavy"))),
    ("T3-01", 3, |scene| scene.change(Kind::SksNodepool, "size", json!(5))),
    ("T3-02", 3, |scene| scene.change(Kind::SksNodepool, "disk-size", json!(400))),
    ("T3-03", 3, |scene| scene.change(Kind::DbaasService, "version", json!("15"))),
    ("T3-04", 3, |scene| {
        let bucket = scene.id(Kind::Bucket);
        assert!(scene.rig.cloud_mut(|world| world.human_publish(&bucket)));
    }),
    ("T3-05", 3, |scene| {
        let machine = scene.id(Kind::Instance);
        scene.rig.cloud_mut(|world| world.plant_volume("mine", 10, "ch-dk-2", Some(&machine)));
    }),
    ("T3-07", 3, |scene| {
        let mut ports = scene.object("Service")["spec"]["ports"].clone();
        ports[0]["nodePort"] = json!(30_999);
        scene.patch("/api/v1", "services", &json!({"spec": {"ports": ports}}));
    }),
    ("T3-09", 3, |scene| {
        let mut metrics = scene.object("HorizontalPodAutoscaler")["spec"]["metrics"].clone();
        metrics[0]["resource"]["target"]["averageUtilization"] = json!(99);
        scene.patch(SCALING, "horizontalpodautoscalers", &json!({"spec": {"metrics": metrics}}));
    }),
    ("T3-10", 3, |scene| change_amounts(scene, "limits", &json!({"cpu": "2", "memory": "1Gi"}))),
    ("T3-11", 3, |scene| change_amounts(scene, "requests", &json!({"cpu": "200m", "memory": "300Mi"}))),
    ("T3-13", 3, |scene| {
        scene.administer("DELETE", &scene.path(NETWORKING, "ingresses", &scene.service), &json!({}));
    }),
    ("T3-16", 3, |scene| {
        let group = scene.id(Kind::SecurityGroup);
        let open = json!({
            "id": "f0f0f0f0-0000-4000-8000-000000000000", "flow-direction": "ingress", "protocol": "tcp",
            "network": "0.0.0.0/0", "start-port": 22, "end-port": 22,
        });
        scene.rig.cloud_mut(|world| {
            let mut rules = world.field(Kind::SecurityGroup, &group, "rules").unwrap().clone();
            rules.as_array_mut().unwrap().push(open);
            assert!(world.human_change(Kind::SecurityGroup, &group, "rules", rules));
        });
    }),
    ("T3-06", 3, |scene| {
        let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
        scene.administer("PATCH", &format!("/api/v1/namespaces/{}", scene.namespace), &labels);
    }),
    ("T3-08", 3, |scene| {
        let path = scene.path(SCALING, "horizontalpodautoscalers", &scene.service);
        scene.administer("DELETE", &path, &json!({}));
    }),
    ("T3-12", 3, |scene| {
        scene.patch("/apis/policy/v1", "poddisruptionbudgets", &json!({"spec": {"minAvailable": 0}}));
    }),
    ("T3-17", 3, |scene| {
        let role =
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"});
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": "mine"}, "roleRef": role, "subjects": [],
        });
        scene.administer("POST", &format!("{RBAC}/clusterrolebindings"), &binding);
    }),
    ("T5-18", 5, |scene| {
        let path = scene.path(NETWORKING, "networkpolicies", "deny-all");
        scene.administer("DELETE", &path, &json!({}));
    }),
    ("T5-14", 5, |scene| scene.label_nodes("stargate.io/clearance", Value::Null)),
];

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_broken_promise_fails_its_own_check_and_no_other() {
    for (id, template, harm) in BREAKS {
        let scene = Scene::new(*template).await;
        harm(&scene);
        assert_eq!(scene.failed().await, [*id]);
    }
}

/// Checks whose evidence nobody can change from outside without changing other
/// evidence, too: `crates/verification/tests/all/evidence.rs` changes it alone.
const BROKEN_IN_THE_CRATE: [&str; 6] = ["U01", "U04", "U06", "U10", "T6-14", "T3-15"];

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn each_check_is_broken_by_a_test() {
    let number = |id: &str| id.rsplit('-').next().unwrap().to_owned();
    let broken: BTreeSet<String> =
        BREAKS.iter().map(|(id, ..)| *id).chain(BROKEN_IN_THE_CRATE).map(number).collect();
    let all = Scene::new(3).await.verify().await.checks;
    assert_eq!(all.iter().map(|check| number(&check.id)).collect::<BTreeSet<_>>(), broken);
}
