//! Verification: each promise of every template is checked, and a promise that
//! is broken by hand fails its own check and no other.

use bytes::Bytes;
use exokit_engine::verify::Verification;
use exokit_kube_sim::User;
use exokit_model::ids::EnvironmentName;
use exokit_model::phase::Phase;
use exokit_sim::{Config, Kind};
use exokit_simtest::rig::{Rig, request};
use exokit_simtest::setup;
use serde_json::{Value, json};

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
        self.rig.engine().verify(&self.environment, level).await.unwrap()
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

    /// Someone with all rights changes the cluster.
    fn administer(&self, method: &str, path: &str, body: &Value) {
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder().method(method).uri(path).header("content-type", content);
        let request = request.body(Bytes::from(body.to_string())).unwrap();
        let user = User { name: "kim".into(), groups: vec!["system:masters".into()] };
        let cluster = self.id(Kind::SksCluster);
        self.rig.cloud_mut(|world| {
            let now = world.now_ms();
            let reply = world.cluster_mut(&cluster).unwrap().handle(now, &user, &request);
            let exokit_kube_sim::Reply::Whole(reply) = reply else { panic!("no watch was asked for") };
            assert!(reply.status().is_success(), "{method} {path}: {reply:?}");
        });
    }

    /// The path of an object in the namespace.
    fn path(&self, group: &str, kind: &str, name: &str) -> String {
        format!("{group}/namespaces/{}/{kind}/{name}", self.namespace)
    }

    fn patch(&self, group: &str, kind: &str, body: &Value) {
        self.administer("PATCH", &self.path(group, kind, &self.service), body);
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
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn container(fields: &Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": fields}}}})
}

/// A promise, and how somebody breaks it.
type Break = (&'static str, u16, fn(&Scene));

const BREAKS: &[Break] = &[
    ("U02", 3, |scene| scene.change(Kind::SksCluster, "level", json!("pro"))),
    ("U05", 3, |scene| scene.change(Kind::SksNodepool, "instance-type", json!({"id": "other"}))),
    ("U08", 3, |scene| scene.label_nodes("stargate.io/role", Value::Null)),
    ("U09", 3, |scene| scene.label_nodes("stargate.io/template", json!("T4-compute-heavy"))),
    ("T3-01", 3, |scene| scene.change(Kind::SksNodepool, "size", json!(5))),
    ("T3-02", 3, |scene| scene.change(Kind::SksNodepool, "disk-size", json!(400))),
    ("T3-03", 3, |scene| scene.change(Kind::DbaasService, "version", json!("15"))),
    ("T3-06", 3, |scene| {
        let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
        scene.administer("PATCH", &format!("/api/v1/namespaces/{}", scene.namespace), &labels);
    }),
    ("T3-08", 3, |scene| {
        let path = scene.path("/apis/autoscaling/v2", "horizontalpodautoscalers", &scene.service);
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
        let path = scene.path("/apis/networking.k8s.io/v1", "networkpolicies", "deny-all");
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
