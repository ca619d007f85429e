//! The start and the end of the agent: progress, errors and the stop signal.

use std::net::SocketAddr;
use std::path::PathBuf;

use exokit_ledger::LedgerError;
use exokit_nats::NatsError;
use tokio::sync::watch;

/// Why the agent does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// HTTP cannot be served at this address.
    #[error("listening on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// NATS cannot be used.
    #[error("using NATS")]
    Nats(#[from] NatsError),
    /// The tokens in this file cannot be read.
    #[error("reading the tokens in {}", .0.display())]
    Tokens(PathBuf, #[source] std::io::Error),
    /// A part of the agent panicked.
    #[error("a part of the agent panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
    /// This process can no longer write the ledger.
    #[error("writing the ledger")]
    Ledger(#[source] LedgerError),
    /// The cursor of published events in this folder cannot be opened.
    #[error("opening the cursor of the events in {}", .0.display())]
    Cursor(PathBuf, #[source] std::io::Error),
}

impl ServeError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            ServeError::Listen(..) => "choose another address with --listen; port 0 takes a free one",
            ServeError::Nats(error) => error.hint(),
            ServeError::Panicked(_) => "start it again, which loses nothing, and report it with the log",
            ServeError::Ledger(_) => {
                "check the disk, then start it again: only a new process may judge what is on it"
            }
            ServeError::Tokens(..) => "restore the file, or remove it and make new tokens",
            ServeError::Cursor(..) => "check the disk and the rights on the folder",
        }
    }
}

/// Progress of the start, for the caller of [`crate::serve::serve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServeEvent {
    /// HTTP is served at this address.
    Listening(SocketAddr),
    /// NATS is connected, and allows what the agent needs.
    NatsConnected,
    /// NATS cannot be reached yet, for this reason.
    NatsUnreachable(String),
}

/// Completes when the agent stops.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the agent is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}
