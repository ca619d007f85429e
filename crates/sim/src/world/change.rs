//! What happens later: scheduled changes and the operations that wait.

use crate::fault::Fault;

use super::{Kind, Outcome, StoredRequest, World, kinds};
use exokit_kube_sim::CloudAnswer;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A change and its time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Scheduled {
    pub(crate) at: i64,
    pub(crate) change: Change,
}

/// Everything that can happen without a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Change {
    /// An operation becomes final.
    Finish { operation: String, state: String, reason: Option<String>, message: Option<String> },
    /// A field of a resource takes a value.
    Set { kind: Kind, id: String, key: String, value: Value },
    /// A resource is gone.
    Remove { kind: Kind, id: String, ghost_ms: i64 },
    /// A ghost leaves the lists.
    Purge { kind: Kind, id: String },
    /// An instance pool gets or loses members until it has its size.
    Resize { pool: String },
    /// These members leave the pool.
    Evict { pool: String, members: Vec<String> },
    /// A request arrives whose client has given up; what it makes is missing
    /// from lists for so long.
    Arrive {
        request: StoredRequest,
        #[serde(default)]
        lag_ms: i64,
    },
    /// A machine joins its cluster as a node.
    NodeJoins { machine: String },
    /// A cluster has something to do.
    ClusterWake { cluster: String },
    /// A call of a cluster's controllers comes to this.
    ClusterAnswer { cluster: String, answer: CloudAnswer },
    /// The moment at which a fault on order shows.
    Injected { effect: String },
}

impl Change {
    pub(crate) fn set(kind: Kind, id: &str, key: &str, value: Value) -> Self {
        Self::Set { kind, id: id.to_owned(), key: key.to_owned(), value }
    }

    pub(crate) fn state(kind: Kind, id: &str, state: &str) -> Self {
        Self::set(kind, id, "state", json!(state))
    }

    pub(crate) fn remove(kind: Kind, id: &str) -> Self {
        Self::Remove { kind, id: id.to_owned(), ghost_ms: 0 }
    }
}

/// An asynchronous operation, as clients see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OperationRecord {
    pub(crate) id: String,
    pub(crate) state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<Value>,
}

impl World {
    /// Lets one change happen now.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Finish { operation, state, reason, message } => {
                if let Some(record) = self.operations.get_mut(&operation) {
                    record.state = state;
                    record.reason = reason;
                    record.message = message;
                }
            }
            Change::Set { kind, id, key, value } => self.set(kind, &id, &key, value),
            Change::Remove { kind, id, ghost_ms } => self.remove(kind, &id, ghost_ms),
            Change::Purge { kind, id } => self.purge(kind, &id),
            Change::Resize { pool } => kinds::instance_pool::resize(self, &pool),
            Change::Evict { pool, members } => kinds::instance_pool::evict(self, &pool, &members),
            Change::Arrive { request, lag_ms } => self.arrive(&request, lag_ms),
            Change::NodeJoins { machine } => self.join_node(&machine),
            Change::ClusterWake { cluster } => self.wake_cluster(&cluster),
            Change::ClusterAnswer { cluster, answer } => self.answer_cluster(&cluster, answer),
            Change::Injected { effect } => self.count_effect(&effect),
        }
    }

    /// Removes a resource and what cannot outlive it.
    pub(crate) fn remove(&mut self, kind: Kind, id: &str, ghost_ms: i64) {
        if self.find(kind, id).is_none() {
            return;
        }
        kinds::before_removal(self, kind, id);
        if ghost_ms > 0 {
            let until = self.now + ghost_ms;
            if let Some(object) = self.find_mut(kind, id) {
                object.ghost_until_ms = Some(until);
            }
            let id = id.to_owned();
            self.schedule(ghost_ms, Change::Purge { kind, id });
        } else {
            self.purge(kind, id);
        }
    }

    fn purge(&mut self, kind: Kind, id: &str) {
        if let Some(all) = self.objects.get_mut(&kind) {
            all.remove(id);
        }
        self.touch();
    }

    fn arrive(&mut self, stored: &StoredRequest, lag_ms: i64) {
        let Some(request) = stored.restore() else {
            return;
        };
        self.set_active(&[Fault::ListLag { ms: lag_ms }]);
        let status = match self.execute_now(stored.face, &request) {
            Outcome::Reply(reply) => reply.status().as_u16(),
            Outcome::Drop | Outcome::Unreachable => 0,
        };
        self.active.clear();
        self.count_effect(match status {
            200..=299 => "late: executed",
            401 | 403 => "late: refused by expiry",
            _ => "late: refused",
        });
    }
}
