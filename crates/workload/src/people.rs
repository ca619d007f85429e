//! Rights of people in the namespace: the groups of the kubeconfigs that exokit
//! issues. Administrators of a cluster need no binding.

use exokit_model::access::ClusterRole;
use exokit_model::kind::Kind;
use exokit_model::spec::EnvironmentSpec;
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};

use crate::builder::describe;
use crate::labels::shared_metadata;
use crate::object::WorkloadObject;

const API_GROUP: &str = "rbac.authorization.k8s.io";

/// The bindings. Nobody is in the groups until exokit issues a certificate.
pub(crate) fn objects(spec: &EnvironmentSpec) -> Vec<WorkloadObject> {
    // Of Kubernetes's own roles, which every cluster has.
    [(ClusterRole::Viewer, "viewers", "view"), (ClusterRole::Editor, "editors", "edit")]
        .map(|(role, key, cluster_role)| {
            let binding = RoleBinding {
                metadata: shared_metadata(spec, &format!("exokit-{key}")),
                role_ref: RoleRef {
                    api_group: API_GROUP.to_owned(),
                    kind: "ClusterRole".to_owned(),
                    name: cluster_role.to_owned(),
                },
                subjects: Some(vec![Subject {
                    kind: "Group".to_owned(),
                    name: role.group().to_owned(),
                    namespace: None,
                    api_group: Some(API_GROUP.to_owned()),
                }]),
            };
            describe(key, Kind::RoleBinding, &binding, &[])
        })
        .into()
}
