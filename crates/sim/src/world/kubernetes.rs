//! The API servers of clusters: one simulated Kubernetes cluster behind the
//! endpoint of each.
//!
//! It is made when it is first needed, and goes with its SKS cluster. Load
//! balancers and volumes that its controllers made stay, as on the real cloud.

mod load_balancers;
mod mirror;
mod visit;
mod volumes;
mod watching;

pub(crate) use visit::is_simulated;
pub(crate) use watching::{OpenWatch, WatchProgress};

use super::dispatch::{Executed, Target};
use super::kinds::instance_type;
use super::kinds::sks_cluster::{self, Identity};
use super::reply::json_response;
use super::{Change, Effect, Kind, World};
use bytes::Bytes;
use exokit_kube_sim::{CloudAnswer, CloudCall, Cluster, Machine, Reply, Settings, User};
use http::{Method, Request, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// The certificate, in PEM, that the client of a connection has proved to have
/// the key of. It stands in the extensions of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate(pub String);

/// Certificates that were verified before are kept up to this number.
const VERIFIED_MAX: usize = 64;

/// The cluster whose endpoint a host is: `ID.sks-ZONE.exo.io`.
pub(super) fn cluster_of_host(host: &str) -> Option<(&str, &str)> {
    let (id, rest) = host.split_once(".sks-")?;
    let zone = rest.split(".exo.io").next()?;
    Some((id, zone))
}

impl World {
    /// Executes a request to the API server of a cluster.
    pub(super) fn kubernetes(&mut self, request: &Request<Bytes>, target: &Target) -> Executed {
        let id = target.cluster.clone().unwrap_or_default();
        let identity = match self.identify_client(&id, request) {
            Ok(identity) => identity,
            Err(response) => return Executed::plain(response),
        };
        let user = User { name: identity.user, groups: identity.groups };
        let now = self.now;
        let reply = self.open_cluster(&id).map(|cluster| cluster.handle(now, &user, request));
        let response = match reply {
            Some(Reply::Whole(response)) => response,
            Some(Reply::Watch(watch)) => self.open_watch(&id, watch, identity.not_after_ms),
            None => unauthorized(),
        };
        self.serve_cluster(&id);
        let effect = effect_of(request.method(), &response);
        if effect != Effect::None {
            self.touch();
        }
        Executed { effect, expires_ms: Some(identity.not_after_ms), ..Executed::plain(response) }
    }

    /// Certificate and key of the API server with a host name.
    pub(crate) fn server_identity(&self, host: &str) -> Option<sks_cluster::Issued> {
        let (id, _) = cluster_of_host(host)?;
        sks_cluster::server_identity(self.find(Kind::SksCluster, id)?)
    }

    /// Whether the API server of a cluster answers at all.
    pub(super) fn answers(&self, cluster: &str) -> bool {
        self.find(Kind::SksCluster, cluster)
            .is_some_and(|cluster| !matches!(cluster.state(), "creating" | "deleting" | "error"))
    }

    fn identify_client(&mut self, id: &str, request: &Request<Bytes>) -> Result<Identity, Response<Bytes>> {
        let Some(ClientCertificate(pem)) = request.extensions().get::<ClientCertificate>() else {
            return Err(unauthorized());
        };
        let place = (id.to_owned(), pem.clone());
        if !self.verified.contains_key(&place) {
            let verified =
                self.find(Kind::SksCluster, id).and_then(|cluster| sks_cluster::identify(cluster, pem));
            let Some(identity) = verified else { return Err(unauthorized()) };
            if self.verified.len() >= VERIFIED_MAX {
                self.verified.clear();
            }
            self.verified.insert(place.clone(), identity);
        }
        match self.verified.get(&place) {
            Some(identity) if self.now <= identity.not_after_ms => Ok(identity.clone()),
            _ => {
                self.count_effect("client certificate: expired");
                Err(unauthorized())
            }
        }
    }

    /// The simulated cluster behind an SKS cluster.
    fn open_cluster(&mut self, id: &str) -> Option<&mut Cluster> {
        if !self.clusters.contains_key(id) {
            let object = self.find(Kind::SksCluster, id)?;
            let range = self.config.latency.range("k8s-workload");
            let scale = |ms: u64| {
                std::time::Duration::from_millis(ms).mul_f64(self.config.latency_scale.max(0.0)).as_millis()
            };
            let scaled = |ms: u64| u64::try_from(scale(ms)).unwrap_or(u64::MAX / 4);
            let settings = Settings {
                seed: sks_cluster::seed(object),
                version: object.text("version").to_owned(),
                zone: object.zone.clone().unwrap_or_default(),
                pod_start_ms: (scaled(range.low_ms), scaled(range.high_ms)),
                broken_images: self.config.policies.broken_images.clone(),
            };
            let cluster = match self.config.has_real_control_planes {
                true => Cluster::mirror(settings, self.now),
                false => Cluster::new(settings, self.now),
            };
            self.clusters.insert(id.to_owned(), Arc::new(cluster));
        }
        self.clusters.get_mut(id).map(Arc::make_mut)
    }

    /// A machine has booted and joins the cluster of its pool as a node.
    pub(super) fn join_node(&mut self, machine: &str) {
        let Some(vm) = self.find(Kind::Instance, machine).filter(|vm| vm.state() != "destroying") else {
            return;
        };
        let pool = vm.parent.clone().unwrap_or_default();
        let nodepool = self.find(Kind::InstancePool, &pool).and_then(|pool| pool.parent.clone());
        let Some(nodepool) = nodepool.and_then(|id| self.find(Kind::SksNodepool, &id)) else { return };
        let cluster = nodepool.parent.clone().unwrap_or_default();
        let kind = vm.reference("instance-type").and_then(instance_type::by_id);
        let texts = |key: &str| {
            let map = nodepool.doc.get(key).and_then(Value::as_object).into_iter().flatten();
            map.map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>()
        };
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let node = Machine {
            id: vm.id.clone(),
            name: vm.text("name").to_owned(),
            address: vm.text("public-ip").to_owned(),
            zone: vm.zone.clone().unwrap_or_default(),
            instance_type: kind
                .as_ref()
                .map(|kind| format!("{}.{}", kind.family, kind.size))
                .unwrap_or_default(),
            labels: texts("labels")
                .into_iter()
                .map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned()))
                .collect(),
            taints: texts("taints")
                .into_iter()
                .map(|(key, taint)| (key, text(&taint, "value"), text(&taint, "effect")))
                .collect(),
            cpus: kind.as_ref().and_then(|kind| u32::try_from(kind.cpus).ok()).unwrap_or(0),
            memory_bytes: kind.and_then(|kind| u64::try_from(kind.memory_bytes()).ok()).unwrap_or(0),
            disk_gib: u32::try_from(vm.number("disk-size")).unwrap_or(0),
        };
        let now = self.now;
        if let Some(cluster) = self.open_cluster(&cluster) {
            cluster.join(now, &node);
        }
        self.serve_cluster(&cluster);
    }

    /// A machine is destroyed: its node leaves the cluster.
    pub(super) fn leave_node(&mut self, machine: &str) {
        let Some(pool) = self.find(Kind::Instance, machine).and_then(|vm| vm.parent.clone()) else { return };
        let nodepool = self.find(Kind::InstancePool, &pool).and_then(|pool| pool.parent.clone());
        let Some(cluster) = nodepool
            .and_then(|id| self.find(Kind::SksNodepool, &id))
            .and_then(|nodepool| nodepool.parent.clone())
        else {
            return;
        };
        let now = self.now;
        if let Some(open) = self.clusters.get_mut(&cluster) {
            Arc::make_mut(open).leave(now, machine);
            self.serve_cluster(&cluster);
        }
    }

    /// Lets a cluster do what is due, carries out what its controllers ask of
    /// the cloud, and wakes it again when it has something to do.
    pub(super) fn serve_cluster(&mut self, id: &str) {
        let now = self.now;
        loop {
            let Some(cluster) = self.clusters.get_mut(id).map(Arc::make_mut) else { return };
            cluster.advance(now);
            let calls = cluster.take_cloud_calls();
            if calls.is_empty() {
                break;
            }
            for call in calls {
                self.cloud_call(id, call);
            }
        }
        let due = self.clusters.get(id).and_then(|cluster| cluster.next_due_ms());
        let Some(due) = due else { return };
        let planned = self.wakes.get(id).copied();
        if planned.is_none_or(|planned| planned > due || planned < now) {
            self.wakes.insert(id.to_owned(), due);
            self.schedule(due - now, Change::ClusterWake { cluster: id.to_owned() });
        }
    }

    /// The time has come that a cluster waited for.
    pub(super) fn wake_cluster(&mut self, id: &str) {
        self.wakes.remove(id);
        self.serve_cluster(id);
    }

    /// Tells a cluster what became of a call of its controllers.
    pub(super) fn answer_cluster(&mut self, id: &str, answer: CloudAnswer) {
        let now = self.now;
        if let Some(cluster) = self.clusters.get_mut(id) {
            Arc::make_mut(cluster).answer(now, answer);
            self.serve_cluster(id);
        }
    }

    /// A cluster goes, with everything inside it.
    pub(super) fn close_cluster(&mut self, id: &str) {
        self.clusters.remove(id);
        self.wakes.remove(id);
    }

    /// Answers a call of a cluster's controllers after a delay.
    fn answer_in(&mut self, delay_ms: i64, cluster: &str, answer: CloudAnswer) {
        self.schedule(delay_ms, Change::ClusterAnswer { cluster: cluster.to_owned(), answer });
    }

    fn cloud_call(&mut self, cluster: &str, call: CloudCall) {
        match call {
            CloudCall::EnsureLoadBalancer { service_uid, name, description, ports } => {
                let wanted = load_balancers::Wanted { service_uid, name, description, ports };
                load_balancers::ensure(self, cluster, wanted);
            }
            CloudCall::DeleteLoadBalancer { service_uid } => {
                load_balancers::delete(self, cluster, &service_uid);
            }
            CloudCall::CreateVolume { claim_uid, name, size_gib } => {
                volumes::create(self, cluster, claim_uid, &name, size_gib);
            }
            CloudCall::DeleteVolume { id } => volumes::delete(self, cluster, &id),
            CloudCall::AttachVolume { id, machine } => volumes::attach(self, cluster, &id, &machine),
            CloudCall::DetachVolume { id } => volumes::detach(self, cluster, &id),
        }
    }
}

fn unauthorized() -> Response<Bytes> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
    });
    json_response(401, &status)
}

/// What a request changed inside a cluster, from its reply.
fn effect_of(method: &Method, response: &Response<Bytes>) -> Effect {
    let status = response.status().as_u16();
    if matches!(*method, Method::GET | Method::HEAD) || !(200..300).contains(&status) {
        return Effect::None;
    }
    let reply: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let uid = reply["metadata"]["uid"].as_str().or_else(|| reply["details"]["uid"].as_str());
    let Some(uid) = uid else { return Effect::None };
    let kind = Kind::KubernetesObject;
    match (method, status) {
        (&Method::DELETE, _) => Effect::deleted(kind, uid),
        (_, 201) => Effect::created(kind, uid),
        _ => Effect::updated(kind, uid),
    }
}
