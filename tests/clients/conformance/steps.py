"""The language of conversations: requests to the Kubernetes API, as data.

A path is that of a resource in the namespace of its conversation, such as
`deployments/web/status`; one that begins with `/` stands for itself. Bodies
are YAML. `apiVersion`, `kind` and `metadata.name` follow from the path unless
the body has them. `$ns` and names saved from earlier replies are filled in.
"""

import json
from dataclasses import dataclass, field
from urllib.parse import urlencode

import yaml

CORE = "v1"
RBAC = "rbac.authorization.k8s.io/v1"
# Plural: group and version, kind, whether it is in a namespace.
RESOURCES = {
    "namespaces": (CORE, "Namespace", False),
    "nodes": (CORE, "Node", False),
    "persistentvolumes": (CORE, "PersistentVolume", False),
    "pods": (CORE, "Pod", True),
    "services": (CORE, "Service", True),
    "serviceaccounts": (CORE, "ServiceAccount", True),
    "configmaps": (CORE, "ConfigMap", True),
    "secrets": (CORE, "Secret", True),
    "persistentvolumeclaims": (CORE, "PersistentVolumeClaim", True),
    "resourcequotas": (CORE, "ResourceQuota", True),
    "limitranges": (CORE, "LimitRange", True),
    "endpoints": (CORE, "Endpoints", True),
    "deployments": ("apps/v1", "Deployment", True),
    "replicasets": ("apps/v1", "ReplicaSet", True),
    "daemonsets": ("apps/v1", "DaemonSet", True),
    "statefulsets": ("apps/v1", "StatefulSet", True),
    "horizontalpodautoscalers": ("autoscaling/v2", "HorizontalPodAutoscaler", True),
    "poddisruptionbudgets": ("policy/v1", "PodDisruptionBudget", True),
    "networkpolicies": ("networking.k8s.io/v1", "NetworkPolicy", True),
    "ingresses": ("networking.k8s.io/v1", "Ingress", True),
    "ingressclasses": ("networking.k8s.io/v1", "IngressClass", False),
    "roles": (RBAC, "Role", True),
    "rolebindings": (RBAC, "RoleBinding", True),
    "clusterroles": (RBAC, "ClusterRole", False),
    "clusterrolebindings": (RBAC, "ClusterRoleBinding", False),
    "storageclasses": ("storage.k8s.io/v1", "StorageClass", False),
    "leases": ("coordination.k8s.io/v1", "Lease", True),
}

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@dataclass
class Step:
    """One request, and what is done with its reply."""

    method: str
    path: str
    body: object = None
    headers: dict = field(default_factory=dict)
    user: str = "admin"
    # Names and the dotted paths of values in the reply that they stand for.
    save: dict = field(default_factory=dict)
    # A condition of the body: the request is repeated until it holds.
    until: object = None
    # What of the body is compared; all of it by default.
    view: object = None
    # Watches: the requests that are made while the watch is open, and how many
    # events it must deliver.
    during: tuple = ()
    events: int = 0


@dataclass
class Conversation:
    """A named list of requests, in a namespace of its own."""

    name: str
    steps: list
    # Labels of the namespace.
    labels: dict = field(default_factory=dict)


def split(path):
    """A path as resource, name and rest, without its parameters."""
    parts = path.partition("?")[0].split("/")
    return parts[0], parts[1] if len(parts) > 1 else "", "/".join(parts[2:])


def url(path, query):
    """The path of a request, with its parameters."""
    query = {name: value for name, value in query.items() if value is not None}
    if not path.startswith("/"):
        given = path.partition("?")[2]
        resource, name, rest = split(path)
        version, _, namespaced = RESOURCES[resource]
        root = f"/api/{version}" if version == CORE else f"/apis/{version}"
        place = [root, *(["namespaces/$ns"] if namespaced else []), resource, name, rest]
        path = "/".join(part for part in place if part) + (f"?{given}" if given else "")
    if not query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(query, safe='$')}"


def document(path, body):
    """A body with the type and the name that follow from its path."""
    value = yaml.safe_load(body) if isinstance(body, str) else json.loads(json.dumps(body))
    if path.startswith("/") or not isinstance(value, dict):
        return value
    resource, name, _ = split(path)
    version, kind, _ = RESOURCES[resource]
    metadata = value.pop("metadata", None) or {}
    if name:
        metadata.setdefault("name", name)
    return {"apiVersion": version, "kind": kind, **value, "metadata": metadata}


def request(method, path, body=None, content=None, query=None, accept=None, agent=None, **options):
    """A request as it is given."""
    headers = {"Content-Type": content} if content else {}
    if accept:
        headers["Accept"] = accept
    headers["User-Agent"] = agent or "conformance/1"
    return Step(method, url(path, query or {}), body, headers, **options)


def apply(path, body, manager="exokit", force=None, query=None, **options):
    """A server-side apply, as exokit makes it."""
    query = {
        "fieldValidation": "Strict",
        "fieldManager": manager,
        "force": "true" if force else None,
        **(query or {}),
    }
    return request("PATCH", path, document(path, body), APPLY, query, **options)


def create(path, body, query=None, **options):
    """A creation. The path has the name, which the request does not."""
    resource, _, rest = split(path)
    target = path if path.startswith("/") or rest else resource
    return request("POST", target, document(path, body), JSON, query, **options)


def put(path, body, query=None, **options):
    return request("PUT", path, document(path, body), JSON, query, **options)


def patch(kind, path, body, query=None, **options):
    value = yaml.safe_load(body) if isinstance(body, str) else body
    return request("PATCH", path, value, PATCHES[kind], query, **options)


def get(path, query=None, **options):
    return request("GET", path, None, None, query, **options)


def delete(path, body=None, query=None, **options):
    value = yaml.safe_load(body) if isinstance(body, str) else body
    return request("DELETE", path, value, JSON if value is not None else None, query, **options)


def watch(path, events, during=(), query=None, **options):
    """A watch: the given requests are made while it is open."""
    query = {"watch": "true", **(query or {})}
    return request("GET", path, None, None, query, events=events, during=tuple(during), **options)


def until(path, condition, **options):
    """A read that is repeated until a condition of its body holds."""
    return get(path, until=condition, **options)


def gone(path):
    """Waits until an object is no more."""
    return get(path, until=lambda body: body.get("code") == 404)


def observed(path):
    """Waits until the controller of an object has seen its last change."""

    def is_observed(body):
        status = body.get("status", {})
        return status.get("observedGeneration") == body["metadata"].get("generation")

    return until(path, is_observed)


def rolled_out(path):
    """Waits until a deployment without nodes has come as far as it can."""

    def is_settled(body):
        status, wanted = body.get("status", {}), body["spec"]["replicas"]
        return (
            status.get("observedGeneration") == body["metadata"]["generation"]
            and status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted
            and len(status.get("conditions", [])) == 2
        )

    return until(path, is_settled)
