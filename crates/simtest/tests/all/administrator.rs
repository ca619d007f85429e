//! An administrator who changes a cluster by hand.

use bytes::Bytes;
use exokit_kube_sim::{Reply, User};
use exokit_sim::{Kind, World};
use exokit_simtest::rig::Rig;
use serde_json::Value;

/// An administrator does something in the only cluster.
pub(crate) fn administer(rig: &Rig, method: &str, path: &str, body: &Value) {
    let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let request = http::Request::builder().method(method).uri(path).header("content-type", content);
    let request = request.body(Bytes::from(body.to_string())).expect("a request");
    let user = User { name: "kim".into(), groups: vec!["system:masters".into()] };
    rig.cloud_mut(|world: &mut World| {
        let clusters = world.live().into_iter().filter(|resource| resource.kind == Kind::SksCluster);
        let id = clusters.map(|cluster| cluster.id).next().expect("a cluster");
        let now = world.now_ms();
        let reply = world.cluster_mut(&id).expect("its API server").handle(now, &user, &request);
        let Reply::Whole(reply) = reply else { panic!("no watch was asked for") };
        assert!(reply.status().is_success(), "{method} {path}: {reply:?}");
    });
}
