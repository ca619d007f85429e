//! Calls to the cloud: answers, failures and repetitions.

use super::cloud_state::{AttachmentState, CallAttempt};
use crate::cloud::{CloudAnswer, CloudCall};
use crate::cluster::Cluster;
use crate::queue::Task;

const BACKOFF_FIRST_MS: i64 = 10_000;
const BACKOFF_MAX_MS: i64 = 300_000;

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
                    balancer.ports.clear();
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
