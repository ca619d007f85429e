//! Tests of a mirror: the test plays the API server.

use super::*;
use crate::CloudAnswer;
use crate::CloudCall;
use crate::kind::Kind;
use crate::settings::Machine;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOW: i64 = 1_800_000_000_000;

fn settings() -> Settings {
    Settings {
        seed: 1,
        version: "1.35.1".to_owned(),
        zone: "ch-gva-2".to_owned(),
        pod_start_ms: (0, 0),
        broken_images: Vec::new(),
    }
}

fn kind(path: &str) -> MirroredKind {
    MirroredKind::all().find(|kind| kind.path() == path).unwrap()
}

/// A mirror with a node whose first writes are confirmed.
fn with_node() -> Cluster {
    let mut cluster = Cluster::mirror(settings(), NOW);
    let machine = Machine {
        id: "m".to_owned(),
        name: "node-a".to_owned(),
        address: "198.19.0.1".to_owned(),
        zone: "ch-gva-2".to_owned(),
        instance_type: "standard.small".to_owned(),
        labels: BTreeMap::new(),
        taints: Vec::new(),
        cpus: 2,
        memory_bytes: 1 << 32,
        disk_gib: 20,
    };
    cluster.join(NOW, &machine);
    confirm_all(&mut cluster, 10);
    cluster
}

/// Confirms all writes as they are, and returns them.
fn confirm_all(cluster: &mut Cluster, version: u64) -> Vec<Write> {
    let writes = cluster.take_writes();
    for write in &writes {
        let (kind, key) = write.target();
        let outcome = match cluster.store.get(*kind, key) {
            Some(object) => {
                let mut object = Value::clone(object);
                object["metadata"]["resourceVersion"] = json!(version.to_string());
                Outcome::Present(object)
            }
            None => Outcome::Gone,
        };
        cluster.confirm(NOW, write, outcome);
    }
    writes
}

fn lines(writes: &[Write]) -> Vec<String> {
    writes.iter().map(|write| format!("{} {}", write.method(), write.path())).collect()
}

fn pod(version: u64, more: Value) -> Value {
    let mut pod = json!({
        "metadata": {"namespace": "a", "name": "p", "uid": "u", "resourceVersion": version.to_string()},
        "spec": {"nodeName": "node-a", "restartPolicy": "Always", "containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Pending"},
    });
    for (key, value) in more.as_object().unwrap() {
        pod["metadata"][key] = value.clone();
    }
    pod
}

#[test]
fn the_first_writes_create_what_a_cluster_brings_and_its_nodes() {
    let mut cluster = Cluster::mirror(settings(), NOW);
    let first = lines(&confirm_all(&mut cluster, 1));
    let class = "POST /apis/storage.k8s.io/v1/storageclasses";
    assert_eq!(first, [class, class, "POST /apis/storage.k8s.io/v1/csidrivers"]);
    let mut cluster = with_node();
    cluster.advance(NOW + 10_000);
    let renewed = cluster.take_writes();
    let path = "PATCH /apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-a";
    assert_eq!(lines(&renewed), [path]);
}

#[test]
fn a_pod_is_started_once_whatever_old_events_say() {
    let mut cluster = with_node();
    cluster.observe(NOW, kind("/api/v1/pods"), "ADDED", pod(20, json!({})));
    cluster.advance(NOW + 1_000);
    let writes = cluster.take_writes();
    let status = "PATCH /api/v1/namespaces/a/pods/p/status";
    assert_eq!(lines(&writes), [status, status]);
    assert_eq!(writes[1].body()["status"]["phase"], "Running");
    assert_eq!(writes[1].body()["metadata"]["uid"], "u");
    // An older event, while the writes are under way.
    cluster.observe(NOW + 1_000, kind("/api/v1/pods"), "MODIFIED", pod(21, json!({})));
    cluster.advance(NOW + 2_000);
    assert!(!cluster.has_writes());
    let mut done = pod(23, json!({}));
    done["status"]["phase"] = json!("Running");
    cluster.confirm(NOW + 2_000, &writes[0], Outcome::Present(pod(22, json!({}))));
    cluster.confirm(NOW + 2_000, &writes[1], Outcome::Present(done));
    cluster.advance(NOW + 9_000);
    assert!(!cluster.has_writes(), "{:?}", cluster.take_writes());
    let phase = |cluster: &Cluster| cluster.store.get(Kind::Pod, "a/p").unwrap()["status"]["phase"].clone();
    assert_eq!(phase(&cluster), "Running");
    // An event from before the reply.
    cluster.observe(NOW + 9_000, kind("/api/v1/pods"), "MODIFIED", pod(22, json!({})));
    assert_eq!(phase(&cluster), "Running");
}

#[test]
fn a_refused_write_is_undone_and_tried_again() {
    let mut cluster = with_node();
    cluster.observe(NOW, kind("/api/v1/pods"), "ADDED", pod(20, json!({})));
    cluster.advance(NOW + 1_000);
    for write in cluster.take_writes() {
        cluster.confirm(NOW + 1_000, &write, Outcome::Present(pod(20, json!({}))));
    }
    cluster.advance(NOW + 2_000);
    assert_eq!(cluster.take_writes().len(), 2);
}

