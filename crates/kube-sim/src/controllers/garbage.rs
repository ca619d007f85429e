//! Garbage collection by owner references.

use crate::cluster::Cluster;
use crate::kind::Kind;
use crate::objects::{Deletion, FOREGROUND, ORPHAN, Propagation, has_finalizer, remove_finalizer};
use crate::value::{flag, is_deleting, items, list, namespace, place, text, uid};

impl Cluster {
    /// Deletes the dependents of an owner that is gone, unless they have
    /// another owner.
    pub(crate) fn collect_orphans(&mut self, namespace: &str, owner: &str) {
        for (kind, key) in self.dependents(namespace, owner) {
            self.check_owners(kind, &key);
        }
    }

    /// Deletes an object that has owners of which none exists.
    pub(crate) fn check_owners(&mut self, kind: Kind, key: &str) {
        let Some(object) = self.store.get(kind, key) else {
            return;
        };
        let owners = items(object, "metadata.ownerReferences");
        let is_orphan = !owners.is_empty() && owners.iter().all(|owner| self.owner(object, owner).is_none());
        if is_orphan && !is_deleting(object) {
            self.delete_object(kind, key);
        }
    }

    /// Continues a deletion that waits for dependents or lets them go.
    pub(crate) fn finish_deletion(&mut self, kind: Kind, key: &str) {
        let Some(owner) = self.store.get(kind, key).filter(|owner| is_deleting(owner)).cloned() else {
            return;
        };
        let dependents = self.dependents(namespace(&owner), uid(&owner));
        if has_finalizer(&owner, ORPHAN) {
            for (kind, key) in dependents {
                self.change_object(kind, &key, |object| {
                    let owners = list(place(object, "metadata.ownerReferences"));
                    owners.retain(|reference| text(reference, "uid") != uid(&owner));
                    if owners.is_empty() {
                        crate::value::remove(object, "metadata.ownerReferences");
                    }
                });
            }
            self.change_object(kind, key, |object| remove_finalizer(object, ORPHAN));
            return;
        }
        let mut is_blocked = false;
        for (kind, key) in dependents {
            let Some(dependent) = self.store.get(kind, &key) else {
                continue;
            };
            let blocks = items(dependent, "metadata.ownerReferences").iter().any(|reference| {
                text(reference, "uid") == uid(&owner) && flag(reference, "blockOwnerDeletion")
            });
            let is_going = is_deleting(dependent);
            if !is_going {
                let has_own = !self.dependents(namespace(&owner), uid(dependent)).is_empty();
                let propagation = if has_own { Propagation::Foreground } else { Propagation::Background };
                self.delete_with(kind, &key, &Deletion { propagation, grace_seconds: None });
            }
            is_blocked |= blocks && self.store.contains(kind, &key);
        }
        if !is_blocked {
            self.change_object(kind, key, |object| remove_finalizer(object, FOREGROUND));
        }
    }
}
