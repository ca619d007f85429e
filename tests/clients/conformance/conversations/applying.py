"""Server-side apply: owners of fields, conflicts, removal."""

from ..steps import Conversation, apply, create, get, patch, put

CONFIG = "{metadata: {labels: {app: web}}, data: {colour: green, size: l}}"
DEPLOYMENT = """
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: registry.example.org/web:1
        ports: [{containerPort: 8080, name: http}]
        env: [{name: A, value: "1"}, {name: B, value: "2"}]
"""
MAIN = "spec: {template: {spec: {containers: [{name: main, %s}]}}}"
CM = "configmaps/settings"

CONVERSATIONS = [
    Conversation("apply-creates", [apply(CM, CONFIG), get(CM)]),
    Conversation("apply-unchanged", [apply(CM, CONFIG), apply(CM, CONFIG), get(CM)]),
    Conversation(
        "apply-changes",
        [
            apply(CM, CONFIG),
            apply(CM, "{metadata: {labels: {app: web}}, data: {colour: red, size: l}}"),
            apply(CM, "{metadata: {labels: {app: web, tier: a}}, data: {colour: red}}"),
        ],
    ),
    Conversation(
        "apply-conflict",
        [
            apply(CM, CONFIG),
            apply(CM, "{data: {colour: red}}", manager="other"),
            apply(CM, "{data: {colour: red, size: m}}", manager="other"),
            apply(CM, "{data: {colour: red}}", manager="other", force=True),
            apply(CM, CONFIG),
            get(CM),
        ],
    ),
    Conversation(
        "apply-shared",
        [
            apply(CM, CONFIG),
            apply(CM, "{data: {colour: green}}", manager="other"),
            apply(CM, "{data: {size: l}}"),
            apply(CM, "{data: {}}", manager="other"),
            apply(CM, "{}", manager="other"),
            get(CM),
        ],
    ),
    Conversation(
        "apply-removes",
        [
            apply(CM, CONFIG),
            apply(CM, "{data: {size: l}}"),
            apply(CM, "{}"),
            get(CM),
        ],
    ),
    Conversation(
        "apply-after-update",
        [
            create(CM, CONFIG, agent="kubectl/v1.35.1"),
            apply(CM, "{data: {colour: red}}"),
            apply(CM, "{data: {colour: green}}"),
            apply(CM, "{data: {colour: red}}", force=True),
            patch("merge", CM, "{data: {colour: blue}}", {"fieldManager": "editor"}),
            apply(CM, "{data: {colour: red}}"),
            get(CM),
        ],
    ),
    Conversation(
        "apply-dry-run",
        [
            apply(CM, CONFIG, query={"dryRun": "All"}),
            get(CM),
            apply(CM, CONFIG),
            apply(CM, "{data: {colour: red}}", query={"dryRun": "All"}),
            apply(CM, "{data: {colour: red}}", query={"dryRun": "Some"}),
            get(CM),
        ],
    ),
    Conversation(
        "apply-lists",
        [
            apply("deployments/web", DEPLOYMENT, query={"dryRun": "All"}),
            apply("statefulsets/web", DEPLOYMENT.replace("replicas: 1", "replicas: 0")),
            apply("statefulsets/web", MAIN % 'env: [{name: C, value: "3"}]', manager="env"),
            apply("statefulsets/web", MAIN % 'env: [{name: A, value: "9"}]', manager="env"),
            apply("statefulsets/web", MAIN % 'env: [{name: A, value: "9"}]', manager="env", force=True),
            apply("statefulsets/web", MAIN % "env: [{name: C}]", manager="env"),
            apply("statefulsets/web", DEPLOYMENT.replace("replicas: 1", "replicas: 0")),
            apply("statefulsets/web", MAIN % 'env: [{name: A}, {name: A, value: "2"}]', manager="twice"),
        ],
    ),
    Conversation(
        "apply-refused",
        [
            apply(CM, CONFIG, query={"fieldManager": None}),
            apply(CM, "{metadata: {managedFields: [{manager: x}]}, data: {}}"),
            apply(CM, "{metadata: {name: other}, data: {}}"),
            apply(CM, "{metadata: {namespace: elsewhere}, data: {}}"),
            apply(CM, "{kind: Secret, data: {}}"),
            apply(CM, "{apiVersion: v2, data: {}}"),
            apply(CM, "[]"),
            apply(CM, "{data: {colour: 1}}"),
            apply(CM, "{data: {colour: green}, dta: {}}"),
            apply(CM, "{data: {colour: green}, dta: {}}", query={"fieldValidation": "Warn"}),
            apply(CM, "{data: {colour: green}}", manager="m" * 129),
            get(CM),
        ],
    ),
    Conversation(
        "apply-version",
        [
            apply(CM, CONFIG, save={"version": "metadata.resourceVersion", "uid": "metadata.uid"}),
            apply(CM, "{metadata: {resourceVersion: '1'}, data: {colour: green}}"),
            apply(CM, "{metadata: {resourceVersion: $version}, data: {colour: blue}}"),
            apply(CM, "{metadata: {uid: 00000000-0000-4000-8000-000000000000}, data: {colour: blue}}"),
            apply(CM, "{metadata: {uid: $uid}, data: {colour: pink}}"),
            apply("configmaps/none", "{metadata: {resourceVersion: '7'}, data: {colour: green}}"),
            apply("configmaps/none", "{metadata: {uid: 00000000-0000-4000-8000-000000000000}}"),
        ],
    ),
    Conversation(
        "apply-metadata",
        [
            apply(CM, "{metadata: {annotations: {note: a}, finalizers: [example.org/a]}}"),
            apply(CM, "{metadata: {annotations: {note: a}, finalizers: [example.org/b]}}", manager="b"),
            apply(CM, "{metadata: {finalizers: []}}"),
            apply(CM, "{metadata: {finalizers: []}}", manager="b"),
            get(CM),
        ],
    ),
    Conversation(
        "apply-then-replace",
        [
            apply(CM, CONFIG),
            put(CM, "{data: {colour: green, size: s}}", {"fieldManager": "editor"}),
            apply(CM, CONFIG),
            put(CM, "{data: {colour: green, size: s}}", {"fieldManager": "editor"}),
            put(CM, "{metadata: {managedFields: [{}]}, data: {size: s}}", {"fieldManager": "editor"}),
            get(CM),
        ],
    ),
    Conversation(
        "apply-status",
        [
            apply("statefulsets/web", DEPLOYMENT.replace("replicas: 1", "replicas: 0")),
            apply("services/web", "spec: {ports: [{port: 80}], type: ClusterIP}"),
            apply(
                "services/web/status",
                "status: {loadBalancer: {ingress: [{ip: 192.0.2.7}]}}",
                manager="balancer",
            ),
            apply("services/none/status", "status: {loadBalancer: {}}"),
            get("services/web/status"),
        ],
    ),
]
