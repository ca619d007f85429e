//! The workload inside the cluster: what people change there, pods that never
//! become ready, and an API server that cannot be reached.

use std::time::Duration;

use data_encoding::BASE64;
use exokit_model::kind::Kind as ModelKind;
use exokit_model::phase::Phase;
use exokit_sim::{Config, Fault, FaultRule, Kind, Matcher, Policies, World};
use exokit_simtest::rig::Rig;
use exokit_simtest::{oracle, setup};
use serde_json::json;

use crate::administrator::administer;

const IN_NAMESPACE: &str = "namespaces/exo-stargate-store";

async fn rig(config: Config) -> Rig {
    let rig = Rig::new(config);
    rig.install_roster().await;
    rig
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn drift_names_each_field_that_somebody_changed_in_the_cluster() {
    let rig = rig(Config::default()).await;
    let (state, _) = setup::provisioned(&rig, 3).await.unwrap();
    let limits = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "workload", "image": "other:1", "resources": {"limits": {"cpu": "4"}}},
    ]}}}});
    let deployment = format!("/apis/apps/v1/{IN_NAMESPACE}/deployments/stargate-store");
    administer(&rig, "PATCH", &deployment, &limits);
    let scaler = format!("/apis/autoscaling/v2/{IN_NAMESPACE}/horizontalpodautoscalers/stargate-store");
    administer(&rig, "DELETE", &scaler, &json!({}));
    let drift = rig.engine().drift(&state.plan.environment).await.unwrap();
    let fields: Vec<String> = drift.differences.iter().map(|d| format!("{} {}", d.node, d.field)).collect();
    let changed = |field: &str| fields.iter().any(|found| found == field);
    let container = "workload /spec/template/spec/containers/workload";
    assert!(changed(&format!("{container}/resources/limits/cpu")), "{fields:?}");
    assert!(changed(&format!("{container}/image")), "{fields:?}");
    assert!(changed("autoscaler presence"), "{fields:?}");
    assert!(fields.iter().all(|field| field.starts_with(container) || field.starts_with("autoscaler ")));

    let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
    assert_eq!(rig.engine().run(&teardown.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_image_of_a_private_registry_is_pulled_with_a_login_that_is_recorded_nowhere() {
    let rig = rig(Config::default()).await;
    let mut request = exokit_simtest::rig::request(2);
    request.spec.workload.registry_login = Some("none".to_owned());
    let refused = rig.engine().plan_provision(request.clone(), None).await.unwrap_err();
    assert!(refused.to_string().contains("registry login none"), "{refused}");
    let (name, login) = exokit_simtest::rig::LOGIN;
    request.spec.workload.registry_login = Some(name.to_owned());
    let state = setup::approved(&rig, request).await.unwrap();
    assert_eq!(rig.engine().run(&state.operation).await.unwrap(), Phase::Succeeded);
    let secret = rig.cloud(|world| {
        let mut objects = world.objects_in_clusters();
        objects.find(|object| object["metadata"]["name"] == "registry-login").unwrap().clone()
    });
    assert_eq!(secret["type"], "kubernetes.io/dockerconfigjson");
    let stored = secret["data"][".dockerconfigjson"].as_str().unwrap();
    assert_eq!(BASE64.decode(stored.as_bytes()).unwrap(), login.as_bytes());
    let ledger = serde_json::to_string(&rig.ledger.durable()).unwrap();
    assert!(ledger.contains("registry-login") && !ledger.contains("Y2FuYXJ5OmxvZ2lu"));
    let drift = rig.engine().drift(&state.plan.environment).await.unwrap();
    assert_eq!(drift.differences, []);
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn what_users_added_to_the_cluster_is_named_and_goes_with_it() {
    let rig = rig(Config::default()).await;
    let (state, _) = setup::provisioned(&rig, 3).await.unwrap();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs"}});
    administer(&rig, "POST", "/api/v1/namespaces", &namespace);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "shop"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "shop"}, "ports": [{"port": 80}]},
    });
    administer(&rig, "POST", "/api/v1/namespaces/theirs/services", &service);
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "cart"},
        "spec": {"storageClassName": "exoscale-sbs", "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}}},
    });
    administer(&rig, "POST", "/api/v1/namespaces/theirs/persistentvolumeclaims", &claim);
    // A controller makes the service account, without which a pod is refused.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cart"},
        "spec": {
            "containers": [{"name": "c", "image": "i:1", "volumeMounts": [{"name": "d", "mountPath": "/d"}]}],
            "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "cart"}}],
        },
    });
    administer(&rig, "POST", "/api/v1/namespaces/theirs/pods", &pod);
    // Until the controllers have made a load balancer and a volume.
    tokio::time::sleep(Duration::from_mins(5)).await;
    let engine = rig.engine();
    let drift = engine.drift(&state.plan.environment).await.unwrap();
    let fields: Vec<String> = drift.differences.iter().map(|d| d.field.to_string()).collect();
    let added = ["namespace theirs", "service theirs/shop", "persistent-volume-claim theirs/cart"];
    assert_eq!(fields, added);
    let count = |kind| rig.cloud(|world| world.live().iter().filter(|r| r.kind == kind).count());
    assert_eq!((count(Kind::LoadBalancer), count(Kind::BlockStorageVolume)), (1 + 1, 1 + 1));

    let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
    let names: Vec<String> =
        teardown.plan.additions.objects.iter().map(|object| object.name.to_string()).collect();
    assert_eq!(names, ["theirs", "shop", "cart"]);
    let data = teardown.plan.destroys.iter().filter(|destroy| destroy.kind == ModelKind::BlockVolume);
    assert_eq!(data.count(), 2, "the claim's volume is among what is destroyed");
    assert_eq!(engine.run(&teardown.operation).await.unwrap(), Phase::Succeeded);
    assert_eq!(rig.cloud(|world| world.calls()["delete-service"]), 2 + 1);
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_workload_that_never_becomes_ready_is_taken_back_with_its_load_balancer_and_volume() {
    let broken_images = vec!["us-docker.pkg.dev/".to_owned()];
    let policies = Policies { broken_images, ..Policies::default() };
    let rig = rig(Config { policies, ..Config::default() }).await;
    let (_, phase) = setup::provisioned(&rig, 3).await.unwrap();
    let Phase::RolledBack { cause } = &phase else { panic!("{phase:?}") };
    assert!(cause.raw().contains("workload"), "{cause}");
    let made = |operation: &str| rig.cloud(|world| world.calls().get(operation).copied().unwrap_or(0));
    assert!(made("apply-service") >= 2 && made("apply-persistentvolumeclaim") >= 1);
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn an_api_server_that_cannot_be_reached_does_not_hold_up_a_teardown() {
    let rig = rig(Config::default()).await;
    let (state, _) = setup::provisioned(&rig, 3).await.unwrap();
    let kinds = ["deployment", "service", "persistentvolumeclaim"];
    let lost = kinds
        .map(|kind| FaultRule { when: Matcher::every(&format!("delete-{kind}")), fault: Fault::DropBefore });
    rig.cloud_mut(|world: &mut World| world.reconfigure(|config| config.faults = lost.to_vec()));
    let teardown = setup::approved_teardown(&rig, &state).await.unwrap();
    let kinds: Vec<String> = teardown.plan.destroys.iter().map(|destroy| destroy.kind.to_string()).collect();
    assert!(kinds.contains(&"load-balancer".into()) && kinds.contains(&"block-volume".into()), "{kinds:?}");
    assert_eq!(rig.engine().run(&teardown.operation).await.unwrap(), Phase::Succeeded);
    let dropped = rig.cloud(|world| world.effects().get("drop-before").copied().unwrap_or(0));
    assert!(dropped >= 3 * 6, "{dropped} requests were lost");
    assert_eq!(oracle::judge(&rig), Vec::<String>::new());
    assert_eq!(oracle::leftovers(&rig), Vec::<String>::new());
}
