//! Checks of an environment against what its template promised.
//!
//! The expectation of each check comes from the approved description of the
//! environment, the observation from cloud, cluster and ledger. Neither comes
//! from the requests that made the environment, so a mistake in those is found.
//!
//! # Guarantees
//! - A check passes when two texts are equal: one from the expectation, one from
//!   the evidence.
//! - One broken promise fails one check. The targets of an autoscaler that does
//!   not exist are left to the check of the autoscaler.
//! - The same description and evidence give the same checks.
#![forbid(unsafe_code)]

mod evidence;
mod template_checks;
mod universal_checks;

pub use evidence::{BucketEvidence, Evidence, ProvisionEvidence};

use exokit_model::cost::ApprovalLevel;
use exokit_model::spec::EnvironmentSpec;
use exokit_model::verification::Check;

/// All checks of an environment: U01 to U10, and one for each promise of its
/// template, whose approval level is `default_level`.
#[must_use]
pub fn checks(spec: &EnvironmentSpec, default_level: ApprovalLevel, evidence: &Evidence) -> Vec<Check> {
    let mut checks = universal_checks::checks(spec, evidence);
    checks.extend(template_checks::checks(spec, default_level, evidence));
    checks
}
