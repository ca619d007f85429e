"""RBAC, reviews, methods that are not allowed."""

from ..steps import JSON, Conversation, apply, create, delete, get, patch, put, request, until

ROLE = "{rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list, watch]}]}"
BINDING = """
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: Group, name: conformance-readers, apiGroup: rbac.authorization.k8s.io}]
"""
AUTHORIZATION = "/apis/authorization.k8s.io/v1"


def review(attributes, user="reader", kind="SelfSubjectAccessReview", more=None):
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": kind,
        "spec": {"resourceAttributes": attributes, **(more or {})},
    }
    return request("POST", f"{AUTHORIZATION}/{kind.lower()}s", body, JSON, user=user)


def allowed(path):
    """Waits until the reader may read: an API server learns of bindings from a watch."""
    return until(path, lambda body: body["kind"] != "Status", user="reader")


def refused(path):
    """Waits until the reader may not read."""
    return until(path, lambda body: body["kind"] == "Status", user="reader")


CONVERSATIONS = [
    Conversation(
        "rights-none",
        [
            get("configmaps", user="reader"),
            get("configmaps/a", user="reader"),
            get("/api/v1/configmaps", user="reader"),
            get("deployments", user="reader"),
            get("namespaces", user="reader"),
            get("namespaces/$ns", user="reader"),
            create("configmaps/a", "{}", user="reader"),
            apply("configmaps/a", "{}", user="reader"),
            put("configmaps/a", "{}", user="reader"),
            delete("configmaps/a", user="reader"),
            delete("configmaps", user="reader"),
            get("statefulsets/web/scale", user="reader"),
            get("storageclasses", user="reader"),
            get("/api/v1/gizmos", user="reader"),
            get("/nonsense", user="reader"),
        ],
    ),
    Conversation(
        "rights-of-a-role",
        [
            create("configmaps/a", "{data: {a: b}}"),
            apply("roles/reader", ROLE),
            apply("rolebindings/readers", BINDING),
            allowed("configmaps/a"),
            get("configmaps", {"fieldSelector": "metadata.name=a"}, user="reader"),
            patch("merge", "configmaps/a", "{data: {a: c}}", user="reader"),
            get("secrets", user="reader"),
            delete("rolebindings/readers"),
            refused("configmaps/a"),
        ],
    ),
    Conversation(
        "access-reviews",
        [
            review({"verb": "get", "resource": "configmaps", "namespace": "$ns"}),
            apply("roles/reader", ROLE),
            apply("rolebindings/readers", BINDING),
            allowed("configmaps/kube-root-ca.crt"),
            review({"verb": "get", "resource": "configmaps", "namespace": "$ns"}),
            review({"verb": "delete", "resource": "configmaps", "namespace": "$ns"}),
            review({"verb": "*", "resource": "*", "group": "*"}, user="admin"),
            review(
                {"verb": "get", "resource": "configmaps", "namespace": "$ns"},
                "admin",
                "SubjectAccessReview",
                {"user": "eve", "groups": ["conformance-readers"]},
            ),
            review({"verb": "get", "resource": "x"}, "reader", "SubjectAccessReview", {"user": "eve"}),
            review({"verb": "get", "resource": "x"}, "admin", "SubjectAccessReview"),
            request("POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", {"spec": {}}, JSON),
            request("GET", f"{AUTHORIZATION}/selfsubjectaccessreviews"),
        ],
    ),
    Conversation(
        "rights-bindings",
        [
            apply("rolebindings/view", "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{kind: Group, name: conformance-readers}]}"),
            apply("rolebindings/sa", "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: x}, subjects: [{kind: ServiceAccount, name: default}]}"),
            apply("rolebindings/sa", "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: x}, subjects: [{kind: ServiceAccount, name: default, namespace: $ns}]}"),
            allowed("services"),
            get("secrets", user="reader"),
            create("services/a", "{spec: {ports: [{port: 80}]}}", user="reader"),
        ],
    ),
    Conversation(
        "rights-escalation",
        [
            apply("roles/maker", "{rules: [{apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings], verbs: ['*']}]}"),
            apply("rolebindings/makers", BINDING.replace("name: reader", "name: maker")),
            allowed("roles"),
            create("roles/wide", "{rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]}", user="reader"),
            create("rolebindings/wide", "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{kind: User, name: reader}]}", user="reader"),
        ],
    ),
    Conversation(
        "methods",
        [
            request("PUT", "configmaps", {}, JSON),
            request("PATCH", "configmaps", {}, "application/merge-patch+json"),
            request("POST", "configmaps/a", {}, JSON),
            request("PUT", "/api/v1", {}, JSON),
            request("POST", "/version", {}, JSON),
            request("POST", "/api/v1/configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}, JSON),
            request("OPTIONS", "configmaps"),
            request("HEAD", "configmaps/none"),
        ],
    ),
]