#[test]
fn a_kubelet_removes_a_pod_that_is_deleted() {
    let mut cluster = with_node();
    cluster.observe(NOW, kind("/api/v1/pods"), "ADDED", pod(20, json!({})));
    cluster.advance(NOW + 1_000);
    confirm_all(&mut cluster, 21);
    let deleted = json!({"deletionTimestamp": "2027-01-15T08:00:30Z", "deletionGracePeriodSeconds": 30});
    cluster.observe(NOW + 1_000, kind("/api/v1/pods"), "MODIFIED", pod(22, deleted));
    cluster.advance(NOW + 4_000);
    let writes = confirm_all(&mut cluster, 23);
    assert_eq!(lines(&writes), ["DELETE /api/v1/namespaces/a/pods/p"]);
    assert_eq!(writes[0].body()["gracePeriodSeconds"], 0);
    assert_eq!(writes[0].body()["preconditions"]["uid"], "u");
}

#[test]
fn a_list_removes_what_is_not_in_it_but_nothing_that_is_being_created() {
    let mut cluster = with_node();
    let class = json!({"metadata": {"name": "own", "uid": "c", "resourceVersion": "11"}});
    let classes = kind("/apis/storage.k8s.io/v1/storageclasses");
    cluster.observe_list(NOW, classes, vec![class], 30);
    let names: Vec<String> = cluster.store.all(Kind::StorageClass).map(|class| key_name(class)).collect();
    assert_eq!(names, ["own"]);
    let mut fresh = Cluster::mirror(settings(), NOW);
    fresh.observe_list(NOW, classes, Vec::new(), 30);
    assert_eq!(fresh.store.all(Kind::StorageClass).count(), 2);
}

fn key_name(object: &Value) -> String {
    crate::value::name(object).to_owned()
}

#[test]
fn volumes_are_made_and_attached_when_the_controller_manager_asks() {
    let mut cluster = with_node();
    let claims = kind("/api/v1/persistentvolumeclaims");
    let mut claim = json!({
        "metadata": {"namespace": "a", "name": "data", "uid": "q", "resourceVersion": "20"},
        "spec": {"storageClassName": "exoscale-sbs", "resources": {"requests": {"storage": "10Gi"}}},
        "status": {"phase": "Pending"},
    });
    cluster.observe(NOW, claims, "ADDED", claim.clone());
    cluster.advance(NOW + 1_000);
    assert_eq!(cluster.take_cloud_calls(), []);
    claim["metadata"]["resourceVersion"] = json!("21");
    claim["metadata"]["annotations"] = json!({
        "volume.beta.kubernetes.io/storage-provisioner": "csi.exoscale.com",
        "volume.kubernetes.io/storage-provisioner": "csi.exoscale.com",
    });
    cluster.observe(NOW + 1_000, claims, "MODIFIED", claim);
    cluster.advance(NOW + 2_000);
    let name = "pvc-q".to_owned();
    let create = CloudCall::CreateVolume { claim_uid: "q".to_owned(), name, size_gib: 10 };
    assert_eq!(cluster.take_cloud_calls(), [create]);
    cluster.answer(NOW + 2_000, CloudAnswer::VolumeCreated { claim_uid: "q".to_owned(), id: "v".to_owned() });
    cluster.advance(NOW + 3_000);
    assert_eq!(lines(&confirm_all(&mut cluster, 22)), ["POST /api/v1/persistentvolumes"]);
    assert_eq!(cluster.take_cloud_calls(), []);
    let attachment = |version: u64, more: Value| {
        let mut metadata = json!({"name": "csi-x", "uid": "x", "resourceVersion": version.to_string()});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"metadata": metadata, "spec": {"attacher": "csi.exoscale.com", "nodeName": "node-a",
            "source": {"persistentVolumeName": "pvc-q"}}, "status": {"attached": false}})
    };
    let attachments = kind("/apis/storage.k8s.io/v1/volumeattachments");
    cluster.observe(NOW + 3_000, attachments, "ADDED", attachment(30, json!({})));
    cluster.advance(NOW + 4_000);
    let (id, machine) = ("v".to_owned(), "m".to_owned());
    assert_eq!(cluster.take_cloud_calls(), [CloudCall::AttachVolume { id: id.clone(), machine }]);
    cluster.answer(NOW + 4_000, CloudAnswer::VolumeAttached { id: id.clone() });
    let path = "PATCH /apis/storage.k8s.io/v1/volumeattachments/csi-x";
    assert_eq!(lines(&confirm_all(&mut cluster, 31)), [path.to_owned(), format!("{path}/status")]);
    let gone = json!({"deletionTimestamp": "2027-01-15T08:00:05Z",
        "finalizers": ["external-attacher/csi-exoscale-com"]});
    cluster.observe(NOW + 5_000, attachments, "MODIFIED", attachment(32, gone));
    cluster.advance(NOW + 6_000);
    assert_eq!(cluster.take_cloud_calls(), [CloudCall::DetachVolume { id: id.clone() }]);
    cluster.answer(NOW + 6_000, CloudAnswer::VolumeDetached { id });
    let last = cluster.take_writes();
    let finalizers = &last[0].body()["metadata"]["$deleteFromPrimitiveList/finalizers"];
    assert_eq!(*finalizers, json!(["external-attacher/csi-exoscale-com"]));
}
