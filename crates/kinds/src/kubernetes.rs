//! The kinds inside a Kubernetes cluster. An object is made by one server-side
//! apply, which can be repeated, and is read and removed by its name; its UID
//! is its id, so that a later object of the same name is never taken for it.

pub(crate) mod compare;
mod lifecycle;
pub(crate) mod observe;

use std::borrow::Cow;

use exokit_model::graph::Node;
use exokit_model::ids::{NodeKey, ResourceId};
use exokit_model::kind::Kind;
use exokit_model::request::{Api, Method, RequestTemplate};
use k8s_openapi::api::{apps, autoscaling, core, networking, policy, rbac};
use kube_core::Resource;
use kube_core::params::{ListParams, Patch, PatchParams, ValidationDirective};
use kube_core::request::{Error, Request};
use serde_json::{Value, json};

use crate::ownership::OwnerMark;
use crate::resource_kind::{ResourceKind, template};
use crate::{Accepted, DecodeError, Lifecycle, Observed, Predicted, Read};

/// Objects on one page of a list.
const PAGE: u32 = 500;

/// The name under which exokit owns fields of objects.
const FIELD_MANAGER: &str = "exokit";

pub(crate) const NAMESPACE: ResourceKind = ResourceKind {
    lifecycle: lifecycle::namespace,
    ..object(Kind::Namespace, ["list-namespace", "get-namespace", "delete-namespace"], [1, 10])
};
pub(crate) const RESOURCE_QUOTA: ResourceKind =
    object(Kind::ResourceQuota, ["list-resourcequota", "get-resourcequota", "delete-resourcequota"], [1, 1]);
pub(crate) const LIMIT_RANGE: ResourceKind =
    object(Kind::LimitRange, ["list-limitrange", "get-limitrange", "delete-limitrange"], [1, 1]);
pub(crate) const SERVICE_ACCOUNT: ResourceKind = object(
    Kind::ServiceAccount,
    ["list-serviceaccount", "get-serviceaccount", "delete-serviceaccount"],
    [1, 1],
);
pub(crate) const ROLE: ResourceKind = object(Kind::Role, ["list-role", "get-role", "delete-role"], [1, 1]);
pub(crate) const ROLE_BINDING: ResourceKind =
    object(Kind::RoleBinding, ["list-rolebinding", "get-rolebinding", "delete-rolebinding"], [1, 1]);
pub(crate) const CONFIG_MAP: ResourceKind =
    object(Kind::ConfigMap, ["list-configmap", "get-configmap", "delete-configmap"], [1, 1]);
pub(crate) const SECRET: ResourceKind =
    object(Kind::Secret, ["list-secret", "get-secret", "delete-secret"], [1, 1]);
pub(crate) const NETWORK_POLICY: ResourceKind =
    object(Kind::NetworkPolicy, ["list-networkpolicy", "get-networkpolicy", "delete-networkpolicy"], [1, 1]);
/// Its volume is made when the first pod uses it, so it does not wait for one.
pub(crate) const PERSISTENT_VOLUME_CLAIM: ResourceKind = ResourceKind {
    lifecycle: lifecycle::claim,
    ..object(
        Kind::PersistentVolumeClaim,
        ["list-persistentvolumeclaim", "get-persistentvolumeclaim", "delete-persistentvolumeclaim"],
        [1, 15],
    )
};
/// Nodes are ready 41 to 65 s after the nodepool's operation, pods 10 s later.
pub(crate) const DEPLOYMENT: ResourceKind = ResourceKind {
    lifecycle: lifecycle::deployment,
    ..object(Kind::Deployment, ["list-deployment", "get-deployment", "delete-deployment"], [63, 5])
};
/// With a load balancer, which is made once a node is ready.
pub(crate) const SERVICE: ResourceKind = ResourceKind {
    lifecycle: lifecycle::service,
    ..object(Kind::Service, ["list-service", "get-service", "delete-service"], [83, 15])
};
pub(crate) const INGRESS: ResourceKind =
    object(Kind::Ingress, ["list-ingress", "get-ingress", "delete-ingress"], [1, 1]);
