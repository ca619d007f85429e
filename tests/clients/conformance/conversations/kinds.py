"""Each kind that exokit makes: apply, apply again, change, get, delete."""

import yaml

from ..steps import Conversation, apply, delete, get, gone, observed, rolled_out, until

DEPLOYMENT = """
metadata: {labels: {app.kubernetes.io/name: web}, annotations: {exokit.io/autoscaler-min: "1"}}
spec:
  replicas: 2
  revisionHistoryLimit: 3
  selector: {matchLabels: {app.kubernetes.io/name: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}
  template:
    metadata: {labels: {app.kubernetes.io/name: web}}
    spec:
      serviceAccountName: default
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 30
      securityContext: {runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector: {matchLabels: {app.kubernetes.io/name: web}}
      imagePullSecrets: [{name: registry}]
      containers:
      - name: web
        image: registry.example.org/web:1.2
        args: ["--listen=:8080"]
        env: [{name: LEVEL, value: info}, {name: KEY, valueFrom: {secretKeyRef: {name: web, key: key}}}]
        ports: [{name: http, containerPort: 8080, protocol: TCP}]
        readinessProbe: {httpGet: {path: /ready, port: http}, periodSeconds: 5}
        livenessProbe: {tcpSocket: {port: http}, initialDelaySeconds: 10}
        resources: {requests: {cpu: 250m, memory: 256Mi}, limits: {cpu: "1", memory: 512Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: data, mountPath: /data}, {name: tmp, mountPath: /tmp}]
      volumes:
      - {name: data, persistentVolumeClaim: {claimName: data}}
      - {name: tmp, emptyDir: {}}
      - {name: config, configMap: {name: web}}
"""
DAEMON_SET = """
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      tolerations: [{operator: Exists}]
      containers: [{name: agent, image: "agent:1", ports: [{containerPort: 9100, hostPort: 9100}]}]
"""
# Name in a path, body, change, and how its controller is waited for.
KINDS = [
    ("configmaps/web", "{data: {a: b}}", "{data: {a: c}}", None),
    ("secrets/web", "{type: Opaque, data: {key: c2VjcmV0}}", "{data: {key: b3RoZXI=}}", None),
    ("secrets/strings", "{stringData: {key: secret}}", "{stringData: {key: other}}", None),
    ("secrets/registry", '{type: kubernetes.io/dockerconfigjson, data: {.dockerconfigjson: e30=}}', None, None),
    ("serviceaccounts/web", "{automountServiceAccountToken: false}", "{automountServiceAccountToken: true}", None),
    ("services/web", "{spec: {type: ClusterIP, selector: {app: web}, ports: [{name: http, port: 80, protocol: TCP, targetPort: http}]}}", "{spec: {ports: [{name: http, port: 8080, protocol: TCP, targetPort: http}]}}", None),
    ("services/node", "{spec: {type: NodePort, externalTrafficPolicy: Cluster, selector: {app: web}, ports: [{name: http, port: 80, protocol: TCP, targetPort: http, nodePort: 30180}]}}", "{spec: {ports: [{name: http, port: 80, protocol: TCP, targetPort: http, nodePort: 30181}]}}", None),
    ("persistentvolumeclaims/data", "{spec: {storageClassName: none, accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}}}", None, None),
    ("resourcequotas/all", "{spec: {hard: {requests.cpu: '2', requests.memory: 4Gi, limits.cpu: '4', pods: '10', services.loadbalancers: '1', persistentvolumeclaims: '2'}}}", "{spec: {hard: {pods: '20'}}}", lambda body: body["status"].get("hard") == body["spec"]["hard"]),
    ("limitranges/all", "{spec: {limits: [{type: Container, default: {cpu: 500m, memory: 256Mi}, defaultRequest: {cpu: 100m, memory: 128Mi}, max: {cpu: '2', memory: 4Gi}}]}}", "{spec: {limits: [{type: Container, max: {cpu: '3'}}]}}", None),
    ("networkpolicies/deny-all", "{spec: {podSelector: {}, policyTypes: [Ingress]}}", "{spec: {policyTypes: [Ingress, Egress]}}", None),
    ("networkpolicies/web", "{spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {}}], ports: [{port: 8080, protocol: TCP}]}, {}], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]}}", "{spec: {ingress: []}}", None),
    ("ingresses/web", "{metadata: {annotations: {cert-manager.io/cluster-issuer: letsencrypt}}, spec: {ingressClassName: traefik, tls: [{hosts: [web.example.org], secretName: web-tls}], rules: [{host: web.example.org, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}}]}}", "{spec: {rules: [{host: other.example.org, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]}}", None),
    ("horizontalpodautoscalers/web", "{spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: none}, minReplicas: 2, maxReplicas: 4, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]}}", "{spec: {maxReplicas: 6}}", lambda body: body["status"].get("conditions")),
    ("poddisruptionbudgets/web", "{spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}}", "{spec: {minAvailable: 50%}}", observed),
    ("roles/web", "{rules: [{apiGroups: [''], resources: [pods, services], verbs: [get, list, watch]}]}", "{rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]}", None),
    ("rolebindings/web", "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: web}, subjects: [{kind: ServiceAccount, name: web, namespace: $ns}]}", "{subjects: [{kind: Group, name: people, apiGroup: rbac.authorization.k8s.io}]}", None),
    ("deployments/web", DEPLOYMENT, "{spec: {replicas: 3}}", rolled_out),
    ("daemonsets/agent", DAEMON_SET, "{spec: {minReadySeconds: 5}}", observed),
    ("statefulsets/db", DEPLOYMENT.replace("replicas: 2", "replicas: 0").replace("strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}", "serviceName: db"), "{spec: {minReadySeconds: 5}}", None),
    ("clusterroles/conformance-web", "{rules: [{apiGroups: [''], resources: [nodes], verbs: [get]}, {nonResourceURLs: [/metrics], verbs: [get]}]}", "{rules: []}", None),
    ("clusterrolebindings/conformance-web", "{roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: none}, subjects: [{kind: ServiceAccount, name: web, namespace: $ns}]}", "{subjects: []}", None),
    ("ingressclasses/conformance-web", "{spec: {controller: example.org/c}}", "{spec: {parameters: {apiGroup: k.example.org, kind: P, name: p}}}", None),
    ("storageclasses/conformance-web", "{provisioner: example.org/p}", "{allowVolumeExpansion: true}", None),
]


