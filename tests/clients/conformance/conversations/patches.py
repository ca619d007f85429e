"""JSON, merge and strategic patches, and the scale subresource."""

from ..steps import Conversation, create, get, patch, put, request

CM = "configmaps/settings"
WEB = """
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  serviceName: web
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: main, image: "web:1", env: [{name: A, value: "1"}], ports: [{containerPort: 80}]}
      volumes: [{name: scratch, emptyDir: {}}]
"""
STS = "statefulsets/web"

CONVERSATIONS = [
    Conversation(
        "patch-json",
        [
            create(CM, "{data: {a: '1', b: '2'}}"),
            patch("json", CM, "[{op: replace, path: /data/a, value: '9'}]"),
            patch("json", CM, "[{op: test, path: /data/a, value: '8'}, {op: remove, path: /data/a}]"),
            patch("json", CM, "[{op: remove, path: /data/none}]"),
            patch("json", CM, "[{op: add, path: /data/c, value: '3'}, {op: copy, from: /data/c, path: /data/d}]"),
            patch("json", CM, "[{op: move, from: /data/d, path: /data/e}]"),
            patch("json", CM, "[{op: add, path: /data/f/g, value: '3'}]"),
            patch("json", CM, "[{op: add, path: /data/f, value: 3}]"),
            patch("json", CM, "{data: {a: b}}"),
            patch("json", CM, "[{op: fly, path: /data/a}]"),
            patch("json", CM, "[]"),
            patch("json", CM, "[{op: replace, path: /metadata/name, value: other}]"),
            patch("json", "configmaps/none", "[]"),
            get(CM),
        ],
    ),
    Conversation(
        "patch-merge",
        [
            create(CM, "{data: {a: '1', b: '2'}}", save={"version": "metadata.resourceVersion"}),
            patch("merge", CM, "{data: {a: null, c: '3'}}"),
            patch("merge", CM, "{data: {c: '3'}}"),
            patch("merge", CM, "{metadata: {resourceVersion: $version}, data: {c: '4'}}"),
            patch("merge", CM, "{metadata: {labels: {x: y}}}", {"fieldManager": "kubectl-label"}),
            patch("merge", CM, "{metadata: {labels: {x: null}}}", {"fieldManager": "kubectl-label"}),
            patch("merge", CM, "{data: null}", {"dryRun": "All"}),
            patch("merge", CM, "{dta: {a: b}}"),
            patch("merge", CM, "{dta: {a: b}}", {"fieldValidation": "Strict"}),
            patch("merge", CM, "{data: 7}"),
            patch("merge", CM, "[]"),
            patch("merge", CM, "{}", {"fieldManager": "none"}),
            patch("merge", CM, "{metadata: {name: other}}"),
        ],
    ),
    Conversation(
        "patch-strategic",
        [
            create(STS, WEB),
            patch("strategic", STS, "spec: {template: {spec: {containers: [{name: main, image: 'web:2'}]}}}"),
            patch("strategic", STS, "spec: {template: {spec: {containers: [{name: side, image: 'side:1'}]}}}"),
            patch(
                "strategic",
                STS,
                "spec: {template: {spec: {containers: [{name: side, $patch: delete}, {name: main, env: [{name: B, value: '2'}]}]}}}",
            ),
            patch("strategic", STS, "spec: {template: {spec: {volumes: [{name: scratch, emptyDir: null, configMap: {name: x}}]}}}"),
            patch("strategic", STS, "spec: {template: {spec: {containers: [{image: 'web:3'}]}}}"),
            patch("strategic", STS, "spec: {template: {spec: {$setElementOrder/containers: [{name: b}, {name: main}], containers: [{name: b, image: b}]}}}"),
            patch("strategic", STS, "metadata: {finalizers: [example.org/a]}"),
            patch("strategic", STS, "metadata: {$deleteFromPrimitiveList/finalizers: [example.org/a]}"),
            patch("strategic", STS, "metadata: {labels: {$patch: replace, only: this}}"),
        ],
    ),
    Conversation(
        "patch-content-types",
        [
            create(CM, "{data: {a: '1'}}"),
            request("PATCH", CM, {"data": {}}, "application/json"),
            request("PATCH", CM, {"data": {}}, "text/plain"),
            request("PATCH", CM, {"data": {}}),
            request("PUT", CM, {"data": {}}, "text/plain"),
            request("POST", "configmaps", {"data": {}}, "application/xml"),
            request("POST", "configmaps", "{", "application/json"),
            request("PATCH", CM, "{", "application/merge-patch+json"),
            request("PATCH", CM, "{", "application/json-patch+json"),
            request("PATCH", CM, "{", "application/strategic-merge-patch+json"),
            request("PATCH", CM + "?fieldManager=x", "{", "application/apply-patch+yaml"),
            get(CM, accept="application/xml"),
            get(CM, accept="application/yaml", view=lambda body: "yaml" if isinstance(body, str) else body),
        ],
    ),
    Conversation(
        "scale",
        [
            create(STS, WEB),
            get(f"{STS}/scale"),
            patch("merge", f"{STS}/scale", "{spec: {replicas: 0}}"),
            patch("merge", f"{STS}/scale", "{spec: {replicas: -1}}"),
            patch("merge", f"{STS}/scale", "{spec: {replicas: many}}"),
            put(f"{STS}/scale", {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 0}}),
            put(f"{STS}/scale", {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", "resourceVersion": "1"}, "spec": {"replicas": 0}}),
            get("statefulsets/none/scale"),
            get(f"{CM}/scale"),
            get(STS),
        ],
    ),
]
