//! How the actors of a mirror differ: a real controller manager decides
//! on volumes and attachments, and pods come bound from a real scheduler.

use crate::cluster::Cluster;
use crate::controllers::claim::{DRIVER, volume_id};
use crate::kind::Kind;
use crate::queue::Task;
use crate::store::{key, key_of};
use crate::time::rfc3339_micro;
use crate::value::{entry, is_deleting, name, number, set, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A kubelet renews the lease of its node this often.
const LEASE_RENEWAL_MS: i64 = 10_000;
/// A kubelet needs this long to notice a pod.
const KUBELET_MS: i64 = 20;
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";

impl Task {
    /// Whether the task is of an actor outside the control plane.
    pub(crate) fn is_of_actor(&self) -> bool {
        match self {
            Self::StartPod(_)
            | Self::ReadyPod(_)
            | Self::RemovePod(_)
            | Self::Service(_)
            | Self::Claim(_)
            | Self::Volume(_)
            | Self::Attachments
            | Self::RetryCloud(_)
            | Self::RenewLease(_) => true,
            Self::Deployment(_)
            | Self::ReplicaSet(_)
            | Self::DaemonSet(_)
            | Self::Schedule
            | Self::Namespace(_)
            | Self::CollectOrphans { .. }
            | Self::CheckOwners(..)
            | Self::FinishDeletion(..)
            | Self::Endpoints(_)
            | Self::Autoscaler(_)
            | Self::DisruptionBudget(_)
            | Self::Quota(_) => false,
        }
    }
}

impl Cluster {
    /// A kubelet sees a change of a pod on its node.
    pub(crate) fn notify_kubelet(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let Some(pod) = new.filter(|pod| self.has_machine(text(pod, "spec.nodeName"))) else {
            return;
        };
        let own = key_of(pod);
        if !is_deleting(pod) {
            if text(pod, "status.phase") == "Pending" && !self.is_pod_starting(&own) {
                self.schedule(KUBELET_MS, Task::StartPod(own));
            }
        } else if !old.is_some_and(is_deleting) {
            self.stop_pod(&own, number(pod, "metadata.deletionGracePeriodSeconds"));
        }
    }

    /// Whether the machine of a node is there, and with it a kubelet.
    pub(crate) fn has_machine(&self, node: &str) -> bool {
        self.cloud.machines.values().any(|name| name == node)
    }

    /// Whether no kubelet takes care of a pod any more. The simulated control
    /// plane removes such pods at once.
    pub(crate) fn is_left_behind(&self, pod: &Value) -> bool {
        self.is_mirror() && !self.has_machine(text(pod, "spec.nodeName"))
    }

    /// A kubelet renews the lease of its node, as long as the machine is there.
    pub(crate) fn renew_lease(&mut self, node: &str) {
        if !self.has_machine(node) {
            return;
        }
        let (own, at) = (key("kube-node-lease", node), rfc3339_micro(self.now));
        if self.store.contains(Kind::Lease, &own) {
            self.change_object(Kind::Lease, &own, |lease| set(lease, "spec.renewTime", at));
        } else {
            let mut lease = crate::controllers::node::lease_of(node);
            set(&mut lease, "spec.renewTime", at);
            self.create_object(Kind::Lease, lease);
        }
        self.schedule(LEASE_RENEWAL_MS, Task::RenewLease(node.to_owned()));
    }

    /// The volume controller has left a claim to the CSI driver.
    pub(crate) fn reconcile_mirrored_claim(&mut self, own: &str, claim: &Value) {
        let is_asked = entry(claim, "metadata.annotations", PROVISIONER) == Some(DRIVER)
            && text(claim, "spec.volumeName").is_empty()
            && text(claim, "status.phase") != "Bound"
            && !is_deleting(claim);
        if is_asked && self.volume_for(claim).is_none() {
            self.provision(own, claim);
        }
    }

    /// The volume controller has released a volume, or somebody deletes it.
    pub(crate) fn reconcile_mirrored_volume(&mut self, own: &str, volume: &Value) {
        let phase = text(volume, "status.phase");
        if phase == "Released" || (is_deleting(volume) && phase != "Bound") {
            self.reclaim(own, volume);
        }
    }

    /// The attachments that the controller manager asks for, by id of the
    /// volume: name of the persistent volume, and nodes.
    pub(crate) fn requested_attachments(&self) -> BTreeMap<String, (String, Vec<String>)> {
        let mut requested: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        let attachments = self.store.all(Kind::VolumeAttachment).filter(|object| !is_deleting(object));
        for object in attachments.filter(|object| text(object, "spec.attacher") == DRIVER) {
            let Some(volume) = self.volume_of_attachment(object) else { continue };
            let (_, nodes) = requested
                .entry(volume_id(volume).to_owned())
                .or_insert_with(|| (name(volume).to_owned(), Vec::new()));
            nodes.push(text(object, "spec.nodeName").to_owned());
        }
        requested
    }

    /// The name of the attachment that the controller manager made.
    pub(crate) fn requested_attachment(&self, id: &str, node: &str) -> Option<String> {
        let mut attachments = self.store.all(Kind::VolumeAttachment);
        let found = attachments.find(|object| {
            text(object, "spec.nodeName") == node
                && self.volume_of_attachment(object).is_some_and(|volume| volume_id(volume) == id)
        })?;
        Some(name(found).to_owned())
    }

    fn volume_of_attachment(&self, object: &Value) -> Option<&Value> {
        let volume = text(object, "spec.source.persistentVolumeName");
        self.store.get(Kind::PersistentVolume, volume).map(AsRef::as_ref)
    }

    /// Adds to a node how the kubelet of a mirror describes it: the
    /// controller manager attaches its volumes.
    pub(crate) fn complete_mirrored_node(&self, node: &mut Value) {
        if self.is_mirror() {
            let annotations = crate::value::object(crate::value::place(node, "metadata.annotations"));
            annotations
                .insert("volumes.kubernetes.io/controller-managed-attach-detach".to_owned(), json!("true"));
        }
    }
}
