"""Create and update."""

from ..steps import Conversation, apply, create, get, put, request

CM = "configmaps/settings"
CONFIG = "{data: {colour: green}}"

CONVERSATIONS = [
    Conversation(
        "create-twice",
        [
            create(CM, CONFIG),
            create(CM, CONFIG),
            create("configmaps/second", CONFIG, {"fieldManager": "kubectl-create"}),
            create("configmaps/third", CONFIG, {"dryRun": "All"}),
            get("configmaps/third"),
        ],
    ),
    Conversation(
        "create-generated",
        [
            create("configmaps", "{metadata: {generateName: job-}, data: {a: b}}"),
            create("configmaps", "{metadata: {generateName: Job-}, data: {a: b}}"),
            create("configmaps", "{data: {a: b}}"),
        ],
    ),
    Conversation(
        "create-refused",
        [
            create(CM, "{metadata: {resourceVersion: '5'}}"),
            create(CM, "{metadata: {namespace: elsewhere}}"),
            create(CM, "{kind: Secret}"),
            create(CM, "{apiVersion: apps/v1}"),
            create(CM, "[1]"),
            create("/api/v1/namespaces/$ns/configmaps", "{metadata: {name: bare}, data: {a: b}}"),
            create("/api/v1/namespaces/none/configmaps", "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"),
            create(CM, "{metadata: {uid: x, creationTimestamp: '2020-01-01T00:00:00Z'}}"),
            request("POST", "configmaps", None),
            request("POST", "configmaps", None, "application/json"),
        ],
    ),
    Conversation(
        "update-versions",
        [
            create(CM, CONFIG, save={"version": "metadata.resourceVersion", "uid": "metadata.uid"}),
            put(CM, "{metadata: {resourceVersion: $version}, data: {colour: red}}"),
            put(CM, "{metadata: {resourceVersion: $version}, data: {colour: blue}}"),
            put(CM, "{data: {colour: blue}}"),
            put(CM, "{data: {colour: blue}}"),
            put(CM, "{metadata: {uid: 00000000-0000-4000-8000-000000000000}, data: {colour: blue}}"),
            put(CM, "{metadata: {uid: $uid}, data: {colour: gold}}", {"dryRun": "All"}),
            get(CM),
        ],
    ),
    Conversation(
        "update-refused",
        [
            put("configmaps/none", CONFIG),
            create(CM, CONFIG),
            put(CM, "{metadata: {name: other}}"),
            put(CM, "{metadata: {namespace: other}}"),
            put(CM, "{data: {colour: [1]}}"),
            put(CM, "{kind: Secret}"),
            request("PUT", "configmaps", {"a": 1}, "application/json"),
            put("services/new", "{spec: {ports: [{port: 80}]}}"),
        ],
    ),
    Conversation(
        "update-metadata",
        [
            create(CM, "{metadata: {labels: {a: b}, annotations: {c: d}}, data: {colour: green}}"),
            put(CM, "{metadata: {labels: {}, annotations: {e: f}}, data: {}}"),
            put(CM, "{metadata: {generateName: x-, labels: {a: ''}}}"),
            put(CM, "{metadata: {ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: x}]}}"),
            put(CM, "{metadata: {finalizers: [example.org/x]}}"),
            put(CM, "{metadata: {finalizers: [nonsense]}}"),
            put(CM, "{}"),
        ],
    ),
    Conversation(
        "update-generation",
        [
            apply("poddisruptionbudgets/web", "{spec: {minAvailable: 1}}", query={"dryRun": "All"}),
            create("networkpolicies/web", "{spec: {podSelector: {}}}"),
            put("networkpolicies/web", "{spec: {podSelector: {}}}"),
            put("networkpolicies/web", "{spec: {podSelector: {matchLabels: {a: b}}}}"),
            put("networkpolicies/web", "{metadata: {labels: {a: b}}, spec: {podSelector: {matchLabels: {a: b}}}}"),
        ],
    ),
    Conversation(
        "update-status",
        [
            create("statefulsets/db", """
spec:
  replicas: 0
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: main, image: db}]}
"""),
            create("services/web", "{spec: {ports: [{port: 80}]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}"),
            put("services/web/status", "{spec: {ports: [{port: 80}]}, status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}}"),
            put("services/web/status", "{metadata: {labels: {a: b}}, spec: {ports: [{port: 80}]}, status: {}}"),
            get("services/web"),
        ],
    ),
]