pub(crate) const HORIZONTAL_POD_AUTOSCALER: ResourceKind = object(
    Kind::HorizontalPodAutoscaler,
    ["list-horizontalpodautoscaler", "get-horizontalpodautoscaler", "delete-horizontalpodautoscaler"],
    [1, 1],
);
pub(crate) const POD_DISRUPTION_BUDGET: ResourceKind = object(
    Kind::PodDisruptionBudget,
    ["list-poddisruptionbudget", "get-poddisruptionbudget", "delete-poddisruptionbudget"],
    [1, 1],
);

/// A kind that is usable as soon as it is there. `seconds`: until ready, and
/// from the accepted delete request to gone.
const fn object(kind: Kind, operations: [&'static str; 3], seconds: [u32; 2]) -> ResourceKind {
    let [create_seconds, gone_seconds] = seconds;
    ResourceKind {
        api: Api::Kubernetes,
        lifecycle: lifecycle::present,
        parent: Some(Kind::SksCluster),
        accepted,
        ..ResourceKind::new(
            kind,
            "",
            "items",
            operations,
            Predicted { create_seconds, delete_seconds: gone_seconds, gone_seconds },
        )
    }
}

fn accepted(node: &Node, reply: &Value) -> Result<Accepted, DecodeError> {
    let observed = crate::of(node.kind).parse_object(reply)?;
    let is_ready = observed.lifecycle == Lifecycle::Ready;
    Ok(Accepted { id: Some(observed.id), is_ready, ..Accepted::default() })
}

/// The request that reads the object of a node; `cluster` is the id of its
/// cluster.
#[must_use]
pub fn get(node: &Node, cluster: &ResourceId) -> Option<Read> {
    let named = &node.delete.first()?.path;
    let (_, path) = named.strip_prefix("/{")?.split_once('}')?;
    let operation = crate::of(node.kind).operations[1];
    Some(Read { operation, api: Api::Kubernetes, path: format!("/{cluster}{path}") })
}

/// The request that reads the objects of a kind in all namespaces, from the place
/// that the page before it named; `cluster` is the id of the cluster.
#[must_use]
pub fn list(kind: Kind, cluster: &ResourceId, from: Option<&str>) -> Read {
    page(crate::of(kind).operations[0], &collection(kind, None), cluster, from)
}

/// The request that reads a page of the list at a path of the API server.
#[must_use]
pub fn page(operation: &'static str, path: &str, cluster: &ResourceId, from: Option<&str>) -> Read {
    let params =
        ListParams { limit: Some(PAGE), continue_token: from.map(str::to_owned), ..ListParams::default() };
    // Without a selector nothing in it can be refused.
    let uri = Request::new(path).list(&params).map(|request| request.uri().to_string());
    let uri = uri.unwrap_or_else(|_| path.to_owned());
    Read { operation, api: Api::Kubernetes, path: format!("/{cluster}{uri}") }
}

/// Reads the reply to [`list`], and where the next page begins.
///
/// # Errors
/// When the reply is not what the API promises.
pub fn parse_list(kind: Kind, body: &Value) -> Result<(Vec<Observed>, Option<String>), DecodeError> {
    let (items, next) = parse_page(body)?;
    let objects = items.iter().map(|raw| crate::of(kind).parse_object(raw));
    Ok((objects.collect::<Result<_, _>>()?, next))
}

/// Reads the reply to [`page`], and where the next page begins.
///
/// # Errors
/// When the reply is not what the API promises.
pub fn parse_page(body: &Value) -> Result<(&[Value], Option<String>), DecodeError> {
    let next = body.pointer("/metadata/continue").and_then(Value::as_str).filter(|next| !next.is_empty());
    Ok((crate::decode::array(body, "items")?, next.map(str::to_owned)))
}

/// The kinds that a verification looks at, each with the path of its list: those
/// of the cluster, and those inside a namespace.
#[must_use]
pub fn lists_for_verification(namespace: &str) -> [(Cow<'static, str>, String); 12] {
    fn list<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> (Cow<'static, str>, String) {
        (K::kind(&()), K::url_path(&(), namespace))
    }
    let inside = Some(namespace);
    [
        list::<core::v1::Node>(None),
        list::<core::v1::Namespace>(None),
        list::<rbac::v1::ClusterRoleBinding>(None),
        list::<rbac::v1::RoleBinding>(inside),
        list::<core::v1::Service>(inside),
        list::<core::v1::PersistentVolumeClaim>(inside),
        list::<apps::v1::Deployment>(inside),
        list::<apps::v1::DaemonSet>(inside),
        list::<autoscaling::v2::HorizontalPodAutoscaler>(inside),
        list::<policy::v1::PodDisruptionBudget>(inside),
        list::<networking::v1::Ingress>(inside),
        list::<networking::v1::NetworkPolicy>(inside),
    ]
}

/// The path of all objects of a kind, of a namespace or of all of them.
fn collection(kind: Kind, namespace: Option<&str>) -> String {
    fn path<K: Resource<DynamicType = ()>>(namespace: Option<&str>) -> String {
        K::url_path(&(), namespace)
    }
    let path = match kind {
        Kind::ResourceQuota => path::<core::v1::ResourceQuota>,
        Kind::LimitRange => path::<core::v1::LimitRange>,
        Kind::ServiceAccount => path::<core::v1::ServiceAccount>,
        Kind::Role => path::<rbac::v1::Role>,
        Kind::RoleBinding => path::<rbac::v1::RoleBinding>,
        Kind::ConfigMap => path::<core::v1::ConfigMap>,
        Kind::Secret => path::<core::v1::Secret>,
        Kind::NetworkPolicy => path::<networking::v1::NetworkPolicy>,
        Kind::PersistentVolumeClaim => path::<core::v1::PersistentVolumeClaim>,
        Kind::Deployment => path::<apps::v1::Deployment>,
        Kind::Service => path::<core::v1::Service>,
        Kind::Ingress => path::<networking::v1::Ingress>,
        Kind::HorizontalPodAutoscaler => path::<autoscaling::v2::HorizontalPodAutoscaler>,
        Kind::PodDisruptionBudget => path::<policy::v1::PodDisruptionBudget>,
        // The kinds of the cloud have no path here and are never asked for one.
        _ => path::<core::v1::Namespace>,
    };
    path(namespace)
}

/// The request that makes an object of the cluster of node `cluster`, or
/// brings it to this form. It takes no field from another owner.
///
/// # Errors
/// When the name cannot be part of a path.
pub fn apply(
    mark: &OwnerMark,
    kind: Kind,
    cluster: &NodeKey,
    namespace: Option<&str>,
    mut body: Value,
) -> Result<RequestTemplate, Error> {
    let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    for (label, value) in mark.labels() {
        body["metadata"]["labels"][label] = json!(value);
    }
    let how = PatchParams::apply(FIELD_MANAGER).validation(ValidationDirective::Strict);
    let request = Request::new(collection(kind, namespace)).patch(&name, &how, &Patch::Apply(&body))?;
    let operation = crate::of(kind).operations[2].replacen("delete", "apply", 1);
    let path = format!("/{{{cluster}}}{}", request.uri());
    Ok(RequestTemplate { api: Api::Kubernetes, ..template(&operation, Method::Patch, &path, Some(body)) })
}

/// The request that removes an object: the one with the recorded UID, and no
/// other of the same name. It goes when what it owns has gone.
#[must_use]
pub fn delete(kind: Kind, cluster: &NodeKey, namespace: Option<&str>, name: &str) -> RequestTemplate {
    let path = format!("/{{{cluster}}}{}/{name}", collection(kind, namespace));
    let body = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": null},
        "propagationPolicy": "Foreground",
    });
    let operation = crate::of(kind).operations[2];
    let mut request = template(operation, Method::Delete, &path, Some(body));
    request.api = Api::Kubernetes;
    request.slots.extend("self".parse().ok().map(|own| ("/preconditions/uid".to_owned(), own)));
    request
}
