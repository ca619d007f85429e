//! What can go wrong around the simulated cloud (never inside a reply).

use std::path::PathBuf;

/// A failure of the simulator itself, or the connection it broke on purpose.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// The connection was closed without a reply: an injected fault. The
    /// request may or may not have had its effect.
    #[error("connection closed before a reply arrived")]
    Dropped,
    /// Nothing listens at the address of the request: the API server of a
    /// cluster that is not there, or not yet. The request had no effect.
    #[error("connection refused")]
    Unreachable,
    /// The state file could not be read, locked or written.
    #[error("state file {path}: {source}")]
    State {
        /// The file concerned.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An exchange could not be written down.
    #[error("record of exchanges {path}: {source}")]
    Record {
        /// The file concerned.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The state or fault file is not what it should be.
    #[error("{path} cannot be understood: {source}")]
    Format {
        /// The file concerned.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A listener could not be opened or configured.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The programs of real control planes cannot be run.
    #[error("{cause}")]
    ControlPlane {
        /// The missing thing.
        cause: String,
        /// One thing to change.
        hint: &'static str,
    },
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
}
