"""Objects that are not valid."""

from ..steps import Conversation, apply, create, patch, put

CM = "configmaps/settings"
DEPLOYMENT = """
spec:
  replicas: %s
  selector: {matchLabels: %s}
  template:
    metadata: {labels: {app: web}}
    spec: %s
"""
GOOD = "{containers: [{name: main, image: web}]}"


def deployment(replicas="0", labels="{app: web}", spec=GOOD, **options):
    return create("statefulsets/web", DEPLOYMENT % (replicas, labels, spec), {"dryRun": "All"}, **options)


def pod(spec):
    return create("pods/web", f"spec: {spec}", {"dryRun": "All"})


def container(fields):
    return pod("{containers: [{name: main, image: web, %s}]}" % fields)


def strict(path, body):
    return create(path, body, {"fieldValidation": "Strict", "dryRun": "All"})


def dry(path, body):
    return create(path, body, {"dryRun": "All"})


CONVERSATIONS = [
    Conversation(
        "unknown-fields",
        [
            create(CM, "{dta: {a: b}}"),
            create("configmaps/b", "{dta: {a: b}}", {"fieldValidation": "Ignore"}),
            strict("configmaps/c", "{dta: {a: b}, metadata: {lables: {a: b}}}"),
            create("configmaps/c", "{dta: {a: b}, metadata: {lables: {a: b}}}", {"fieldValidation": "Loud"}),
            strict("pods/p", "spec: {containers: [{name: main, image: web, imag: x}], volums: []}"),
            dry("pods/p", "spec: {containers: [{name: main, image: web, imag: x}], volums: []}"),
            put(CM, "{dat: {}}", {"fieldValidation": "Strict"}),
            apply("pods/p", "spec: {containers: [{name: main, image: web, imag: x}]}"),
        ],
    ),
    Conversation(
        "wrong-types",
        [
            create(CM, "{data: {a: 1}}"),
            create(CM, "{data: [a]}"),
            create(CM, "{data: a}"),
            create(CM, "{metadata: {labels: {a: 1}}}"),
            create(CM, "{metadata: {labels: [a]}}"),
            deployment(replicas="two"),
            deployment(replicas="1.5"),
            deployment(replicas="99999999999"),
            deployment(spec="{containers: {name: main}}"),
            deployment(spec="[]"),
            container("tty: 1"),
            container("ports: [{containerPort: '80'}]"),
            container("readinessProbe: {httpGet: {port: 1.5}}"),
            dry("secrets/s", "{data: {a: '%%%'}}"),
            create("configmaps/b", "{metadata: {creationTimestamp: yesterday}}"),
            apply("pods/p", "spec: {containers: {name: main}}"),
            apply("pods/p", "spec: {containers: [{name: main, tty: 1, ports: [{containerPort: '80'}]}]}"),
            apply("pods/p", "spec: {hostname: 1, priority: x, containers: [main]}"),
        ],
    ),
    Conversation(
        "names",
        [
            create("configmaps", "{metadata: {name: Upper}}"),
            create("configmaps", "{metadata: {name: under_score}}"),
            create("configmaps", "{metadata: {name: %s}}" % ("a" * 254)),
            create("services", "{metadata: {name: 1web}, spec: {ports: [{port: 80}]}}"),
            create("services", "{metadata: {name: a.b}, spec: {ports: [{port: 80}]}}"),
            create("services", "{metadata: {name: %s}, spec: {ports: [{port: 80}]}}" % ("a" * 64)),
            create("namespaces", "{metadata: {name: a.b}}"),
            create("namespaces", "{metadata: {name: Upper}}"),
            create("namespaces", "{metadata: {name: %s}}" % ("a" * 64)),
            create("roles", "{metadata: {name: 'Any:Name'}, rules: []}"),
            create("roles", "{metadata: {name: a%b}, rules: []}"),
            create("ingresses", "{metadata: {name: Upper}, spec: {defaultBackend: {service: {name: a, port: {number: 1}}}}}"),
            apply("configmaps/Upper", "{}"),
            create("serviceaccounts", "{metadata: {name: Upper}}"),
            create("persistentvolumeclaims", "{metadata: {name: Upper}, spec: {}}"),
        ],
    ),
    Conversation(
        "labels",
        [
            create(CM, "{metadata: {labels: {'a b': c}}}"),
            create(CM, "{metadata: {labels: {a: 'b c'}}}"),
            create(CM, "{metadata: {labels: {a/b/c: d}}}"),
            create(CM, "{metadata: {labels: {'Example.org/a': d}}}"),
            create(CM, "{metadata: {labels: {a: %s}}}" % ("b" * 64)),
            create(CM, "{metadata: {labels: {%s: b}}}" % ("a" * 64)),
            create(CM, "{metadata: {annotations: {'a b': c}}}"),
            create(CM, "{metadata: {annotations: {'Example.org/a': c}}}"),
            create(CM, "{metadata: {finalizers: ['a b']}}"),
        ],
    ),
    Conversation(
        "quantities",
        [
            container("resources: {requests: {cpu: lots}}"),
            container("resources: {requests: {cpu: -1}}"),
            container("resources: {requests: {cpu: 2}, limits: {cpu: 1}}"),
            container("resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}"),
            container("resources: {requests: {cpu: 0.5, memory: 1000000}, limits: {cpu: 1500m, memory: 1024Mi}}"),
            container("resources: {requests: {bananas: 1}}"),
            container("resources: {limits: {example.org/gpu: 1}}"),
            container("resources: {requests: {memory: 100m}}"),
            dry("resourcequotas/q", "spec: {hard: {pods: -1}}"),
            dry("resourcequotas/q", "spec: {hard: {pods: '1.5', requests.cpu: 1000m}}"),
            dry("resourcequotas/q", "spec: {hard: {bananas: 1}}"),
            apply("resourcequotas/q", "spec: {hard: {pods: some}}"),
        ],
    ),
    Conversation(
        "workloads-refused",
        [
            deployment(replicas="-1"),
            deployment(labels="{app: other}"),
            deployment(labels="{}"),
            deployment(spec="{}"),
            deployment(spec="{containers: []}"),
            deployment(spec="{containers: [{image: web}]}"),
            deployment(spec="{containers: [{name: main}]}"),
            deployment(spec="{containers: [{name: Main, image: web}]}"),
            deployment(spec="{containers: [{name: main, image: web}, {name: main, image: web}]}"),
            deployment(spec="{restartPolicy: Never, containers: [{name: main, image: web}]}"),
            deployment(spec="{restartPolicy: Sometimes, containers: [{name: main, image: web}]}"),
            create("deployments/web", DEPLOYMENT % ("-1", "{app: other}", "{}"), {"dryRun": "All"}),
            create("deployments/web", "{spec: {}}", {"dryRun": "All"}),
            create("deployments/web", "{}", {"dryRun": "All"}),
            create("daemonsets/web", "{spec: {selector: {matchLabels: {a: b}}, template: {}}}", {"dryRun": "All"}),
            create(
                "deployments/web",
                DEPLOYMENT % ("1", "{app: web}", GOOD) + "  strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}",
                {"dryRun": "All"},
            ),
            create(
                "deployments/web",
                DEPLOYMENT % ("1", "{app: web}", GOOD) + "  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}",
                {"dryRun": "All"},
            ),
        ],
    ),
    Conversation(
        "containers-refused",
        [
            container("ports: [{containerPort: 0}]"),
            container("ports: [{containerPort: 70000}]"),
            container("ports: [{containerPort: 80, protocol: HTTP}]"),
            container("ports: [{containerPort: 80, name: Way_too}]"),
            container("ports: [{containerPort: 80, name: a}, {containerPort: 81, name: a}]"),
            container("volumeMounts: [{name: none, mountPath: /x}]"),
            container("imagePullPolicy: Maybe"),
            container("env: [{name: '', value: x}]"),
            container("env: [{name: 'a=b', value: x}]"),
            container("env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]"),
            container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.none}}}]"),
            container("env: [{name: A, valueFrom: {}}]"),
            container("readinessProbe: {}"),
            container("readinessProbe: {httpGet: {path: /}}"),
            container("readinessProbe: {httpGet: {path: /, port: 80}, tcpSocket: {port: 80}}"),
            container("livenessProbe: {httpGet: {path: /, port: 80}, successThreshold: 2, periodSeconds: -1}"),
            container("lifecycle: {preStop: {}}"),
            container("securityContext: {privileged: true, allowPrivilegeEscalation: false}"),
            container("securityContext: {runAsUser: -1}"),
            container("image: ''"),
        ],
    ),
    Conversation(
        "pods-refused",
        [
            pod("{}"),
            pod("{containers: []}"),
            pod("{containers: [{name: main, image: web}], volumes: [{name: a}, {name: a, emptyDir: {}}]}"),
            pod("{containers: [{name: main, image: web}], volumes: [{emptyDir: {}}]}"),
            pod("{containers: [{name: main, image: web}], volumes: [{name: a, emptyDir: {}, configMap: {name: x}}]}"),
            pod("{containers: [{name: main, image: web}], volumes: [{name: a, configMap: {}}]}"),
            pod("{containers: [{name: main, image: web}], serviceAccountName: none}"),
            pod("{containers: [{name: main, image: web}], dnsPolicy: Odd}"),
            pod("{containers: [{name: main, image: web}], terminationGracePeriodSeconds: -1}"),
            pod("{containers: [{name: main, image: web}], nodeSelector: {'a b': c}}"),
            pod("{containers: [{name: main, image: web}], tolerations: [{operator: Exists, value: x}]}"),
            pod("{containers: [{name: main, image: web}], topologySpreadConstraints: [{maxSkew: 0}]}"),
            pod("{containers: [{name: main, image: web}], affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{}]}}}"),
            pod("{containers: [{name: main, image: web}], priorityClassName: none}"),
            pod("{containers: [{name: main, image: web}], hostNetwork: true, hostname: A_b}"),
        ],
    ),
    Conversation(
        "immutable-fields",
        [
            create("statefulsets/web", DEPLOYMENT % ("0", "{app: web}", GOOD)),
            patch("merge", "statefulsets/web", "{spec: {serviceName: other}}"),
            patch("merge", "statefulsets/web", "{spec: {selector: {matchLabels: {a: b}}}}"),
            create("deployments/web", DEPLOYMENT % ("0", "{app: web}", GOOD)),
            patch("merge", "deployments/web", "{spec: {selector: {matchLabels: {a: b}}}}", {"dryRun": "All"}),
            patch("merge", "deployments/web", "{spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}}}}", {"dryRun": "All"}),
            create("secrets/s", "{data: {a: Yg==}}"),
            patch("merge", "secrets/s", "{type: example.org/other}"),
            patch("merge", "secrets/s", "{immutable: true}"),
            patch("merge", "secrets/s", "{data: {a: Yw==}}"),
            patch("merge", "secrets/s", "{immutable: false}"),
            create(CM, "{data: {a: b}, immutable: true}"),
            patch("merge", CM, "{data: {a: c}}"),
            create("roles/r", "{rules: []}"),
            create("rolebindings/r", "{roleRef: {kind: Role, name: r, apiGroup: rbac.authorization.k8s.io}, subjects: []}"),
            patch("merge", "rolebindings/r", "{roleRef: {name: other}}"),
            create("persistentvolumeclaims/c", "spec: {storageClassName: '', accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}"),
            patch("merge", "persistentvolumeclaims/c", "{spec: {accessModes: [ReadOnlyMany]}}"),
            patch("merge", "persistentvolumeclaims/c", "{spec: {resources: {requests: {storage: 2Gi}}}}"),
            create("pods/p", "spec: {schedulingGates: [{name: example.org/wait}], containers: [{name: main, image: web}]}"),
            patch("merge", "pods/p", "{spec: {hostname: other}}"),
        ],
    ),
    Conversation(
        "others-refused",
        [
            dry("secrets/s", "{type: kubernetes.io/tls, data: {}}"),
            dry("secrets/s", "{type: kubernetes.io/dockerconfigjson, data: {a: Yg==}}"),
            dry("secrets/s", "{type: kubernetes.io/dockerconfigjson, data: {.dockerconfigjson: Yg==}}"),
            dry("configmaps/c", "{data: {'a b': c}}"),
            dry("configmaps/c", "{data: {a: b}, binaryData: {a: Yg==}}"),
            dry("horizontalpodautoscalers/h", "{spec: {}}"),
            dry("horizontalpodautoscalers/h", "{spec: {maxReplicas: 0, minReplicas: -1, scaleTargetRef: {kind: A, name: b}}}"),
            dry("horizontalpodautoscalers/h", "{spec: {maxReplicas: 1, minReplicas: 2, scaleTargetRef: {kind: A, name: b}}}"),
            dry("horizontalpodautoscalers/h", "{spec: {maxReplicas: 1, scaleTargetRef: {kind: A, name: b}, metrics: [{type: Resource}]}}"),
            dry("poddisruptionbudgets/p", "{spec: {minAvailable: 1, maxUnavailable: 1}}"),
            dry("poddisruptionbudgets/p", "{spec: {minAvailable: -1}}"),
            dry("poddisruptionbudgets/p", "{spec: {minAvailable: half}}"),
            dry("ingresses/i", "{spec: {}}"),
            dry("ingresses/i", "{spec: {rules: [{host: 'A b', http: {paths: [{path: x, backend: {}}]}}]}}"),
            dry("ingresses/i", "{spec: {rules: [{http: {paths: [{pathType: Prefix, path: x, backend: {service: {name: a}}}]}}]}}"),
            dry("networkpolicies/n", "{spec: {}}"),
            dry("networkpolicies/n", "{spec: {podSelector: {}, policyTypes: [Sideways]}}"),
            dry("networkpolicies/n", "{spec: {podSelector: {}, ingress: [{ports: [{port: 0, protocol: X}], from: [{}]}]}}"),
            dry("networkpolicies/n", "{spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: x}}]}]}}"),
            dry("roles/r", "{rules: [{}]}"),
            dry("roles/r", "{rules: [{verbs: [get], apiGroups: ['']}]}"),
            dry("rolebindings/r", "{roleRef: {kind: Role, name: r}}"),
            dry("rolebindings/r", "{roleRef: {kind: Odd, name: r, apiGroup: rbac.authorization.k8s.io}, subjects: [{kind: Odd, name: x}]}"),
            dry("persistentvolumeclaims/p", "{spec: {}}"),
            dry("persistentvolumeclaims/p", "{spec: {accessModes: [Odd], resources: {requests: {storage: 0}}}}"),
            dry("limitranges/l", "{spec: {limits: [{type: Container, default: {cpu: 2}, max: {cpu: 1}}]}}"),
            dry("limitranges/l", "{spec: {limits: [{type: Odd}]}}"),
        ],
    ),
]
