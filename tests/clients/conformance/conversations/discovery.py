"""Discovery, version, health."""

import json

from ..steps import Conversation, get, request

SERVED = {
    "/api/v1": ("namespaces", "pods", "services", "configmaps", "secrets", "serviceaccounts", "persistentvolumeclaims", "resourcequotas", "limitranges"),
    "/apis/apps/v1": ("deployments", "deployments/status", "deployments/scale", "daemonsets", "statefulsets", "replicasets"),
    "/apis/networking.k8s.io/v1": ("ingresses", "networkpolicies", "ingresses/status"),
    "/apis/rbac.authorization.k8s.io/v1": ("roles", "rolebindings", "clusterroles", "clusterrolebindings"),
    "/apis/policy/v1": ("poddisruptionbudgets", "poddisruptionbudgets/status"),
    "/apis/autoscaling/v2": ("horizontalpodautoscalers", "horizontalpodautoscalers/status"),
    "/apis/storage.k8s.io/v1": ("storageclasses",),
}


def listed(path):
    """The entries of the resources that both servers have, without hashes."""

    def view(body):
        entries = [
            {key: value for key, value in entry.items() if key != "storageVersionHash"}
            for entry in body["resources"]
            if entry["name"] in SERVED[path]
        ]
        return {**body, "resources": sorted(entries, key=lambda entry: entry["name"])}

    return get(path, view=view)


def served(names):
    """The groups of those names, with the order of all."""

    def view(body):
        return {**body, "groups": [group for group in body["groups"] if group["name"] in names]}

    return view


GROUPS = ("apps", "policy", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io")


def version(body):
    return {key: body[key] for key in ("major", "minor", "gitVersion", "platform")}


def documents(body):
    """The names of documents that both servers have; the real one calls its reply text."""
    body = json.loads(body) if isinstance(body, str) else body
    return sorted(body["paths"].keys() & {"api/v1", "apis/apps/v1"})


CONVERSATIONS = [
    Conversation("discovery-resources", [listed(path) for path in SERVED]),
    Conversation(
        "discovery-groups",
        [
            get("/api", view=lambda body: {**body, "serverAddressByClientCIDRs": None}),
            get("/apis", view=served(GROUPS)),
            get("/apis/apps"),
            get("/apis/none"),
            get("/apis/apps/v2"),
            get("/api/v2"),
        ],
    ),
    Conversation("version", [get("/version", view=version), get("/version", user="reader", view=version)]),
    Conversation(
        "health",
        [get("/readyz"), get("/livez"), get("/healthz"), get("/readyz", user="reader"), request("HEAD", "/readyz")],
    ),
    Conversation(
        "openapi",
        [
            get("/openapi/v2", view=lambda body: body["swagger"]),
            get("/openapi/v3", view=documents),
            get("/openapi/v3/apis/none/v1"),
        ],
    ),
]
