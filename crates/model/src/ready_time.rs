//! How long a resource took to become ready, as closely as it was watched.

use serde::{Deserialize, Serialize};

use crate::ids::Zone;
use crate::kind::Kind;

/// The time from an accepted create request to a ready resource. It lies
/// between the last look that showed it pending and the first that showed it
/// ready.
///
/// Counted in milliseconds of the cloud: where a simulated cloud runs 20 times
/// as fast, 50 ms of the host's clock are one second here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadyTime {
    /// What became ready.
    pub kind: Kind,
    /// Where.
    pub zone: Zone,
    /// It was still pending then.
    pub after_ms: u64,
    /// It was ready by then; never before `after_ms`.
    pub by_ms: u64,
}
