//! The transport trait: one request of the table, one answer.

use std::time::Duration;

use async_trait::async_trait;
use exokit_model::ids::OperationId;
use exokit_wire::envelope::Meta;
use exokit_wire::failure::Failure;
use exokit_wire::verb::Verb;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A request of the table.
#[derive(Debug, Clone)]
pub struct Request {
    /// The operation.
    pub verb: Verb,
    /// The fields of its body.
    pub fields: Map<String, Value>,
    /// Requester and idempotency key.
    pub meta: Meta,
}

impl Request {
    /// The request as one message.
    ///
    /// # Errors
    /// [`TransportError::NotSent`] when it has no JSON form, which all requests
    /// have.
    pub fn to_message(&self) -> Result<String, TransportError> {
        let message = self.meta.around(&self.fields);
        message.map(|message| message.to_string()).map_err(|error| TransportError::NotSent(error.to_string()))
    }
}

/// The result of an operation, or why it was refused.
pub(crate) type Answer = Result<Box<RawValue>, Failure>;

/// Why one attempt brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No byte of the request arrived.
    #[error("{0}")]
    NotSent(String),
    /// A server in between refuses to forward the request.
    #[error("{0}")]
    Denied(String),
    /// The request may have arrived.
    #[error("{0}")]
    InDoubt(String),
}

/// Sends requests to whatever carries out the operations of the table: an agent,
/// or the service in this process.
#[async_trait]
pub trait Transport: Send + Sync {
    /// The address of the other side, for messages. It holds no secret.
    fn address(&self) -> &str;

    /// Sends one request and waits for its answer, at most so long.
    ///
    /// # Errors
    /// When no answer came. An answer that cannot be read is a [`Failure`].
    async fn send(&self, request: &Request, timeout: Duration) -> Result<Answer, TransportError>;

    /// Pause between two requests for news.
    fn poll_interval(&self) -> Duration {
        Duration::from_millis(250)
    }

    /// Runs an operation until it ends or parks. An agent runs operations by
    /// itself, so over a network this waits for ever.
    ///
    /// # Errors
    /// When it cannot be run.
    async fn run(&self, _operation: &OperationId) -> Result<(), Failure> {
        std::future::pending().await
    }

    /// Warns of environments that expire soon, and plans the removal of those
    /// that have expired. Returns what failed. An agent does so by itself.
    async fn expire(&self) -> Vec<Failure> {
        Vec::new()
    }
}
