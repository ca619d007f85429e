//! The cluster as one state machine: its state, and how time passes in it.

use crate::cloud::CloudCall;
use crate::controllers::cloud_state::CloudState;
use crate::mirror::state::Mirror;
use crate::queue::{Queue, Task};
use crate::rng::Rng;
use crate::settings::Settings;
use crate::store::Store;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Tasks in one call of [`Cluster::advance`] at most; controllers settle long
/// before.
const TASKS_MAX: usize = 1_000_000;

/// A Kubernetes cluster. It maps time, user and request to a reply, and reads
/// no clock. Serialise it to save it; a restored cluster continues exactly
/// where it stopped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cluster {
    pub(crate) settings: Settings,
    pub(crate) now: i64,
    pub(crate) rng: Rng,
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    pub(crate) calls: Vec<CloudCall>,
    pub(crate) cloud: CloudState,
    /// Absent: the cluster has its own control plane. Not saved, since the real
    /// API server has the objects.
    #[serde(skip)]
    pub(crate) mirror: Option<Box<Mirror>>,
    /// Addresses given to pods and services so far.
    pub(crate) addresses: Addresses,
}

/// Counters of addresses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) pods: u32,
    pub(crate) services: u32,
    pub(crate) nodes: u32,
}

impl Cluster {
    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings, to change them. Changes affect what happens from now on.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Lets everything due by `now_ms` happen, in order. Time never goes back.
    pub fn advance(&mut self, now_ms: i64) {
        for _ in 0..TASKS_MAX {
            let Some((due, task)) = self.queue.take_due(now_ms) else {
                break;
            };
            self.now = self.now.max(due);
            self.run(task);
        }
        self.now = self.now.max(now_ms);
        self.store.forget_old(self.now);
    }

    /// When something next happens by itself.
    pub fn next_due_ms(&self) -> Option<i64> {
        self.queue.next_due()
    }

    /// Takes what the cloud controller and the CSI driver ask of the cloud.
    pub fn take_cloud_calls(&mut self) -> Vec<CloudCall> {
        std::mem::take(&mut self.calls)
    }

    /// Every object that exists.
    pub fn objects(&self) -> impl Iterator<Item = &Value> {
        self.store.everything().map(AsRef::as_ref)
    }

    /// Queues a task in `delay_ms` from now.
    pub(crate) fn schedule(&mut self, delay_ms: i64, task: Task) {
        if self.is_mirror() && !task.is_of_actor() {
            return;
        }
        self.queue.add(self.now.saturating_add(delay_ms.max(0)), task);
    }

    fn run(&mut self, task: Task) {
        match task {
            Task::Deployment(key) => self.reconcile_deployment(&key),
            Task::ReplicaSet(key) => self.reconcile_replica_set(&key),
            Task::DaemonSet(key) => self.reconcile_daemon_set(&key),
            Task::Schedule => self.schedule_pods(),
            Task::StartPod(key) => self.start_pod(&key),
            Task::ReadyPod(key) => self.ready_pod(&key),
            Task::RemovePod(key) => self.remove_stopped_pod(&key),
            Task::Namespace(name) => self.reconcile_namespace(&name),
            Task::CollectOrphans { namespace, uid } => self.collect_orphans(&namespace, &uid),
            Task::CheckOwners(kind, key) => self.check_owners(kind, &key),
            Task::FinishDeletion(kind, key) => self.finish_deletion(kind, &key),
            Task::Service(key) => self.reconcile_service(&key),
            Task::Endpoints(key) => self.reconcile_endpoints(&key),
            Task::Claim(key) => self.reconcile_claim(&key),
            Task::Volume(name) => self.reconcile_volume(&name),
            Task::Attachments => self.reconcile_attachments(),
            Task::Autoscaler(key) => self.reconcile_autoscaler(&key),
            Task::DisruptionBudget(key) => self.reconcile_disruption_budget(&key),
            Task::Quota(namespace) => self.reconcile_quotas(&namespace),
            Task::RetryCloud(subject) => self.retry_cloud(&subject),
            Task::RenewLease(node) => self.renew_lease(&node),
        }
    }
}
