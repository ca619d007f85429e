//! The one seam through which every request leaves the process.
//!
//! A [`Transport`] is a `tower` service from a complete request to a complete
//! reply. The network implements it in [`crate::network`], the simulated cloud
//! implements it in process, and tests implement it with a closure. Nothing
//! above the seam can tell them apart, and nothing below it knows about
//! signatures, retries or operations.

use bytes::Bytes;

/// A request with its whole body.
pub type HttpRequest = http::Request<Bytes>;

/// A reply with its whole body.
pub type HttpResponse = http::Response<Bytes>;

/// A service that carries one request to the cloud and brings back the reply.
///
/// An implementation sends each request at most once: it never repeats one of
/// its own accord, follows no redirect and goes through no queue.
pub type Transport = tower::util::BoxCloneSyncService<HttpRequest, HttpResponse, TransportError>;

/// What caused a [`TransportError`].
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Largest reply body that is read, in bytes. The longest list the Exoscale
/// API is known to give (instance templates) stays well below it.
pub const REPLY_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why no complete reply came back.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The transport could not be set up, so nothing can be sent through it.
    #[error("could not prepare the connection to the cloud: {what}")]
    Setup {
        /// The part of the set-up that failed.
        what: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// No connection was made, so not one byte of the request left.
    #[error("could not connect to {host}")]
    NotConnected {
        /// Host and port that were tried.
        host: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The request may have arrived; whether it took effect is not known.
    #[error("lost the connection to {host} after the request may have been sent")]
    InDoubt {
        /// Host and port of the request.
        host: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The reply was longer than [`REPLY_BYTES_MAX`]; the rest was not read.
    #[error("the reply of {host} is longer than {REPLY_BYTES_MAX} bytes")]
    TooLong {
        /// Host and port of the request.
        host: String,
    },
}

impl TransportError {
    /// Whether it is certain that the cloud received nothing.
    #[must_use]
    pub fn surely_not_sent(&self) -> bool {
        match self {
            TransportError::Setup { .. } | TransportError::NotConnected { .. } => true,
            TransportError::InDoubt { .. } | TransportError::TooLong { .. } => false,
        }
    }

    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            TransportError::Setup { .. } => {
                "check the extra certificate authority and client certificate that were given"
            }
            TransportError::NotConnected { .. } => {
                "check the network, the name resolution and the endpoint; `exokit doctor` tests each"
            }
            TransportError::InDoubt { .. } => {
                "nothing needs to be done by hand: a read is repeated, a change is settled by looking at the cloud"
            }
            TransportError::TooLong { .. } => "check that the endpoint is really an Exoscale API",
        }
    }
}

/// Host and port of a request, for error messages. Holds neither path nor
/// query, because a signed storage URL carries its signature in the query.
#[must_use]
pub fn host_of(uri: &http::Uri) -> String {
    uri.authority().map_or_else(|| "an unnamed host".to_owned(), |authority| authority.as_str().to_owned())
}
