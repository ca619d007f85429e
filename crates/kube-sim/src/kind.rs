//! The kinds of object that the cluster serves.

use serde::{Deserialize, Serialize};

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    Namespace,
    Node,
    Pod,
    Service,
    ServiceAccount,
    ConfigMap,
    Secret,
    PersistentVolumeClaim,
    PersistentVolume,
    ResourceQuota,
    LimitRange,
    Event,
    Endpoints,
    EndpointSlice,
    Deployment,
    ReplicaSet,
    DaemonSet,
    StatefulSet,
    HorizontalPodAutoscaler,
    PodDisruptionBudget,
    NetworkPolicy,
    Ingress,
    IngressClass,
    Role,
    RoleBinding,
    ClusterRole,
    ClusterRoleBinding,
    StorageClass,
    CsiDriver,
    CsiNode,
    VolumeAttachment,
    Lease,
}

/// What the API says of a kind.
#[derive(Debug)]
pub(crate) struct KindInfo {
    pub(crate) kind: Kind,
    /// Name in `kind` fields.
    pub(crate) name: &'static str,
    /// API group, empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    /// Name in paths.
    pub(crate) plural: &'static str,
    /// Short name of kubectl.
    pub(crate) short: Option<&'static str>,
    pub(crate) namespaced: bool,
    /// Whether `status` is a subresource.
    pub(crate) has_status: bool,
    /// Whether `metadata.generation` counts changes of the spec.
    pub(crate) has_generation: bool,
    /// Whether `scale` is a subresource.
    pub(crate) has_scale: bool,
}

/// All kinds, in the order of [`Kind`].
pub(crate) static KINDS: [KindInfo; 32] = [
    row(Kind::Namespace, "Namespace", ("", "v1"), ("namespaces", "ns"), STATUS),
    row(Kind::Node, "Node", ("", "v1"), ("nodes", "no"), STATUS),
    row(Kind::Pod, "Pod", ("", "v1"), ("pods", "po"), NAMESPACED | STATUS | GENERATION),
    row(Kind::Service, "Service", ("", "v1"), ("services", "svc"), NAMESPACED | STATUS),
    row(Kind::ServiceAccount, "ServiceAccount", ("", "v1"), ("serviceaccounts", "sa"), NAMESPACED),
    row(Kind::ConfigMap, "ConfigMap", ("", "v1"), ("configmaps", "cm"), NAMESPACED),
    row(Kind::Secret, "Secret", ("", "v1"), ("secrets", ""), NAMESPACED),
    row(
        Kind::PersistentVolumeClaim,
        "PersistentVolumeClaim",
        ("", "v1"),
        ("persistentvolumeclaims", "pvc"),
        NAMESPACED | STATUS,
    ),
    row(Kind::PersistentVolume, "PersistentVolume", ("", "v1"), ("persistentvolumes", "pv"), STATUS),
    row(Kind::ResourceQuota, "ResourceQuota", ("", "v1"), ("resourcequotas", "quota"), NAMESPACED | STATUS),
    row(Kind::LimitRange, "LimitRange", ("", "v1"), ("limitranges", "limits"), NAMESPACED),
    row(Kind::Event, "Event", ("", "v1"), ("events", "ev"), NAMESPACED),
    row(Kind::Endpoints, "Endpoints", ("", "v1"), ("endpoints", "ep"), NAMESPACED),
    row(
        Kind::EndpointSlice,
        "EndpointSlice",
        ("discovery.k8s.io", "v1"),
        ("endpointslices", ""),
        NAMESPACED | GENERATION,
    ),
    row(
        Kind::Deployment,
        "Deployment",
        ("apps", "v1"),
        ("deployments", "deploy"),
        NAMESPACED | STATUS | GENERATION | SCALE,
    ),
    row(
        Kind::ReplicaSet,
        "ReplicaSet",
        ("apps", "v1"),
        ("replicasets", "rs"),
        NAMESPACED | STATUS | GENERATION | SCALE,
    ),
    row(Kind::DaemonSet, "DaemonSet", ("apps", "v1"), ("daemonsets", "ds"), NAMESPACED | STATUS | GENERATION),
    row(
        Kind::StatefulSet,
        "StatefulSet",
        ("apps", "v1"),
        ("statefulsets", "sts"),
        NAMESPACED | STATUS | GENERATION | SCALE,
    ),
    row(
        Kind::HorizontalPodAutoscaler,
        "HorizontalPodAutoscaler",
        ("autoscaling", "v2"),
        ("horizontalpodautoscalers", "hpa"),
        NAMESPACED | STATUS,
    ),
    row(
        Kind::PodDisruptionBudget,
        "PodDisruptionBudget",
        ("policy", "v1"),
        ("poddisruptionbudgets", "pdb"),
        NAMESPACED | STATUS | GENERATION,
    ),
    row(
        Kind::NetworkPolicy,
        "NetworkPolicy",
        ("networking.k8s.io", "v1"),
        ("networkpolicies", "netpol"),
        NAMESPACED | GENERATION,
    ),
    row(
        Kind::Ingress,
        "Ingress",
        ("networking.k8s.io", "v1"),
        ("ingresses", "ing"),
        NAMESPACED | STATUS | GENERATION,
    ),
    row(Kind::IngressClass, "IngressClass", ("networking.k8s.io", "v1"), ("ingressclasses", ""), GENERATION),
    row(Kind::Role, "Role", ("rbac.authorization.k8s.io", "v1"), ("roles", ""), NAMESPACED),
    row(
        Kind::RoleBinding,
        "RoleBinding",
        ("rbac.authorization.k8s.io", "v1"),
        ("rolebindings", ""),
        NAMESPACED,
    ),
    row(Kind::ClusterRole, "ClusterRole", ("rbac.authorization.k8s.io", "v1"), ("clusterroles", ""), 0),
    row(
        Kind::ClusterRoleBinding,
        "ClusterRoleBinding",
        ("rbac.authorization.k8s.io", "v1"),
        ("clusterrolebindings", ""),
        0,
    ),
    row(Kind::StorageClass, "StorageClass", ("storage.k8s.io", "v1"), ("storageclasses", "sc"), 0),
    row(Kind::CsiDriver, "CSIDriver", ("storage.k8s.io", "v1"), ("csidrivers", ""), 0),
    row(Kind::CsiNode, "CSINode", ("storage.k8s.io", "v1"), ("csinodes", ""), 0),
    row(
        Kind::VolumeAttachment,
        "VolumeAttachment",
        ("storage.k8s.io", "v1"),
        ("volumeattachments", ""),
        STATUS,
    ),
    row(Kind::Lease, "Lease", ("coordination.k8s.io", "v1"), ("leases", ""), NAMESPACED),
];

