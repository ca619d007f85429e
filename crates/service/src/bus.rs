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

/// Where a stream keeps what was handed over since the last confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// The first position of what it did not have before; none when it had all
    /// of it. What is kept and was not told before counts too.
    pub first_new: Option<u64>,
    /// The highest position of these messages, new or not.
    pub highest: u64,
}

/// A bus.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Hands a message over.
    ///
    /// # Errors
    /// When it is known that it was not taken.
    async fn publish(&self, publication: Publication) -> Result<(), BusError>;

    /// Waits until everything handed over before has reached the server, and
    /// says where a stream keeps it: none when no stream keeps all of it.
    ///
    /// # Errors
    /// When it is not known whether it has reached the server.
    async fn confirm(&self) -> Result<Option<Kept>, BusError>;

    /// Which connection it is. Over another one than before, streams may be
    /// other ones too.
    fn connection(&self) -> u64;
}
