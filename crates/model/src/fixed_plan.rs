//! A plan that can no longer be changed, with its digest.

use std::ops::Deref;
use std::sync::Arc;

use crate::canonical::{CanonicalError, Digest};
use crate::plan::{Plan, PlanError};

/// A plan and the digest that approvals are bound to.
///
/// The two can only be made together, and neither can be changed afterwards.
/// So nobody can present one plan under the digest of another, and nobody
/// needs to write a plan in canonical form again to be sure of its digest.
/// Clones share the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedPlan(Arc<Fixed>);

#[derive(Debug, PartialEq, Eq)]
struct Fixed {
    plan: Plan,
    digest: Digest,
}

impl FixedPlan {
    /// Fixes a plan as it is.
    ///
    /// # Errors
    /// When the plan has no canonical form.
    pub fn new(plan: Plan) -> Result<Self, CanonicalError> {
        let digest = plan.digest()?;
        Ok(Self(Arc::new(Fixed { plan, digest })))
    }

    /// Reads a plan as strictly as [`Plan::from_bytes`]. The digest is that of
    /// these very bytes, which are the only ones that the plan can have.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PlanError> {
        let plan = Plan::from_bytes(bytes)?;
        Ok(Self(Arc::new(Fixed { plan, digest: Plan::digest_of(bytes) })))
    }

    /// The digest of the plan.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.0.digest
    }
}

impl Deref for FixedPlan {
    type Target = Plan;
    fn deref(&self) -> &Plan {
        &self.0.plan
    }
}
