//! Which access is handed out at once, and which needs an approved plan.

use exokit_model::access::{Access, ClusterRole, RequesterProof};
use exokit_model::spec::EnvironmentClass;

/// Longest life of a kubeconfig for people, in seconds: one working day and the
/// night after it.
pub const KUBECONFIG_SECONDS_MAX: u32 = 24 * 3600;

/// Shortest life of a kubeconfig for people, in seconds.
pub const KUBECONFIG_SECONDS_MIN: u32 = 60;

/// Why an access needs an approved plan; none when it is handed out at once.
#[must_use]
pub fn needs_approval(
    access: &Access,
    class: EnvironmentClass,
    proof: RequesterProof,
) -> Option<&'static str> {
    let reads_secrets = match access {
        Access::Secrets { .. } => true,
        Access::Kubeconfig { role, .. } => *role != ClusterRole::Viewer,
    };
    match access {
        Access::Kubeconfig { role: ClusterRole::Admin, .. } => Some("it administers the cluster"),
        _ if proof == RequesterProof::None => Some("the requester is not authenticated"),
        _ if reads_secrets && class == EnvironmentClass::Production => {
            Some("it reads secrets of an environment in production")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_production_and_unproved_requesters_need_approval() {
        let secrets = Access::Secrets { values: [].into() };
        let kubeconfig = |role| Access::Kubeconfig { role, ttl_seconds: 3600 };
        let (viewer, editor) = (kubeconfig(ClusterRole::Viewer), kubeconfig(ClusterRole::Editor));
        let (test, production) = (EnvironmentClass::Test, EnvironmentClass::Production);
        let needs = |access: &Access, class, proof| needs_approval(access, class, proof).is_some();
        for proof in [RequesterProof::Local, RequesterProof::Bearer] {
            assert!(!needs(&secrets, test, proof) && needs(&secrets, production, proof));
            assert!(!needs(&viewer, test, proof) && !needs(&viewer, production, proof));
            assert!(!needs(&editor, test, proof) && needs(&editor, production, proof));
            assert!(needs(&kubeconfig(ClusterRole::Admin), test, proof));
        }
        for access in [&secrets, &viewer, &editor] {
            assert!(needs(access, test, RequesterProof::None), "{access}");
        }
    }
}
