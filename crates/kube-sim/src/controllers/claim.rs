//! Claims and persistent volumes: provisioning, binding and reclaiming.

use crate::cloud::CloudCall;
use crate::cluster::Cluster;
use crate::controllers::pods::is_finished;
use crate::kind::Kind;
use crate::objects::{add_finalizer, has_finalizer, remove_finalizer};
use crate::quantity;
use crate::selector::label;
use crate::store::key;
use crate::triggers::claims_of;
use crate::value::{at, entry, is_deleting, items, name, namespace, object, place, set, text, uid};
use serde_json::{Value, json};
use std::sync::Arc;

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";
const PROVISIONER_FINALIZER: &str = "external-provisioner.volume.kubernetes.io/finalizer";
/// The finalizer of the driver that attaches volumes.
pub(crate) const ATTACHER_FINALIZER: &str = "external-attacher/csi-exoscale-com";
/// The CSI driver that the cluster has.
pub(crate) const DRIVER: &str = "csi.exoscale.com";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const ZONE_LABEL: &str = "topology.csi.exoscale.com/zone";

impl Cluster {
    /// Binds a claim, has a volume created for it, or lets it go.
    pub(crate) fn reconcile_claim(&mut self, own: &str) {
        let Some(claim) = self.store.get(Kind::PersistentVolumeClaim, own).cloned() else {
            return;
        };
        if self.is_mirror() {
            return self.reconcile_mirrored_claim(own, &claim);
        }
        if is_deleting(&claim) {
            if !self.is_claim_used(&claim) {
                self.change_object(Kind::PersistentVolumeClaim, own, |claim| {
                    remove_finalizer(claim, CLAIM_FINALIZER)
                });
            }
            return;
        }
        self.change_object(Kind::PersistentVolumeClaim, own, |claim| {
            add_finalizer(claim, CLAIM_FINALIZER);
            crate::value::set_default(claim, "status.phase", "Pending");
        });
        if text(&claim, "status.phase") == "Bound" {
            return;
        }
        match self.volume_for(&claim) {
            Some(volume) => self.bind(own, &volume),
            None if text(&claim, "spec.volumeName").is_empty() => self.provision(own, &claim),
            None => {}
        }
    }

    /// The volume that a claim names or that was made for it.
    pub(crate) fn volume_for(&self, claim: &Value) -> Option<Arc<Value>> {
        let named = text(claim, "spec.volumeName");
        let volume = match named.is_empty() {
            true => self.store.all(Kind::PersistentVolume).find(|volume| {
                let reserved = at(volume, "spec.claimRef");
                text(reserved, "namespace") == namespace(claim) && text(reserved, "name") == name(claim)
            }),
            false => self.store.get(Kind::PersistentVolume, named),
        }?;
        let reserved = at(volume, "spec.claimRef");
        let is_free = reserved.is_null() || ["", uid(claim)].contains(&text(reserved, "uid"));
        (is_free && !is_deleting(volume)).then(|| Arc::clone(volume))
    }

    fn bind(&mut self, own: &str, volume: &Value) {
        let Some(claim) = self.store.get(Kind::PersistentVolumeClaim, own).cloned() else {
            return;
        };
        let volume_name = name(volume).to_owned();
        self.change_object(Kind::PersistentVolume, &volume_name, |volume| {
            set(volume, "spec.claimRef", claim_reference(&claim));
            set(volume, "status.phase", "Bound");
            add_finalizer(volume, VOLUME_FINALIZER);
        });
        let capacity = at(volume, "spec.capacity").clone();
        self.change_object(Kind::PersistentVolumeClaim, own, |claim| {
            set(claim, "spec.volumeName", volume_name.clone());
            set(claim, "status.phase", "Bound");
            let modes = at(claim, "spec.accessModes").clone();
            set(claim, "status.accessModes", modes);
            set(claim, "status.capacity", capacity);
            let annotations = object(place(claim, "metadata.annotations"));
            annotations.insert("pv.kubernetes.io/bind-completed".to_owned(), json!("yes"));
            annotations.insert("pv.kubernetes.io/bound-by-controller".to_owned(), json!("yes"));
        });
    }

