//! What every fresh cluster contains.

use crate::cluster::{Addresses, Cluster};
use crate::controllers::cloud_state::CloudState;
use crate::kind::Kind;
use crate::queue::Queue;
use crate::rng::Rng;
use crate::settings::Settings;
use crate::store::Store;
use serde_json::json;

impl Cluster {
    /// A cluster without nodes, with what every cluster contains.
    pub fn new(settings: Settings, now_ms: i64) -> Self {
        let mut cluster = Self::empty(settings, now_ms);
        create(&mut cluster);
        cluster
    }

    /// A cluster without anything in it.
    pub(crate) fn empty(settings: Settings, now_ms: i64) -> Self {
        Self {
            now: now_ms,
            rng: Rng::new(settings.seed),
            settings,
            store: Store::new(),
            queue: Queue::default(),
            calls: Vec::new(),
            cloud: CloudState::default(),
            mirror: None,
            addresses: Addresses::default(),
        }
    }
}

/// Creates the built-in objects, and forgets that this was a change.
fn create(cluster: &mut Cluster) {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        let namespace = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        cluster.create_object(Kind::Namespace, namespace);
        cluster.reconcile_namespace(name);
    }
    service(cluster);
    storage(cluster);
    roles(cluster);
    cluster.queue = Queue::default();
    cluster.store.pack();
}

fn service(cluster: &mut Cluster) {
    let address = "10.96.0.1";
    cluster.addresses.services = 1;
    let service = json!({
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": address, "clusterIPs": [address], "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "type": "ClusterIP",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
        "status": {"loadBalancer": {}},
    });
    cluster.create_object(Kind::Service, service);
}

/// The objects that come with the CSI driver.
pub(crate) fn storage(cluster: &mut Cluster) {
    for (name, policy, is_default) in
        [("exoscale-sbs", "Delete", "true"), ("exoscale-bs-retain", "Retain", "false")]
    {
        let class = json!({
            "metadata": {"name": name, "annotations": {"storageclass.kubernetes.io/is-default-class": is_default}},
            "provisioner": "csi.exoscale.com",
            "reclaimPolicy": policy,
            "volumeBindingMode": "Immediate",
            "allowVolumeExpansion": true,
        });
        cluster.create_object(Kind::StorageClass, class);
    }
    let driver = json!({
        "metadata": {"name": "csi.exoscale.com"},
        "spec": {
            "attachRequired": true, "podInfoOnMount": true, "fsGroupPolicy": "ReadWriteOnceWithFSType",
            "requiresRepublish": false, "storageCapacity": false, "volumeLifecycleModes": ["Persistent"],
        },
    });
    cluster.create_object(Kind::CsiDriver, driver);
}

fn roles(cluster: &mut Cluster) {
    let bootstrap = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
    let read = json!(["get", "list", "watch"]);
    let all = json!(["*"]);
    let edit = json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
    let workloads = json!([
        "configmaps",
        "endpoints",
        "events",
        "limitranges",
        "persistentvolumeclaims",
        "pods",
        "pods/log",
        "pods/status",
        "resourcequotas",
        "serviceaccounts",
        "services",
        "daemonsets",
        "deployments",
        "deployments/scale",
        "endpointslices",
        "horizontalpodautoscalers",
        "ingresses",
        "networkpolicies",
        "poddisruptionbudgets",
        "replicasets",
        "replicasets/scale",
        "statefulsets",
        "statefulsets/scale",
    ]);
    let groups = json!(["", "apps", "autoscaling", "discovery.k8s.io", "networking.k8s.io", "policy"]);
    let view_rules = json!([{"apiGroups": groups, "resources": workloads, "verbs": read}]);
    let edit_rules = json!([
        {"apiGroups": groups, "resources": workloads, "verbs": edit},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": edit},
    ]);
    let admin_rules = json!([
        {"apiGroups": groups, "resources": workloads, "verbs": edit},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": edit},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": edit},
    ]);
    let cluster_admin_rules = json!([
        {"apiGroups": all, "resources": all, "verbs": all},
        {"nonResourceURLs": all, "verbs": all},
    ]);
    for (name, rules) in [
        ("cluster-admin", cluster_admin_rules),
        ("admin", admin_rules),
        ("edit", edit_rules),
        ("view", view_rules),
    ] {
        let role = json!({"metadata": {"name": name, "labels": bootstrap}, "rules": rules});
        cluster.create_object(Kind::ClusterRole, role);
    }
    let binding = json!({
        "metadata": {"name": "cluster-admin", "labels": bootstrap},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:masters"}],
    });
    cluster.create_object(Kind::ClusterRoleBinding, binding);
}
