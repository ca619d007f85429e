//! Clusters whose control plane is real: the actors run here, on a mirror of the
//! API server.

use super::super::{Kind, World};
use super::sks_cluster::{self, ControlPlaneIdentities};
use exokit_kube_sim::{Cluster, Write};

impl World {
    /// The clusters that need a control plane now.
    pub(crate) fn control_planes_wanted(&self) -> Vec<String> {
        let clusters = self.all(Kind::SksCluster).into_iter().map(|cluster| cluster.id.clone());
        clusters.filter(|id| self.answers(id)).collect()
    }

    /// The certificates of a cluster's control plane.
    pub(crate) fn control_plane_identities(&self, id: &str) -> Option<ControlPlaneIdentities> {
        sks_cluster::control_plane_identities(self.find(Kind::SksCluster, id)?)
    }

    /// The cluster with a real control plane whose API server has a host name.
    pub(crate) fn cluster_at(&self, host: &str) -> Option<String> {
        let (id, _) = super::cluster_of_host(host)?;
        self.answers(id).then(|| id.to_owned())
    }

    /// Tells the mirror of a cluster what its API server said; nothing when the
    /// cluster is gone.
    pub(crate) fn tell_mirror(&mut self, id: &str, tell: impl FnOnce(&mut Cluster, i64)) {
        let now = self.now;
        if self.find(Kind::SksCluster, id).is_none() {
            return;
        }
        let Some(cluster) = self.open_cluster(id) else { return };
        tell(cluster, now);
        self.serve_cluster(id);
        if self.clusters.get(id).is_some_and(|cluster| cluster.has_writes()) {
            self.touch();
        }
    }

    /// Takes the writes of a cluster's actors.
    pub(crate) fn take_writes(&mut self, id: &str) -> Vec<Write> {
        if self.find(Kind::SksCluster, id).is_none() {
            return Vec::new();
        }
        self.open_cluster(id).map(Cluster::take_writes).unwrap_or_default()
    }
}
