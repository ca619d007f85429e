//! What the drivers of the cloud know: load balancers, volumes and calls in
//! flight.

use crate::cloud::{CloudAnswer, CloudCall, LoadBalancerPort};
use crate::cluster::Cluster;
use crate::queue::Task;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const BACKOFF_FIRST_MS: i64 = 10_000;
const BACKOFF_MAX_MS: i64 = 300_000;

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
    call: Option<CloudCall>,
    failures: u32,
}

impl Cluster {
    /// Takes the answer of the cloud to a call.
    pub fn answer(&mut self, now_ms: i64, answer: CloudAnswer) {
        self.advance(now_ms);
        match answer {
            CloudAnswer::LoadBalancer { service_uid, id, ip } => {
                self.cloud.attempts.remove(&service_uid);
                self.load_balancer_ready(&service_uid, &id, &ip);
            }
            CloudAnswer::LoadBalancerGone { service_uid } => {
                self.cloud.attempts.remove(&service_uid);
                self.load_balancer_gone(&service_uid);
            }
            CloudAnswer::VolumeCreated { claim_uid, id } => {
                self.cloud.attempts.remove(&claim_uid);
                self.volume_created(&claim_uid, &id);
            }
            CloudAnswer::VolumeDeleted { id } => {
                self.cloud.attempts.remove(&id);
                self.volume_deleted(&id);
            }
            CloudAnswer::VolumeAttached { id } => {
                self.cloud.attempts.remove(&id);
                self.volume_attached(&id);
            }
            CloudAnswer::VolumeDetached { id } => {
                self.cloud.attempts.remove(&id);
                self.volume_detached(&id);
            }
            CloudAnswer::Failed { subject, message } => self.call_failed(&subject, &message),
        }
    }

    /// Sends a call to the cloud.
    pub(crate) fn call(&mut self, call: CloudCall) {
        let subject = subject(&call).to_owned();
        let attempt = self.cloud.attempts.entry(subject).or_insert(CallAttempt { call: None, failures: 0 });
        attempt.call = Some(call.clone());
        self.calls.push(call);
    }

    fn call_failed(&mut self, subject: &str, message: &str) {
        tracing::debug!(subject, message, "cloud call failed");
        let Some(attempt) = self.cloud.attempts.get_mut(subject) else {
            return;
        };
        attempt.failures = attempt.failures.saturating_add(1);
        let doublings = attempt.failures.saturating_sub(1).min(10);
        let delay = BACKOFF_FIRST_MS.saturating_mul(1 << doublings).min(BACKOFF_MAX_MS);
        self.schedule(delay, Task::RetryCloud(subject.to_owned()));
    }

    /// Repeats a failed call, if its result is still needed.
    pub(crate) fn retry_cloud(&mut self, subject: &str) {
        let Some(call) = self.cloud.attempts.get(subject).and_then(|attempt| attempt.call.clone()) else {
            return;
        };
        match call {
            CloudCall::EnsureLoadBalancer { .. } | CloudCall::DeleteLoadBalancer { .. } => {
                if let Some(balancer) = self.cloud.load_balancers.get_mut(subject) {
                    balancer.in_flight = false;
                    let service = balancer.service.clone();
                    self.reconcile_service(&service);
                }
            }
            CloudCall::CreateVolume { .. } => {
                if let Some(claim) = self.cloud.creating.remove(subject) {
                    self.reconcile_claim(&claim);
                }
            }
            CloudCall::DeleteVolume { .. } => {
                if let Some(volume) = self.cloud.deleting.remove(subject) {
                    self.reconcile_volume(&volume);
                }
            }
            CloudCall::AttachVolume { .. } => {
                self.cloud.attachments.remove(subject);
                self.reconcile_attachments();
            }
            CloudCall::DetachVolume { .. } => {
                if let Some(attachment) = self.cloud.attachments.get_mut(subject) {
                    attachment.state = AttachmentState::Attached;
                    self.reconcile_attachments();
                }
            }
        }
    }
}

fn subject(call: &CloudCall) -> &str {
    match call {
        CloudCall::EnsureLoadBalancer { service_uid, .. } | CloudCall::DeleteLoadBalancer { service_uid } => {
            service_uid
        }
        CloudCall::CreateVolume { claim_uid, .. } => claim_uid,
        CloudCall::DeleteVolume { id }
        | CloudCall::AttachVolume { id, .. }
        | CloudCall::DetachVolume { id } => id,
    }
}
