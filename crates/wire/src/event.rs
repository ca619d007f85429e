//! Messages that agent and orchestrator publish: each record of the ledger, each
//! plan that waits for approval, the state of an agent, and updates of the platform's tasks.

use exokit_model::canonical::Digest;
use exokit_model::event::{Event, Record};
use exokit_model::ids::{EnvironmentName, OperationId};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::SCHEMA_VERSION;
use crate::failure::Failure;
use crate::reply::{OperationReply, PlanView};

/// Subject on which plans that wait for approval are announced.
pub const APPROVAL_REQUESTED: &str = "infra.approval.requested";

/// Stands where an environment would, for matters of the account. No
/// environment can be called so.
const ACCOUNT: &str = "_account";

/// Fields of an event that are left out: long, or for the engine only. A plan
/// is read with `plan.show`.
const PRIVATE: [&str; 4] = ["plan", "signed", "sealed", "token"];

/// One record of the ledger, as it is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventMessage {
    /// Version of the message.
    pub schema_version: u32,
    /// Counts from 1 without gaps.
    pub seq: u64,
    /// Hash of the record; also the message id, so that a stream takes each
    /// record once.
    pub hash: Digest,
    /// When it happened, by the engine's clock.
    pub at: Timestamp,
    /// The environment that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<EnvironmentName>,
    /// The operation that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// What happened: its name is in `type`.
    pub event: Map<String, Value>,
}

impl EventMessage {
    /// A record as it is published.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let mut event = match serde_json::to_value(&record.entry.event) {
            Ok(Value::Object(fields)) => fields,
            // Every event is an object with a type.
            _ => Map::new(),
        };
        event.retain(|name, _| !PRIVATE.contains(&name.as_str()));
        Self {
            schema_version: SCHEMA_VERSION,
            seq: record.seq,
            hash: record.hash,
            at: record.entry.at,
            environment: record.entry.environment.clone(),
            operation: record.entry.operation.clone(),
            event,
        }
    }
}

/// The subject on which a record is published.
#[must_use]
pub fn subject(environment: Option<&EnvironmentName>, event: &Event) -> String {
    let environment = environment.map_or(ACCOUNT, EnvironmentName::as_str);
    format!("infra.events.{environment}.{}", event.name())
}

/// A plan waits for approval: what a person must know to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalRequested {
    /// Version of the message.
    pub schema_version: u32,
    /// What would be done, what it costs, what is destroyed, and why it needs
    /// approval, the strictest rule first.
    pub plan: PlanView,
    /// Who has voted.
    pub operation: OperationReply,
    /// The same on one page, for people.
    pub page: String,
    /// After this time it is too late.
    pub deadline: Timestamp,
}

/// Subject on which an agent says that it has come.
pub const AGENT_REGISTER: &str = "orchestrator.agents.register";

/// Subject on which an agent says that it is still there.
pub const AGENT_HEARTBEAT: &str = "orchestrator.agents.heartbeat";

/// Subject on which an agent says that it goes.
pub const AGENT_LEAVE: &str = "orchestrator.agents.leave";

/// Who an agent is and how it is. It is also the answer to a broadcast that
/// asks for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentMessage {
    /// Version of the message.
    pub schema_version: u32,
    /// Id of the agent on the platform: `AZ-INFRA-001`.
    pub agent: String,
    /// Name of its service: `az-infra-provisioner`.
    pub service: String,
    /// Version of the program.
    pub version: String,
    /// This process among the replicas.
    pub instance: String,
    /// When it was sent.
    pub at: Timestamp,
    /// Whether the ledger can be written.
    pub ready: bool,
    /// The subjects that it answers on.
    pub subjects: Vec<String>,
}

/// Prefix of the subjects of all tasks; the rest of the subject is the type. A
/// task is the very message of the operation that it is routed to.
pub const TASK_PREFIX: &str = "orchestrator.task.";

/// A message to the reply subject of a task, several for one that takes long:
/// first the answer, then each event, then the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskUpdate {
    /// Version of the message.
    pub schema_version: u32,
    /// Type of the task.
    pub task: String,
    /// The content.
    pub update: Update,
}

/// The content of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Update {
    /// The agent answered with this; nothing more comes unless it began
    /// something.
    Answered(Value),
    /// It was not routed, or not answered.
    Refused(Failure),
    /// Something happened.
    Progress(EventMessage),
    /// Its operation ended or parked with this event; nothing more comes.
    Ended(EventMessage),
    /// It is no longer followed, and its operation had not ended; nothing more
    /// comes.
    Unfollowed(Failure),
}
