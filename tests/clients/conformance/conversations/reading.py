"""Get, list, selectors, pages and tables."""

from ..steps import TABLE, Conversation, create, get, rolled_out, apply, until


def listed(name, x, y):
    return create(f"configmaps/{name}", {"metadata": {"labels": {"x": x, "y": y}}, "data": {"n": name}})


SOME = [listed("a", "1", "1"), listed("b", "1", "2"), listed("c", "2", "1"), listed("d", "3", "")]
MINE = {"labelSelector": "x"}
WEB = """
metadata: {labels: {app: web}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "web:1"}]}
"""
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


def select(selector):
    return get("configmaps", {"labelSelector": selector})


def fields(selector, path="configmaps"):
    return get(path, {"labelSelector": "x", "fieldSelector": selector})


CONVERSATIONS = [
    Conversation("list", [get("configmaps", MINE), *SOME, get("configmaps", MINE), get("secrets")]),
    Conversation(
        "label-selectors",
        [
            *SOME,
            select("x=1,y=2"),
            select("x==1"),
            select("x!=1,x"),
            select("x in (1,3)"),
            select("x notin (1),y"),
            select("!x,y"),
            select("x,!y"),
            select("x>1"),
            select("x in ()"),
            select("x in (1"),
            select("=1"),
            select("x=a b"),
            select("x/y/z=1"),
        ],
    ),
    Conversation(
        "field-selectors",
        [
            *SOME,
            fields("metadata.name=a"),
            fields("metadata.name!=a,metadata.namespace=$ns"),
            fields("data.n=a"),
            fields("metadata.name"),
            get("pods", {"fieldSelector": "spec.nodeName=,status.phase=Pending"}),
            get("pods", {"fieldSelector": "spec.image=x"}),
            get("secrets", {"fieldSelector": "type=Opaque"}),
        ],
    ),
    Conversation(
        "pages",
        [
            *SOME,
            get("configmaps", {**MINE, "limit": "2"}, save={"next": "metadata.continue"}),
            get("configmaps?labelSelector=x&limit=2&continue=$next"),
            get("configmaps", {"limit": "2"}, view=lambda body: {**body, "items": len(body["items"])}),
            get("configmaps", {**MINE, "limit": "9"}),
            get("configmaps", {**MINE, "limit": "x"}),
            get("configmaps", {"continue": "nonsense"}),
        ],
    ),
    Conversation(
        "list-versions",
        [
            *SOME,
            get("configmaps", {**MINE, "resourceVersion": "0"}, view=lambda body: body["kind"]),
            get("configmaps", {**MINE, "resourceVersion": "x"}),
            get("configmaps", {**MINE, "resourceVersion": "0", "resourceVersionMatch": "Exact"}),
            get("configmaps", {**MINE, "resourceVersionMatch": "NotOlderThan"}),
            get("configmaps/a", {"resourceVersion": "0"}),
            get("configmaps/a", {"resourceVersion": "x"}),
        ],
    ),
    Conversation(
        "tables",
        [
            *SOME,
            get("configmaps", MINE, accept=TABLE),
            get("configmaps/a", accept=TABLE),
            get("configmaps", {**MINE, "includeObject": "None"}, accept=TABLE),
            get("configmaps", {**MINE, "includeObject": "Object"}, accept=TABLE),
            get("configmaps", {**MINE, "includeObject": "Half"}, accept=TABLE),
            get("configmaps/none", accept=TABLE),
        ],
    ),
    Conversation(
        "tables-of-kinds",
        [
            create("services/web", "{metadata: {labels: {app: web}}, spec: {ports: [{port: 80}], selector: {app: web}}}"),
            get("services", accept=TABLE),
            create("services/none", "{spec: {ports: [{port: 80, name: a}, {port: 81, protocol: UDP, name: b}], clusterIP: None}}"),
            get("services/none", accept=TABLE),
            create("secrets/s", "{data: {a: Yg==}}"),
            get("secrets/s", accept=TABLE),
            create("networkpolicies/n", "{spec: {podSelector: {matchLabels: {a: b}}}}"),
            get("networkpolicies/n", accept=TABLE),
            create("ingresses/i", "{spec: {ingressClassName: nginx, rules: [{host: a.example.org}, {host: b.example.org}], tls: [{hosts: [a.example.org]}]}}"),
            get("ingresses/i", accept=TABLE),
            create("roles/r", "{rules: []}"),
            get("roles/r", accept=TABLE),
            create("rolebindings/r", "{roleRef: {kind: Role, name: r, apiGroup: rbac.authorization.k8s.io}, subjects: [{kind: User, name: u}, {kind: Group, name: g}, {kind: ServiceAccount, name: s}]}"),
            get("rolebindings/r", accept=TABLE),
            get("serviceaccounts/default", accept=TABLE),
            create("limitranges/l", "{spec: {limits: []}}"),
            get("limitranges/l", accept=TABLE),
            get("namespaces/$ns", accept=TABLE),
            get("storageclasses", accept=TABLE),
            create("horizontalpodautoscalers/h", "{spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: none}, maxReplicas: 3}}"),
            get("horizontalpodautoscalers/h", accept=TABLE),
            create("statefulsets/s", WEB.replace("replicas: 1", "replicas: 0")),
            get("statefulsets/s", accept=TABLE),
        ],
    ),
    Conversation(
        "tables-of-workloads",
        [
            apply("deployments/web", WEB),
            rolled_out("deployments/web"),
            get("deployments/web", accept=TABLE),
            get("replicasets", {"labelSelector": "app=web"}, accept=TABLE),
            until("pods", lambda body: body["items"][0]["status"].get("conditions")),
            get("pods", {"labelSelector": "app=web"}, accept=TABLE),
        ],
    ),
    Conversation(
        "metadata-only",
        [
            *SOME[:2],
            get("configmaps/a", accept=METADATA),
            get("configmaps", MINE, accept=METADATA_LIST),
            get("configmaps", MINE, accept=METADATA_LIST + ",application/json"),
        ],
    ),
    Conversation(
        "not-found",
        [
            get("configmaps/none"),
            get("deployments/none"),
            get("namespaces/none"),
            get("/api/v1/namespaces/none/configmaps"),
            get("/api/v1/namespaces/none/configmaps/x"),
            get("/api/v1/gizmos"),
            get("/apis/example.org/v1/gizmos"),
            get("/apis/apps/v2/deployments"),
            get("/apis/apps/v1/namespaces/$ns/gizmos/x"),
            get("/nonsense"),
            get("/api/v1/namespaces/$ns/configmaps/none/status"),
            get("/api/v1/configmaps/none"),
        ],
    ),
]