    /// Asks the cloud for a volume, once the storage class allows it.
    pub(crate) fn provision(&mut self, own: &str, claim: &Value) {
        let class = text(claim, "spec.storageClassName");
        let Some(class) = self.store.get(Kind::StorageClass, class).cloned() else {
            return;
        };
        let is_late = text(&class, "volumeBindingMode") == "WaitForFirstConsumer";
        let has_node = entry(claim, "metadata.annotations", SELECTED_NODE).is_some();
        let is_known = self.cloud.creating.contains_key(uid(claim));
        if text(&class, "provisioner") != DRIVER || (is_late && !has_node) || is_known {
            return;
        }
        self.change_object(Kind::PersistentVolumeClaim, own, |claim| {
            let annotations = object(place(claim, "metadata.annotations"));
            for prefix in ["volume.beta.kubernetes.io", "volume.kubernetes.io"] {
                annotations.insert(format!("{prefix}/storage-provisioner"), json!(DRIVER));
            }
        });
        self.cloud.creating.insert(uid(claim).to_owned(), own.to_owned());
        self.call(CloudCall::CreateVolume {
            claim_uid: uid(claim).to_owned(),
            name: format!("pvc-{}", uid(claim)),
            size_gib: size_gib(claim),
        });
    }

    /// The cloud has created a volume for a claim.
    pub(crate) fn volume_created(&mut self, claim_uid: &str, id: &str) {
        let Some(own) = self.cloud.creating.remove(claim_uid) else {
            return;
        };
        let claim = self
            .store
            .get(Kind::PersistentVolumeClaim, &own)
            .filter(|claim| uid(claim) == claim_uid)
            .cloned();
        let (space, claim_name) = crate::store::split_key(&own);
        let gone = json!({"metadata": {"namespace": space, "name": claim_name, "uid": claim_uid}});
        let claim = claim.unwrap_or_else(|| Arc::new(gone));
        let class = text(&claim, "spec.storageClassName").to_owned();
        let policy =
            self.store.get(Kind::StorageClass, &class).map_or("Delete", |class| text(class, "reclaimPolicy"));
        let zone = self.settings.zone.clone();
        let terms = json!([{"matchExpressions": [{"key": ZONE_LABEL, "operator": "In", "values": [zone]}]}]);
        let size = format!("{}Gi", size_gib(&claim));
        let modes = match at(&claim, "spec.accessModes").is_null() {
            true => json!(["ReadWriteOnce"]),
            false => at(&claim, "spec.accessModes").clone(),
        };
        let mut finalizers = vec![VOLUME_FINALIZER, ATTACHER_FINALIZER];
        if policy == "Delete" {
            finalizers.insert(0, PROVISIONER_FINALIZER);
        }
        let volume = json!({
            "metadata": {
                "name": format!("pvc-{claim_uid}"),
                "annotations": {"pv.kubernetes.io/provisioned-by": DRIVER},
                "finalizers": finalizers,
            },
            "spec": {
                "accessModes": modes,
                "capacity": {"storage": size},
                "claimRef": claim_reference(&claim),
                "csi": {"driver": DRIVER, "fsType": "ext4", "volumeHandle": format!("{zone}/{id}")},
                "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
                "persistentVolumeReclaimPolicy": policy,
                "storageClassName": class,
                "volumeMode": "Filesystem",
            },
            "status": {"phase": "Pending"},
        });
        self.create_object(Kind::PersistentVolume, volume);
        self.reconcile_claim(&own);
    }

    /// Releases a volume whose claim is gone, and has it deleted if its policy
    /// says so.
    pub(crate) fn reconcile_volume(&mut self, own: &str) {
        let Some(volume) = self.store.get(Kind::PersistentVolume, own).cloned() else {
            return;
        };
        if self.is_mirror() {
            return self.reconcile_mirrored_volume(own, &volume);
        }
        let reserved = at(&volume, "spec.claimRef");
        let claim_key = key(text(reserved, "namespace"), text(reserved, "name"));
        let claim = self.store.get(Kind::PersistentVolumeClaim, &claim_key);
        let wanted = text(reserved, "uid");
        let is_claimed =
            !reserved.is_null() && (wanted.is_empty() || claim.is_some_and(|claim| uid(claim) == wanted));
        if is_claimed {
            return;
        }
        if reserved.is_null() {
            self.change_object(Kind::PersistentVolume, own, |volume| {
                crate::value::set_default(volume, "status.phase", "Available");
            });
        } else {
            self.change_object(Kind::PersistentVolume, own, |volume| set(volume, "status.phase", "Released"));
        }
        self.reclaim(own, &volume);
    }

