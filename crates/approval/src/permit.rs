//! The permit: proof, held as a value, that one exact request is approved.

use exokit_model::canonical::Digest;
use exokit_model::ids::{NodeKey, OperationId, Zone};
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
    operation: OperationId,
    node: NodeKey,
    zone: Zone,
    request: Digest,
    epoch: u64,
    deadline: Timestamp,
}

impl Permit {
    pub(crate) fn new(
        operation: OperationId,
        node: NodeKey,
        zone: Zone,
        request: Digest,
        epoch: u64,
        deadline: Timestamp,
    ) -> Self {
        Self { operation, node, zone, request, epoch, deadline }
    }

    /// The operation on whose behalf the request is sent.
    #[must_use]
    pub fn operation(&self) -> &OperationId {
        &self.operation
    }

    /// The node that the request makes or removes.
    #[must_use]
    pub fn node(&self) -> &NodeKey {
        &self.node
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

    /// Fencing token of the lease under which the permit was given.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When the signature of the request must expire at the latest.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }
}
