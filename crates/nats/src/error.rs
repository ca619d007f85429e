//! Why a NATS server cannot be used.

use std::path::PathBuf;

/// A connection, subscription or permission that the server does not give.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The server cannot be reached, or refuses the login.
    #[error("connecting to {url}")]
    Connect {
        /// Addresses of the server, without user and password.
        url: String,
        /// Error of the connection.
        #[source]
        source: async_nats::ConnectError,
    },
    /// The credentials file cannot be read.
    #[error("reading the credentials {}", .path.display())]
    Credentials {
        /// Path of the file.
        path: PathBuf,
        /// Error of the file system.
        #[source]
        source: std::io::Error,
    },
    /// A subject cannot be subscribed to.
    #[error("subscribing to {subject}")]
    Subscribe {
        /// The subject.
        subject: String,
        /// Error of the subscription.
        #[source]
        source: async_nats::SubscribeError,
    },
    /// Permissions are missing.
    #[error("the server denies {}", .denied.join(", "))]
    Denied {
        /// Denied permissions, such as `publish to infra.>`.
        denied: Vec<String>,
    },
    /// A round trip to the server failed.
    #[error("the server did not answer: {why}")]
    RoundTrip {
        /// Cause, in words.
        why: String,
    },
}

impl NatsError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            NatsError::Connect { .. } => {
                "check the address, the user, the password and the certificate authority; \
                 `nats-server -c communication/nats.conf` starts the platform's server"
            }
            NatsError::Credentials { .. } => "check the path and the rights on the file",
            NatsError::Subscribe { .. } => "this is a mistake in exokit; please report it",
            NatsError::Denied { .. } => "give the user the rights in communication/nats.conf",
            NatsError::RoundTrip { .. } => "check the server, and that the user may subscribe to its inbox",
        }
    }
}
