//! What a call can come to, other than success.

use std::time::Duration;

use exokit_model::canonical::Digest;
use jiff::Timestamp;

use crate::reply::DecodeError;
use crate::request::RequestError;
use crate::transport::TransportError;

/// Why a read gave no usable reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The request could not be built.
    #[error("could not prepare {operation}")]
    Request {
        /// Operation id of the request.
        operation: String,
        /// Why.
        #[source]
        source: RequestError,
    },
    /// The cloud answered that it will not, or that there is no such thing.
    #[error("the cloud refused {operation} with status {status}: {message}")]
    Refused {
        /// Operation id of the request.
        operation: String,
        /// HTTP status.
        status: u16,
        /// What the cloud says.
        message: String,
    },
    /// Every attempt met a fault that usually passes.
    #[error("{operation} failed {attempts} times")]
    Unavailable {
        /// Operation id of the request.
        operation: String,
        /// How often it was tried.
        attempts: u32,
        /// The last fault.
        #[source]
        source: Fault,
    },
    /// The reply is not what it should be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// A fault that usually passes.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No reply.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A reply that asks to try again.
    #[error("the cloud answered with status {status}: {message}")]
    Status {
        /// HTTP status: 429 or 5xx.
        status: u16,
        /// What the cloud says.
        message: String,
    },
}

impl Fault {
    /// Whether another attempt can succeed.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(self, Fault::Transport(TransportError::Setup { .. } | TransportError::TooLong { .. }))
    }
}

impl CallError {
    /// Whether the cloud says that there is no such thing. That is proof of
    /// absence only with valid credentials, in the right zone, and for an id
    /// that was seen before.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, CallError::Refused { status: 404, .. })
    }

    /// The next step for the user.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            CallError::Request { .. } => "check the endpoint".into(),
            CallError::Refused { status, .. } => refusal_hint(*status).into(),
            CallError::Unavailable { source: Fault::Transport(error), .. } => error.hint().into(),
            CallError::Unavailable { .. } => "try again later; exostatus.com shows known incidents".into(),
            CallError::Decode(error) => error.hint().into(),
        }
    }
}

fn refusal_hint(status: u16) -> &'static str {
    match status {
        401 | 403 => {
            "check the API key, the permissions of its role and the clock of this host; the API answers so also for a plan or version that the account may not use"
        }
        402 => "check the balance and the limits of the account",
        404 => "check the zone and the id",
        409 | 412 => "something else uses or holds the resource; see the message of the cloud",
        429 => "wait, then try again",
        _ => "see the message of the cloud",
    }
}

/// Why a change is not known to be accepted. The three cases call for three
/// different reactions, and nothing else does.
#[derive(Debug, thiserror::Error)]
pub enum MutationError {
    /// Nothing reached the cloud.
    #[error("{operation} was not sent")]
    NotSent {
        /// Operation id of the request.
        operation: String,
        /// Why.
        #[source]
        why: NotSent,
    },
    /// The cloud answered completely that it did not do it.
    #[error("the cloud refused {operation} with status {status}: {message}")]
    Refused {
        /// Operation id of the request.
        operation: String,
        /// HTTP status: 400, 401, 402, 403, 404, 409, 412, 422 or 429.
        status: u16,
        /// What the cloud says.
        message: String,
        /// How long the cloud asks to wait.
        retry_after: Option<Duration>,
    },
    /// It may have taken effect. Only looking at the cloud can tell, and only
    /// after the signature has expired there.
    #[error("it is not known whether the cloud did {operation}")]
    InDoubt {
        /// Operation id of the request.
        operation: String,
        /// Why.
        #[source]
        why: InDoubt,
    },
}

/// Why a change was not sent.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// The permit is for another request.
    #[error("the permit is for request {permitted}, not for {asked}")]
    OtherRequest {
        /// Digest in the permit.
        permitted: Digest,
        /// Digest of the request.
        asked: Digest,
    },
    /// The signature would outlive the permit.
    #[error("its signature would expire at {expires}, after the permit at {deadline}")]
    OutlivesPermit {
        /// Wanted expiry.
        expires: Timestamp,
        /// Deadline of the permit.
        deadline: Timestamp,
    },
    /// There is not enough time left before the signature expires.
    #[error("too little time was left before its signature expires at {expires}")]
    TooLate {
        /// Expiry of the signature.
        expires: Timestamp,
    },
    /// It could not be built.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// There was no connection.
    #[error(transparent)]
    Transport(TransportError),
    /// A read that the change needs first failed.
    #[error(transparent)]
    Read(#[from] CallError),
}

/// Why the outcome of a change is not known.
#[derive(Debug, thiserror::Error)]
pub enum InDoubt {
    /// No reply, or not all of it.
    #[error(transparent)]
    Transport(TransportError),
    /// A status that proves nothing, such as any 5xx.
    #[error("the reply has status {status}, which proves nothing: {message}")]
    Status {
        /// HTTP status.
        status: u16,
        /// The beginning of the reply.
        message: String,
    },
    /// A success without the body that belongs to it.
    #[error(transparent)]
    Body(#[from] DecodeError),
    /// The same, from object storage.
    #[error("the reply of object storage is not as expected: {0}")]
    Xml(String),
    /// A bucket was emptied in part before the time was up or a fault came.
    /// The same request can be sent again with a new permit; it goes on.
    #[error("{removed} objects and uploads were removed and more are left")]
    Unfinished {
        /// How many are gone.
        removed: u64,
    },
}
