//! Tasks of the platform that are routed to the agent: what comes back for
//! them. A task is the very message of the operation that it is routed to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::EventMessage;
use crate::failure::Failure;

/// What all tasks are published under; the rest of the subject is the type.
pub const TASK_PREFIX: &str = "orchestrator.task.";

/// What is sent to the reply subject of a task, several times for one that
/// takes long: first what became of it, then each event, then how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskUpdate {
    /// Version of the message.
    pub schema_version: u32,
    /// Type of the task.
    pub task: String,
    /// What is told.
    pub update: Update,
}

/// What is told of a task.
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
