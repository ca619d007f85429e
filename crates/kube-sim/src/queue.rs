//! Work that is due at a time.

use crate::kind::Kind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A piece of work of a controller. Text fields are keys of objects unless
/// they say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Reconcile a deployment.
    Deployment(String),
    /// Reconcile a replica set.
    ReplicaSet(String),
    /// Reconcile a daemon set.
    DaemonSet(String),
    /// Find nodes for pending pods.
    Schedule,
    /// Start a pod, or have it wait for its volumes.
    StartPod(String),
    /// The containers of a pod are ready.
    ReadyPod(String),
    /// The containers of a deleted pod have stopped.
    RemovePod(String),
    /// Set up or remove a namespace.
    Namespace(String),
    /// Remove what belongs to an object that is gone.
    CollectOrphans {
        /// Namespace, empty for objects of the cluster.
        namespace: String,
        /// Uid of the owner.
        uid: String,
    },
    /// Remove an object if none of its owners exists.
    CheckOwners(Kind, String),
    /// Continue a deletion in the foreground, or one that orphans dependents.
    FinishDeletion(Kind, String),
    /// Reconcile the load balancer of a service.
    Service(String),
    /// Reconcile the endpoints of a service.
    Endpoints(String),
    /// Reconcile a claim.
    Claim(String),
    /// Reconcile a persistent volume.
    Volume(String),
    /// Reconcile the attachment of all volumes.
    Attachments,
    /// Reconcile an autoscaler.
    Autoscaler(String),
    /// Reconcile a disruption budget.
    DisruptionBudget(String),
    /// Compute the use of the quotas of a namespace.
    Quota(String),
    /// Repeat a call to the cloud for this service uid, claim uid or volume id.
    RetryCloud(String),
    /// Renew the lease of a node of this name.
    RenewLease(String),
}

/// Tasks by the time they are due; a task is in it at most once.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Queue {
    sequence: u64,
    tasks: BTreeSet<(i64, u64, Task)>,
}

impl Queue {
    /// Adds a task, or moves it forward if it is queued for later.
    pub(crate) fn add(&mut self, due: i64, task: Task) {
        let queued = self.tasks.iter().find(|(_, _, other)| *other == task).cloned();
        if let Some(queued) = queued {
            if queued.0 <= due {
                return;
            }
            self.tasks.remove(&queued);
        }
        self.sequence += 1;
        self.tasks.insert((due, self.sequence, task));
    }

    /// Whether a task is queued.
    pub(crate) fn contains(&self, task: &Task) -> bool {
        self.tasks.iter().any(|(_, _, other)| other == task)
    }

    /// When the first task is due.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.tasks.first().map(|(due, _, _)| *due)
    }

    /// Takes the first task due by `now`.
    pub(crate) fn take_due(&mut self, now: i64) -> Option<(i64, Task)> {
        if self.next_due()? > now {
            return None;
        }
        self.tasks.pop_first().map(|(due, _, task)| (due, task))
    }
}
