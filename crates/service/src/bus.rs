//! The way out: a bus that messages are published on. It may lose them, repeat
//! them and reorder them; nothing depends on it.

use async_trait::async_trait;

/// A message that is about to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Where.
    pub subject: String,
    /// By which a stream knows a message that it has.
    pub id: Option<String>,
    /// JSON.
    pub body: Vec<u8>,
}

/// Why nothing is known of what was published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bus did not take it: {why}")]
pub struct BusError {
    /// In words.
    pub why: String,
}

/// A bus.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Hands a message over.
    ///
    /// # Errors
    /// When it is known that it was not taken.
    async fn publish(&self, publication: Publication) -> Result<(), BusError>;

    /// Waits until everything handed over before has reached the server.
    ///
    /// # Errors
    /// When that is not known.
    async fn confirm(&self) -> Result<(), BusError>;
}
