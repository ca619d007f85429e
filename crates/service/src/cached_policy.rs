//! The policy that selections go by for a moment.

use exokit_model::cost::CostPolicy;
use jiff::Timestamp;

/// How long a selection may use a policy that was read before, in milliseconds:
/// reading it is most of the work of a selection.
pub(crate) const CACHED_POLICY_MS: i128 = 1_000;

/// The policy for selections, and when it was read.
#[derive(Debug)]
pub(crate) struct CachedPolicy {
    pub(crate) at: Timestamp,
    pub(crate) policy: CostPolicy,
}
