//! Why a NATS server cannot be used.

use std::path::PathBuf;

/// A connection, subscription or permission that the server does not give.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    /// The server at these addresses, without user and password, cannot be
    /// reached or refuses the login.
    #[error("connecting to {0}")]
    Connect(String, #[source] async_nats::ConnectError),
    /// The credentials file cannot be read.
    #[error("reading the credentials {}", .0.display())]
    Credentials(PathBuf, #[source] std::io::Error),
    /// A subject cannot be subscribed to.
    #[error("subscribing to {0}")]
    Subscribe(String, #[source] async_nats::SubscribeError),
    /// These permissions are missing, such as `publish to infra.>`.
    #[error("the server denies {}", .0.join(", "))]
    Denied(Vec<String>),
    /// A round trip to the server failed, for this reason.
    #[error("the server did not answer: {0}")]
    RoundTrip(String),
}

impl NatsError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            NatsError::Connect(..) => {
                "check the address, the user, the password and the certificate authority; \
                 `nats-server -c communication/nats.conf` starts the platform's server"
            }
            NatsError::Credentials(..) => "check the path and the rights on the file",
            NatsError::Subscribe(..) => "this is a mistake in exokit; please report it",
            NatsError::Denied(..) => "give the user the rights in communication/nats.conf",
            NatsError::RoundTrip(..) => "check the server, and that the user may subscribe to its inbox",
        }
    }
}
