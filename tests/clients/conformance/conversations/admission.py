"""Pod Security, quotas, limit ranges, defaults of claims."""

from ..steps import Conversation, apply, create, get, patch, until

RESTRICTED = (
    "{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, "
    "schedulingGates: [{name: example.org/wait}], containers: [{name: main, image: web, "
    "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}"
)
SIMPLE = "{schedulingGates: [{name: example.org/wait}], containers: [{name: main, image: web%s}]}"
TEMPLATE = """
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: %s}
"""
PREFIX = "pod-security.kubernetes.io"


def pod(name, spec):
    return create(f"pods/{name}", f"spec: {spec}")


def simple(name, more):
    return pod(name, SIMPLE % (", " + more))


def has_used(body):
    return body["status"].get("hard") == body["spec"]["hard"] and "used" in body["status"]


def used(name, **amounts):
    return until(f"resourcequotas/{name}", lambda body: amounts.items() <= body["status"]["used"].items())


CONVERSATIONS = [
    Conversation(
        "security-restricted",
        [
            pod("good", RESTRICTED),
            pod("bare", SIMPLE % ""),
            simple("root", "securityContext: {runAsUser: 0, runAsNonRoot: false}"),
            simple("caps", "securityContext: {capabilities: {add: [SYS_ADMIN, NET_BIND_SERVICE]}}"),
            pod("two", "{containers: [{name: a, image: a}, {name: b, image: b}]}"),
            pod("volumes", "{containers: [{name: a, image: a}], volumes: [{name: h, hostPath: {path: /}}, {name: n, nfs: {server: s, path: /}}]}"),
            pod("spec", "{hostNetwork: true, hostPID: true, containers: [{name: a, image: a, ports: [{containerPort: 80}]}]}"),
            pod("seccomp", "{securityContext: {runAsNonRoot: false, seccompProfile: {type: Unconfined}}, containers: [{name: a, image: a}]}"),
            create("statefulsets/web", TEMPLATE % "{containers: [{name: a, image: a}]}"),
            create("deployments/web", TEMPLATE % "{containers: [{name: a, image: a}]}", {"dryRun": "All"}),
            create("statefulsets/good", TEMPLATE % RESTRICTED),
            apply("statefulsets/applied", TEMPLATE % "{containers: [{name: a, image: a}]}"),
            patch("merge", "statefulsets/web", "{metadata: {labels: {a: b}}}"),
            patch("merge", "statefulsets/web", "{spec: {template: {metadata: {labels: {a: b}}}}}"),
        ],
        {f"{PREFIX}/enforce": "restricted"},
    ),
    Conversation(
        "security-baseline",
        [
            pod("plain", SIMPLE % ""),
            pod("host", "{hostNetwork: true, hostPID: true, hostIPC: true, containers: [{name: a, image: a, ports: [{containerPort: 80, hostPort: 80}]}]}"),
            simple("privileged", "securityContext: {privileged: true, procMount: Unmasked}"),
            simple("caps", "securityContext: {capabilities: {add: [SYS_ADMIN, CHOWN, NET_RAW]}}"),
            simple("ports", "ports: [{containerPort: 80, hostPort: 80}, {containerPort: 81, hostPort: 81}]"),
            pod("path", "{containers: [{name: a, image: a}], volumes: [{name: h, hostPath: {path: /}}]}"),
            simple("seccomp", "securityContext: {seccompProfile: {type: Unconfined}}"),
            simple("apparmor", "securityContext: {appArmorProfile: {type: Unconfined}}"),
            simple("selinux", "securityContext: {seLinuxOptions: {type: odd, user: u}}"),
            pod("sysctls", "{securityContext: {sysctls: [{name: kernel.shmmax, value: '1'}]}, containers: [{name: a, image: a}]}"),
            create("statefulsets/web", TEMPLATE % "{hostNetwork: true, containers: [{name: a, image: a}]}"),
        ],
        {f"{PREFIX}/enforce": "baseline"},
    ),
    Conversation(
        "security-warnings",
        [
            pod("plain", SIMPLE % ""),
            pod("host", "{hostNetwork: true, containers: [{name: a, image: a}]}"),
            create("statefulsets/web", TEMPLATE % "{containers: [{name: a, image: a}]}"),
            apply("statefulsets/again", TEMPLATE % "{containers: [{name: a, image: a}]}"),
            apply("statefulsets/again", TEMPLATE % "{containers: [{name: a, image: a}]}"),
        ],
        {f"{PREFIX}/enforce": "baseline", f"{PREFIX}/warn": "restricted", f"{PREFIX}/audit": "restricted"},
    ),
    Conversation(
        "security-labels",
        [
            patch("merge", "namespaces/$ns", {"metadata": {"labels": {f"{PREFIX}/enforce": "restricted"}}}),
            patch("merge", "namespaces/$ns", {"metadata": {"labels": {f"{PREFIX}/enforce": "strict"}}}),
            patch("merge", "namespaces/$ns", {"metadata": {"labels": {f"{PREFIX}/enforce-version": "v1.35"}}}),
            pod("other", SIMPLE % ""),
            patch("merge", "namespaces/$ns", {"metadata": {"labels": {f"{PREFIX}/enforce-version": "soon"}}}),
        ],
    ),
    Conversation(
        "quota-counts",
        [
            apply("resourcequotas/q", "spec: {hard: {pods: '1', configmaps: '3', services.nodeports: '0', services: 2}}"),
            until("resourcequotas/q", has_used),
            pod("one", SIMPLE % ""),
            pod("two", SIMPLE % ""),
            create("services/np", "{spec: {type: NodePort, ports: [{port: 80}]}}"),
            create("configmaps/a", "{}"),
            create("configmaps/b", "{}"),
            create("configmaps/c", "{}"),
            used("q", configmaps="3", pods="1"),
        ],
    ),
    Conversation(
        "quota-amounts",
        [
            apply("resourcequotas/q", "spec: {hard: {requests.cpu: '1', limits.memory: 1Gi, requests.memory: 1Gi}}"),
            until("resourcequotas/q", has_used),
            pod("none", SIMPLE % ""),
            simple("half", "resources: {requests: {cpu: 100m}, limits: {memory: 64Mi}}"),
            simple("big", "resources: {requests: {cpu: 2}, limits: {memory: 64Mi}}"),
            simple("more", "resources: {requests: {cpu: 950m}, limits: {memory: 64Mi}}"),
            used("q", **{"requests.cpu": "100m"}),
            apply("resourcequotas/q", "spec: {hard: {requests.cpu: '1'}}"),
            until("resourcequotas/q", has_used),
        ],
    ),
    Conversation(
        "quota-claims",
        [
            apply("resourcequotas/q", "spec: {hard: {persistentvolumeclaims: '1', requests.storage: 5Gi}}"),
            until("resourcequotas/q", has_used),
            create("persistentvolumeclaims/big", "spec: {storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 6Gi}}}"),
            create("persistentvolumeclaims/a", "spec: {storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}"),
            create("persistentvolumeclaims/b", "spec: {storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}"),
        ],
    ),
    Conversation(
        "limit-range",
        [
            apply("limitranges/l", """
spec:
  limits:
  - type: Container
    default: {cpu: 500m, memory: 256Mi}
    defaultRequest: {cpu: 100m, memory: 128Mi}
    max: {cpu: "1", memory: 1Gi}
    min: {cpu: 10m}
"""),
            pod("plain", SIMPLE % ""),
            simple("requests", "resources: {requests: {cpu: 300m}}"),
            simple("limits", "resources: {limits: {cpu: 300m}}"),
            simple("big", "resources: {limits: {cpu: 2}}"),
            simple("large", "resources: {limits: {memory: 2Gi}}"),
            simple("small", "resources: {requests: {cpu: 5m}}"),
            simple("above", "resources: {requests: {cpu: 800m}}"),
        ],
    ),
    Conversation(
        "limit-range-defaults",
        [
            create("limitranges/max", "spec: {limits: [{type: Container, max: {cpu: 1}, min: {memory: 4Mi}}]}"),
            create("limitranges/claims", "spec: {limits: [{type: PersistentVolumeClaim, max: {storage: 2Gi}, min: {storage: 1Gi}}]}"),
            create("persistentvolumeclaims/big", "spec: {storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 6Gi}}}"),
            create("persistentvolumeclaims/small", "spec: {storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}"),
            create("limitranges/pods", "spec: {limits: [{type: Pod, max: {cpu: 1}}]}"),
        ],
    ),
    Conversation(
        "claim-defaults",
        [
            create("persistentvolumeclaims/c", "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 6Gi}}}", {"dryRun": "All"}),
            apply("persistentvolumeclaims/c", "spec: {storageClassName: none, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"),
            apply("persistentvolumeclaims/c", "spec: {storageClassName: none, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"),
            get("persistentvolumeclaims/c"),
        ],
    ),
    Conversation(
        "pod-defaults",
        [
            create("pods/plain", "spec: {containers: [{name: main, image: web}]}", {"dryRun": "All"}),
            create("serviceaccounts/quiet", "{automountServiceAccountToken: false}"),
            create("pods/quiet", "spec: {serviceAccountName: quiet, containers: [{name: main, image: web}]}", {"dryRun": "All"}),
            create("pods/deprecated", "spec: {serviceAccount: quiet, containers: [{name: main, image: web}]}", {"dryRun": "All"}),
            create("pods/priority", "spec: {priorityClassName: system-cluster-critical, containers: [{name: main, image: web}]}", {"dryRun": "All"}),
            create("pods/full", """
metadata: {labels: {app: web}}
spec:
  initContainers: [{name: init, image: "init:latest"}]
  hostNetwork: true
  containers:
  - name: main
    image: registry.example.org/a/b@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    ports: [{containerPort: 80}]
    env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}, {name: B}]
    envFrom: [{configMapRef: {name: x}}]
    livenessProbe: {tcpSocket: {port: 80}}
    readinessProbe: {httpGet: {port: http}}
    startupProbe: {exec: {command: [a]}, grpc: null}
    lifecycle: {preStop: {httpGet: {port: 80}}}
    resources: {limits: {cpu: 1}}
    securityContext: {}
  topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {}}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
      - {weight: 1, podAffinityTerm: {topologyKey: a, labelSelector: {matchLabels: {app: web}}}}
  volumes:
  - {name: a, configMap: {name: a, items: [{key: a, path: b}]}}
  - {name: b, secret: {secretName: b}}
  - {name: c, projected: {sources: [{serviceAccountToken: {path: t}}, {downwardAPI: {items: [{path: x, fieldRef: {fieldPath: metadata.name}}]}}]}}
  - {name: d, downwardAPI: {items: [{path: x, fieldRef: {fieldPath: metadata.name}}]}}
  - {name: e, hostPath: {path: /x}}
  - {name: f, persistentVolumeClaim: {claimName: f}}
  - {name: g, emptyDir: {medium: Memory, sizeLimit: 1Gi}}
  - {name: h, csi: {driver: x}}
  - {name: i}
""", {"dryRun": "All"}),
        ],
    ),
]