const NAMESPACED: u8 = 1;
const STATUS: u8 = 2;
const GENERATION: u8 = 4;
const SCALE: u8 = 8;

const fn row(
    kind: Kind,
    name: &'static str,
    (group, version): (&'static str, &'static str),
    (plural, short): (&'static str, &'static str),
    flags: u8,
) -> KindInfo {
    KindInfo {
        kind,
        name,
        group,
        version,
        plural,
        short: if short.is_empty() { None } else { Some(short) },
        namespaced: flags & NAMESPACED != 0,
        has_status: flags & STATUS != 0,
        has_generation: flags & GENERATION != 0,
        has_scale: flags & SCALE != 0,
    }
}

impl KindInfo {
    /// Plural name and group, with a dot between them even without a group.
    pub(crate) fn qualified_resource(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }
}

impl Kind {
    /// Whether an update may create an object.
    pub(crate) fn may_update_create(self) -> bool {
        let kinds = [
            Self::Service,
            Self::Endpoints,
            Self::LimitRange,
            Self::ResourceQuota,
            Self::Event,
            Self::Lease,
            Self::Role,
            Self::RoleBinding,
            Self::ClusterRole,
            Self::ClusterRoleBinding,
        ];
        kinds.contains(&self)
    }

    /// What the API says of this kind.
    pub(crate) fn info(self) -> &'static KindInfo {
        // The table has an entry for each kind, which a test checks.
        KINDS.get(self as usize).unwrap_or(&KINDS[0])
    }

    /// The kind with this group and plural name.
    pub(crate) fn by_path(group: &str, version: &str, plural: &str) -> Option<Self> {
        KINDS.iter().find(|k| k.plural == plural && k.group == group && k.version == version).map(|k| k.kind)
    }

    /// The kind with this `apiVersion` and `kind`.
    pub(crate) fn by_name(api_version: &str, name: &str) -> Option<Self> {
        KINDS.iter().find(|k| k.name == name && k.is_version(api_version)).map(|k| k.kind)
    }
}

impl KindInfo {
    /// Group and version as in `apiVersion` fields.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    fn is_version(&self, api_version: &str) -> bool {
        match api_version.split_once('/') {
            None => self.group.is_empty() && self.version == api_version,
            Some((group, version)) => self.group == group && self.version == version,
        }
    }

    /// The singular name, in lower case.
    pub(crate) fn singular(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Plural name and group, as messages name a resource.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Kind and group, as messages about invalid objects name it.
    pub(crate) fn qualified_kind(&self) -> String {
        if self.group.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.name, self.group) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_kinds() {
        for (index, info) in KINDS.iter().enumerate() {
            assert_eq!(info.kind as usize, index, "{}", info.name);
        }
    }
}
