//! What the drivers of the cloud know: load balancers, volumes and calls in
//! flight.

use crate::cloud::{CloudCall, LoadBalancerPort};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The memory of the cloud controller and the CSI driver.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct CloudState {
    /// Node names by id of the machine.
    pub(crate) machines: BTreeMap<String, String>,
    /// Load balancers by uid of the service.
    pub(crate) load_balancers: BTreeMap<String, LoadBalancer>,
    /// Claims that a volume is being created for: keys by uid.
    pub(crate) creating: BTreeMap<String, String>,
    /// Attachments by id of the volume.
    pub(crate) attachments: BTreeMap<String, Attachment>,
    /// Volumes that are being deleted: names of persistent volumes by id.
    pub(crate) deleting: BTreeMap<String, String>,
    /// Calls that are not answered or are to be repeated, by their subject.
    pub(crate) attempts: BTreeMap<String, CallAttempt>,
}

/// The load balancer of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LoadBalancer {
    /// Key of the service.
    pub(crate) service: String,
    pub(crate) ports: Vec<LoadBalancerPort>,
    pub(crate) description: String,
    /// Whether a call awaits its answer.
    pub(crate) in_flight: bool,
    /// Whether the call is a deletion.
    pub(crate) is_deleting: bool,
}

/// Where a volume is attached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) node: String,
    pub(crate) machine: String,
    pub(crate) state: AttachmentState,
}

/// The progress of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AttachmentState {
    Attaching,
    Attached,
    Detaching,
}

/// A call that awaits its answer or its repetition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CallAttempt {
    pub(crate) call: Option<CloudCall>,
    pub(crate) failures: u32,
}
