//! The CSI driver of a cluster: block volumes for its claims, without labels,
//! as the real driver makes them.

use crate::world::kinds::{block_storage, quota};
use crate::world::{Change, Kind, World};
use exokit_kube_sim::CloudAnswer;
use serde_json::json;

const VOLUME: Kind = Kind::BlockStorageVolume;

/// Makes the volume of a claim.
pub(super) fn create(world: &mut World, cluster: &str, claim_uid: String, name: &str, size_gib: u64) {
    let size = i64::try_from(size_gib).unwrap_or(i64::MAX);
    let room = quota::check(world, "block-storage-volume", 1)
        .and_then(|()| quota::check(world, "block-storage", size));
    let zone = world.find(Kind::SksCluster, cluster).and_then(|cluster| cluster.zone.clone());
    let (Ok(()), Some(zone)) = (&room, zone) else {
        let message = room.err().map_or_else(|| "the cluster is gone".to_owned(), |refusal| refusal.message);
        return world.answer_in(0, cluster, CloudAnswer::Failed { subject: claim_uid, message });
    };
    let id = block_storage::new_volume(world, &zone, &json!({"name": name}), size);
    let delay = world.delay("create-block-storage-volume");
    world.schedule(delay, Change::state(VOLUME, &id, "detached"));
    world.answer_in(delay, cluster, CloudAnswer::VolumeCreated { claim_uid, id });
}

/// Deletes a volume that nothing uses any more.
pub(super) fn delete(world: &mut World, cluster: &str, id: &str) {
    let attached = world.find(VOLUME, id).is_some_and(|volume| volume.doc.contains_key("instance"));
    if attached {
        let message = "Volume is attached".to_owned();
        return world.answer_in(0, cluster, CloudAnswer::Failed { subject: id.to_owned(), message });
    }
    let delay = world.delay("delete-block-storage-volume");
    world.set(VOLUME, id, "state", "deleting");
    world.schedule(delay, Change::remove(VOLUME, id));
    world.answer_in(delay, cluster, CloudAnswer::VolumeDeleted { id: id.to_owned() });
}

/// Attaches a volume to the machine of the pod that uses it.
pub(super) fn attach(world: &mut World, cluster: &str, id: &str, machine: &str) {
    let state = world.find(VOLUME, id).map(|volume| volume.state().to_owned());
    if state.as_deref() != Some("detached") {
        let message = format!("Volume is {}", state.as_deref().unwrap_or("gone"));
        return world.answer_in(0, cluster, CloudAnswer::Failed { subject: id.to_owned(), message });
    }
    world.set(VOLUME, id, "state", "attaching");
    world.set(VOLUME, id, "instance", json!({"id": machine}));
    let delay = world.delay("attach-block-storage-volume-to-instance");
    world.schedule(delay, Change::state(VOLUME, id, "attached"));
    world.answer_in(delay, cluster, CloudAnswer::VolumeAttached { id: id.to_owned() });
}

/// Detaches a volume; one that went with its machine is detached already.
pub(super) fn detach(world: &mut World, cluster: &str, id: &str) {
    let detached = CloudAnswer::VolumeDetached { id: id.to_owned() };
    let attached = world.find_mut(VOLUME, id).is_some_and(|volume| volume.doc.remove("instance").is_some());
    if !attached {
        return world.answer_in(0, cluster, detached);
    }
    world.set(VOLUME, id, "state", "detaching");
    let delay = world.delay("detach-block-storage-volume");
    world.schedule(delay, Change::state(VOLUME, id, "detached"));
    world.answer_in(delay, cluster, detached);
}
