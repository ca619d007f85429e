//! The attachment of volumes to machines, one at a time.

use crate::cloud::CloudCall;
use crate::cluster::Cluster;
use crate::controllers::claim::{ATTACHER_FINALIZER, DRIVER, volume_id};
use crate::controllers::cloud_state::{Attachment, AttachmentState};
use crate::controllers::pods::is_finished;
use crate::kind::Kind;
use crate::objects::{add_finalizer, remove_finalizer};
use crate::queue::Task;
use crate::rng::name_hash;
use crate::store::{key, key_of};
use crate::triggers::claims_of;
use crate::value::{name, namespace, set, text};
use serde_json::json;
use std::collections::BTreeMap;

/// Time for a kubelet to unmount, and to notice an attachment.
const KUBELET_MS: i64 = 100;

impl Cluster {
    /// Attaches volumes that pods on nodes need, and detaches those that no pod
    /// on their node needs.
    pub(crate) fn reconcile_attachments(&mut self) {
        let wanted = self.wanted_attachments();
        let current: Vec<(String, Attachment)> =
            self.cloud.attachments.iter().map(|(id, attachment)| (id.clone(), attachment.clone())).collect();
        for (id, attachment) in current {
            let is_wanted = wanted.get(&id).is_some_and(|(_, nodes)| nodes.contains(&attachment.node));
            if attachment.state == AttachmentState::Attached && !is_wanted {
                self.set_attachment_state(&id, AttachmentState::Detaching);
                self.call(CloudCall::DetachVolume { id });
            }
        }
        for (id, (volume, nodes)) in wanted {
            let Some(node) = nodes.first().filter(|_| !self.cloud.attachments.contains_key(&id)) else {
                continue;
            };
            let machine =
                self.cloud.machines.iter().find(|(_, name)| *name == node).map(|(id, _)| id.clone());
            let Some(machine) = machine else {
                continue;
            };
            let attachment = Attachment {
                node: node.clone(),
                machine: machine.clone(),
                state: AttachmentState::Attaching,
            };
            self.cloud.attachments.insert(id.clone(), attachment);
            self.take_attachment(&id, node, &volume);
            self.call(CloudCall::AttachVolume { id, machine });
        }
    }

    /// The volumes that pods need, by id: name of the persistent volume, and
    /// nodes in the order of the pods.
    fn wanted_attachments(&self) -> BTreeMap<String, (String, Vec<String>)> {
        if self.is_mirror() {
            return self.requested_attachments();
        }
        let mut wanted: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
        for pod in self.store.all(Kind::Pod) {
            let node = text(pod, "spec.nodeName");
            if node.is_empty() || is_finished(pod) {
                continue;
            }
            for claim in claims_of(pod) {
                let claim = self.store.get(Kind::PersistentVolumeClaim, &key(namespace(pod), &claim));
                let volume = claim.and_then(|claim| self.volume_of(claim));
                if let Some(volume) = volume.filter(|volume| !volume_id(volume).is_empty()) {
                    let (_, nodes) = wanted
                        .entry(volume_id(volume).to_owned())
                        .or_insert_with(|| (name(volume).to_owned(), Vec::new()));
                    if !nodes.iter().any(|known| known == node) {
                        nodes.push(node.to_owned());
                    }
                }
            }
        }
        wanted
    }

    /// Creates the object of an attachment, or takes the one that the controller
    /// manager made.
    fn take_attachment(&mut self, id: &str, node: &str, volume: &str) {
        if !self.is_mirror() {
            let object = json!({
                "metadata": {"name": attachment_name(id, node)},
                "spec": {"attacher": DRIVER, "nodeName": node, "source": {"persistentVolumeName": volume}},
                "status": {"attached": false},
            });
            self.create_object(Kind::VolumeAttachment, object);
        } else if let Some(object) = self.requested_attachment(id, node) {
            self.change_object(Kind::VolumeAttachment, &object, |object| {
                add_finalizer(object, ATTACHER_FINALIZER);
            });
        }
    }

    /// The name of the object of an attachment.
    fn attachment_object(&self, id: &str, node: &str) -> Option<String> {
        match self.is_mirror() {
            true => self.requested_attachment(id, node),
            false => Some(attachment_name(id, node)),
        }
    }

    fn set_attachment_state(&mut self, id: &str, state: AttachmentState) {
        if let Some(attachment) = self.cloud.attachments.get_mut(id) {
            attachment.state = state;
        }
    }

    /// The cloud has attached a volume.
    pub(crate) fn volume_attached(&mut self, id: &str) {
        let Some(attachment) = self.cloud.attachments.get_mut(id) else {
            return;
        };
        if attachment.state != AttachmentState::Attaching {
            return;
        }
        attachment.state = AttachmentState::Attached;
        let node = attachment.node.clone();
        if let Some(object) = self.attachment_object(id, &node) {
            self.change_object(Kind::VolumeAttachment, &object, |object| {
                set(object, "status.attached", true);
            });
        }
        let pods: Vec<String> = self
            .store
            .all(Kind::Pod)
            .filter(|pod| text(pod, "spec.nodeName") == node && !claims_of(pod).is_empty())
            .map(|pod| key_of(pod))
            .collect();
        for pod in pods {
            self.schedule(KUBELET_MS, Task::StartPod(pod));
        }
        self.reconcile_attachments();
    }

    /// The cloud has detached a volume.
    pub(crate) fn volume_detached(&mut self, id: &str) {
        let Some(attachment) = self.cloud.attachments.get(id) else {
            return;
        };
        if attachment.state != AttachmentState::Detaching {
            return;
        }
        let object = self.attachment_object(id, &attachment.node);
        self.cloud.attachments.remove(id);
        match object {
            Some(object) if self.is_mirror() => {
                self.change_object(Kind::VolumeAttachment, &object, |object| {
                    remove_finalizer(object, ATTACHER_FINALIZER);
                    set(object, "status.attached", false);
                });
            }
            Some(object) => self.remove_object(Kind::VolumeAttachment, &object),
            None => {}
        }
        self.reconcile_attachments();
        let volumes: Vec<String> = self
            .store
            .all(Kind::PersistentVolume)
            .filter(|volume| volume_id(volume) == id)
            .map(|volume| name(volume).to_owned())
            .collect();
        for volume in volumes {
            self.schedule(KUBELET_MS, Task::Volume(volume));
        }
    }

    /// Whether the volume of a claim is attached to a node.
    pub(crate) fn is_claim_attached(&self, space: &str, claim: &str, node: &str) -> bool {
        let claim = self.store.get(Kind::PersistentVolumeClaim, &key(space, claim));
        let Some(volume) = claim.and_then(|claim| self.volume_of(claim)) else {
            return false;
        };
        let id = volume_id(volume);
        id.is_empty()
            || self.cloud.attachments.get(id).is_some_and(|attachment| {
                attachment.state == AttachmentState::Attached && attachment.node == node
            })
    }
}

fn attachment_name(id: &str, node: &str) -> String {
    format!("csi-{}", name_hash(&format!("{id}/{node}")))
}
