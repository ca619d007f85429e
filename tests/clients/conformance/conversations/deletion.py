"""Delete: preconditions, propagation, finalizers, namespaces."""

from ..steps import Conversation, apply, create, delete, get, gone, patch, put, rolled_out, until

CM = "configmaps/settings"
OPTIONS = "{apiVersion: v1, kind: DeleteOptions, %s}"
NONE = "00000000-0000-4000-8000-000000000000"
WEB = """
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "web:1"}]}
"""

CONVERSATIONS = [
    Conversation(
        "delete-plain",
        [
            create(CM, "{data: {a: b}}"),
            delete(CM),
            delete(CM),
            create("secrets/token", "{data: {a: Yg==}}"),
            delete("secrets/token", OPTIONS % "gracePeriodSeconds: 0"),
            create("services/web", "{spec: {ports: [{port: 80}]}}"),
            delete("services/web"),
            create("networkpolicies/web", "{spec: {podSelector: {}}}"),
            delete("networkpolicies/web"),
        ],
    ),
    Conversation(
        "delete-preconditions",
        [
            create(CM, "{data: {a: b}}", save={"uid": "metadata.uid", "version": "metadata.resourceVersion"}),
            delete(CM, OPTIONS % f"preconditions: {{uid: {NONE}}}"),
            delete(CM, OPTIONS % "preconditions: {resourceVersion: '1'}"),
            delete(CM, OPTIONS % "preconditions: {uid: $uid}", {"dryRun": "All"}),
            delete(CM, OPTIONS % "preconditions: {uid: $uid, resourceVersion: $version}, dryRun: [All]"),
            delete(CM, OPTIONS % "preconditions: {uid: $uid, resourceVersion: $version}"),
            create("networkpolicies/web", "{spec: {podSelector: {}}}"),
            delete("networkpolicies/web", OPTIONS % f"preconditions: {{uid: {NONE}}}"),
        ],
    ),
    Conversation(
        "delete-options-refused",
        [
            create(CM, "{data: {a: b}}"),
            delete(CM, OPTIONS % "propagationPolicy: Sideways"),
            delete(CM, OPTIONS % "propagationPolicy: Orphan, orphanDependents: true"),
            delete(CM, query={"propagationPolicy": "Sideways"}),
            delete(CM, "{kind: ConfigMap, apiVersion: v1}"),
            delete(CM, OPTIONS % "dryRun: [Some]"),
            delete(CM, OPTIONS % "gracePeriodSeconds: soon"),
            get(CM),
        ],
    ),
    Conversation(
        "delete-foreground",
        [
            apply("deployments/web", WEB),
            rolled_out("deployments/web"),
            apply(CM, "{data: {a: b}}", save={"uid": "metadata.uid"}),
            delete(CM, OPTIONS % "preconditions: {uid: $uid}, propagationPolicy: Foreground"),
            gone(CM),
            delete("deployments/web", OPTIONS % "propagationPolicy: Foreground"),
            gone("deployments/web"),
            until("pods", lambda body: not body["items"]),
            get("replicasets"),
        ],
    ),
    Conversation(
        "delete-orphan",
        [
            apply("deployments/web", WEB),
            rolled_out("deployments/web"),
            delete("deployments/web", OPTIONS % "propagationPolicy: Orphan"),
            gone("deployments/web"),
            until("replicasets", lambda body: "ownerReferences" not in body["items"][0]["metadata"]),
        ],
    ),
    Conversation(
        "delete-background",
        [
            apply("deployments/web", WEB),
            rolled_out("deployments/web"),
            delete("deployments/web", OPTIONS % "propagationPolicy: Background"),
            get("deployments/web"),
            until("replicasets", lambda body: not body["items"]),
            until("pods", lambda body: not body["items"]),
        ],
    ),
    Conversation(
        "finalizers",
        [
            apply(CM, "{metadata: {finalizers: [example.org/held]}, data: {a: b}}"),
            delete(CM, OPTIONS % "propagationPolicy: Background"),
            delete(CM),
            get(CM),
            put(CM, "{metadata: {finalizers: [example.org/held, example.org/more]}, data: {a: b}}"),
            patch("merge", CM, "{data: {a: c}}"),
            patch("merge", CM, "{metadata: {finalizers: null}}"),
            get(CM),
        ],
    ),
    Conversation(
        "delete-collection",
        [
            create("configmaps/a", "{metadata: {labels: {x: '1'}}}"),
            create("configmaps/b", "{metadata: {labels: {x: '1'}}}"),
            create("configmaps/c", "{metadata: {labels: {x: '2'}}}"),
            delete("configmaps", query={"labelSelector": "x=1", "dryRun": "All"}),
            delete("configmaps", query={"labelSelector": "x=1"}),
            get("configmaps", {"labelSelector": "x"}),
            delete("configmaps", query={"labelSelector": "x=1"}),
            delete("configmaps", query={"labelSelector": "x=="}),
            delete("/api/v1/configmaps"),
            delete("/api/v1/namespaces"),
        ],
    ),
    Conversation(
        "namespace-deletion",
        [
            create("namespaces/dying", "{metadata: {labels: {a: b}}}"),
            until("/api/v1/namespaces/dying/serviceaccounts/default", lambda body: body["kind"] != "Status"),
            create(
                "/api/v1/namespaces/dying/configmaps",
                "{apiVersion: v1, kind: ConfigMap, metadata: {name: held, finalizers: [example.org/held]}}",
            ),
            delete("namespaces/dying", OPTIONS % f"preconditions: {{uid: {NONE}}}"),
            delete("namespaces/dying"),
            until("namespaces/dying", lambda body: len(body["status"].get("conditions", [])) == 5),
            create("/api/v1/namespaces/dying/configmaps", "{apiVersion: v1, kind: ConfigMap, metadata: {name: late}}"),
            create("namespaces/dying", "{}"),
            patch("merge", "/api/v1/namespaces/dying/configmaps/held", "{metadata: {finalizers: []}}"),
            gone("namespaces/dying"),
            delete("namespaces/default"),
            delete("namespaces/kube-system"),
            delete("namespaces/none"),
        ],
    ),
    Conversation(
        "pod-deletion",
        [
            create("pods/bare", "{spec: {containers: [{name: main, image: web}]}}"),
            until("pods/bare", lambda body: body["status"].get("conditions")),
            delete("pods/bare"),
            gone("pods/bare"),
        ],
    ),
    Conversation(
        "immutable-claim-protection",
        [
            create("persistentvolumeclaims/data", """
spec: {storageClassName: "", accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
"""),
            delete("persistentvolumeclaims/data", OPTIONS % "propagationPolicy: Foreground"),
            gone("persistentvolumeclaims/data"),
        ],
    ),
]
