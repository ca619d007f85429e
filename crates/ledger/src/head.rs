//! The end of the hash chain.

use exokit_model::canonical::Digest;
use exokit_model::event::Record;
use serde::{Deserialize, Serialize};

/// The end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Sequence number of the last record; 0 when there is none.
    pub seq: u64,
    /// Its hash; all zero when there is none.
    pub hash: Digest,
}

impl Default for Head {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Head {
    /// The head of an empty ledger.
    pub const EMPTY: Head = Head { seq: 0, hash: Digest([0; 32]) };

    /// The head after `record`.
    #[must_use]
    pub fn after(record: &Record) -> Self {
        Self { seq: record.seq, hash: record.hash }
    }

    /// Whether `record` is the next one of the chain.
    pub(crate) fn precedes(&self, record: &Record) -> bool {
        record.seq == self.seq + 1 && record.prev == self.hash
    }
}
