//! What the cluster asks of the cloud, and the answers.

use serde::{Deserialize, Serialize};

/// A request of the cloud controller or the CSI driver to the cloud.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CloudCall {
    /// Create a load balancer or change its ports.
    EnsureLoadBalancer {
        /// Uid of the service.
        service_uid: String,
        /// `k8s-` and the uid, or the name in the annotation of the service.
        name: String,
        /// Description in the annotation of the service.
        description: String,
        /// All ports.
        ports: Vec<LoadBalancerPort>,
    },
    /// Delete the load balancer of a service.
    DeleteLoadBalancer {
        /// Uid of the service.
        service_uid: String,
    },
    /// Create a block storage volume.
    CreateVolume {
        /// Uid of the claim.
        claim_uid: String,
        /// `pvc-` and the uid of the claim.
        name: String,
        /// Size.
        size_gib: u64,
    },
    /// Delete a volume.
    DeleteVolume {
        /// Id of the volume.
        id: String,
    },
    /// Attach a volume to a machine.
    AttachVolume {
        /// Id of the volume.
        id: String,
        /// Id of the machine.
        machine: String,
    },
    /// Detach a volume from its machine.
    DetachVolume {
        /// Id of the volume.
        id: String,
    },
}

/// One port of a load balancer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancerPort {
    /// `<service uid>-<port>`; UDP ports end in `-udp`.
    pub name: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Port of the load balancer.
    pub port: u16,
    /// Port of the nodes.
    pub node_port: u16,
}

/// What became of a [`CloudCall`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum CloudAnswer {
    /// The load balancer exists with the requested ports.
    LoadBalancer {
        /// Uid of the service.
        service_uid: String,
        /// Id of the load balancer.
        id: String,
        /// Public address.
        ip: String,
    },
    /// The load balancer is deleted.
    LoadBalancerGone {
        /// Uid of the service.
        service_uid: String,
    },
    /// The volume exists.
    VolumeCreated {
        /// Uid of the claim.
        claim_uid: String,
        /// Id of the volume.
        id: String,
    },
    /// The volume is deleted.
    VolumeDeleted {
        /// Id of the volume.
        id: String,
    },
    /// The volume is attached.
    VolumeAttached {
        /// Id of the volume.
        id: String,
    },
    /// The volume is detached.
    VolumeDetached {
        /// Id of the volume.
        id: String,
    },
    /// The call failed. The cluster repeats it after a back-off, while it still
    /// needs the result.
    Failed {
        /// Uid of the service or claim, or id of the volume.
        subject: String,
        /// Reason, for people.
        message: String,
    },
}