    /// Has an unclaimed volume deleted, if its policy says so.
    pub(crate) fn reclaim(&mut self, own: &str, volume: &Value) {
        let id = volume_id(volume).to_owned();
        let is_reclaimed = !at(volume, "spec.claimRef").is_null()
            && text(volume, "spec.persistentVolumeReclaimPolicy") == "Delete";
        if is_reclaimed && !id.is_empty() {
            let is_attached = self.cloud.attachments.contains_key(&id);
            if !is_attached && !self.cloud.deleting.contains_key(&id) {
                self.cloud.deleting.insert(id.clone(), own.to_owned());
                self.call(CloudCall::DeleteVolume { id });
            }
        } else if is_deleting(volume) {
            self.release_volume(own);
        }
    }

    /// The cloud has deleted a volume.
    pub(crate) fn volume_deleted(&mut self, id: &str) {
        if let Some(own) = self.cloud.deleting.remove(id) {
            self.delete_object(Kind::PersistentVolume, &own);
            self.release_volume(&own);
        }
    }

    /// Removes what the cluster itself holds a volume with.
    fn release_volume(&mut self, own: &str) {
        let has_provisioner = |volume: &Value| has_finalizer(volume, PROVISIONER_FINALIZER);
        if self
            .store
            .get(Kind::PersistentVolume, own)
            .is_some_and(|volume| is_deleting(volume) || has_provisioner(volume))
        {
            let is_mirror = self.is_mirror();
            self.change_object(Kind::PersistentVolume, own, |volume| {
                remove_finalizer(volume, PROVISIONER_FINALIZER);
                if !is_mirror {
                    remove_finalizer(volume, VOLUME_FINALIZER);
                }
                remove_finalizer(volume, ATTACHER_FINALIZER);
            });
        }
    }

    fn is_claim_used(&self, claim: &Value) -> bool {
        let uses =
            |pod: &Arc<Value>| !is_finished(pod) && claims_of(pod).iter().any(|used| used == name(claim));
        self.store.within(Kind::Pod, namespace(claim)).any(uses)
    }

    /// Whether a claim exists and has a volume.
    pub(crate) fn is_claim_bound(&self, space: &str, claim: &str) -> bool {
        let claim = self.store.get(Kind::PersistentVolumeClaim, &key(space, claim));
        claim.is_some_and(|claim| text(claim, "status.phase") == "Bound")
    }

    /// Whether the volume of a claim, if it has one yet, can be used on a node.
    pub(crate) fn is_claim_reachable(&self, space: &str, claim: &str, node: &Value) -> bool {
        let Some(claim) = self.store.get(Kind::PersistentVolumeClaim, &key(space, claim)) else {
            return false;
        };
        if is_deleting(claim) {
            return false;
        }
        let selected = entry(claim, "metadata.annotations", SELECTED_NODE);
        let is_bound = text(claim, "status.phase") == "Bound";
        match self.volume_of(claim) {
            Some(volume) if is_bound => {
                let terms = items(volume, "spec.nodeAffinity.required.nodeSelectorTerms");
                terms.is_empty() || terms.iter().any(|term| is_in_zone(term, node))
            }
            _ => selected
                .is_none_or(|selected| selected == name(node) || !self.store.contains(Kind::Node, selected)),
        }
    }

    /// The persistent volume of a claim.
    pub(crate) fn volume_of(&self, claim: &Value) -> Option<&Arc<Value>> {
        self.store.get(Kind::PersistentVolume, text(claim, "spec.volumeName"))
    }

    /// The storage class that is the default.
    pub(crate) fn default_storage_class(&self) -> Option<String> {
        let annotation = "storageclass.kubernetes.io/is-default-class";
        let is_default =
            |class: &&Arc<Value>| entry(class, "metadata.annotations", annotation) == Some("true");
        self.store.all(Kind::StorageClass).find(is_default).map(|class| name(class).to_owned())
    }
}

fn is_in_zone(term: &Value, node: &Value) -> bool {
    items(term, "matchExpressions").iter().all(|expression| {
        let actual = label(node, text(expression, "key"));
        items(expression, "values").iter().any(|value| value.as_str() == actual)
    })
}

/// The id of the volume of the cloud, without the zone.
pub(crate) fn volume_id(volume: &Value) -> &str {
    let handle = text(volume, "spec.csi.volumeHandle");
    handle.rsplit_once('/').map_or(handle, |(_, id)| id)
}

/// The requested size in GiB, rounded up.
fn size_gib(claim: &Value) -> u64 {
    let bytes = quantity::units(at(claim, "spec.resources.requests.storage"));
    let gib = (bytes + (1 << 30) - 1) >> 30;
    u64::try_from(gib.max(1)).unwrap_or(u64::MAX)
}

fn claim_reference(claim: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "namespace": namespace(claim), "name": name(claim), "uid": uid(claim),
    })
}