def merged(base, change):
    """A body with a change in it, as the next apply of the same manager has it."""
    if isinstance(base, dict) and isinstance(change, dict):
        both = {key: merged(base[key], change[key]) if key in base else change[key] for key in change}
        return {**base, **both}
    return change


def life(path, body, change, settle):
    body = yaml.safe_load(body)
    settled = [] if settle is None else [settle(path) if settle in (observed, rolled_out) else until(path, settle)]
    steps = [apply(path, body, query={"dryRun": "All"}), apply(path, body), *settled, apply(path, body), get(path)]
    if change:
        steps += [apply(path, merged(body, yaml.safe_load(change))), *settled, get(path)]
    # The DaemonSet's and the Deployment's deletions are of another conversation.
    steps += [delete(path, "{apiVersion: v1, kind: DeleteOptions, propagationPolicy: Background}"), gone(path)]
    return Conversation("kind-" + path.replace("/", "-"), steps)


CONVERSATIONS = [
    *(life(*kind) for kind in KINDS),
    Conversation(
        "kind-namespaces",
        [
            apply("namespaces/kind-of-its-own", "{metadata: {labels: {pod-security.kubernetes.io/enforce: baseline}}}", save={"uid": "metadata.uid"}),
            apply("namespaces/kind-of-its-own", "{metadata: {labels: {pod-security.kubernetes.io/enforce: baseline}}}"),
            apply("namespaces/kind-of-its-own", "{metadata: {labels: {a: b}}}"),
            until("/api/v1/namespaces/kind-of-its-own/serviceaccounts/default", lambda body: body["kind"] != "Status"),
            get("/api/v1/namespaces/kind-of-its-own/configmaps/kube-root-ca.crt"),
            delete("namespaces/kind-of-its-own", "{apiVersion: v1, kind: DeleteOptions, preconditions: {uid: $uid}, propagationPolicy: Foreground}"),
            gone("namespaces/kind-of-its-own"),
        ],
    ),
    Conversation(
        "workload-objects",
        [
            apply("deployments/web", DEPLOYMENT),
            rolled_out("deployments/web"),
            get("replicasets"),
            until("pods", lambda body: len(body["items"]) == 2 and all(pod["status"].get("conditions") for pod in body["items"])),
            apply("deployments/web", DEPLOYMENT.replace("web:1.2", "web:1.3")),
        ],
    ),
]
