//! The permit: proof, held as a value, that one exact request is approved.

use exokit_model::canonical::Digest;
use exokit_model::ids::Zone;
use jiff::Timestamp;

/// Permission to send one request once.
///
/// Only [`Verifier::permit`](crate::verify::Verifier::permit) makes one. It
/// can be neither copied nor read from outside, so whoever holds a permit got
/// it from the verifier, for this request, in this process. The cloud client
/// takes it by value.
#[derive(Debug)]
#[must_use = "a permit is for one request that is about to be sent"]
pub struct Permit {
    zone: Zone,
    request: Digest,
    deadline: Timestamp,
}

impl Permit {
    pub(crate) fn new(zone: Zone, request: Digest, deadline: Timestamp) -> Self {
        Self { zone, request, deadline }
    }

    /// Zone whose endpoint the request goes to.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Digest of the only request that may be sent, see
    /// [`ConcreteRequest::digest`](exokit_model::request::ConcreteRequest::digest).
    #[must_use]
    pub fn request(&self) -> Digest {
        self.request
    }

    /// When the signature of the request must expire at the latest.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }
}
