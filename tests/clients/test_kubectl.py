"""Debian's kubectl, unmodified, against the API server of a simulated cluster.

    EXOKIT_BIN=exokit EXOKIT_KUBECTL=kubectl python3 test_kubectl.py

What kubectl prints is compared with `transcripts/kubectl.txt`, which
EXOKIT_TRANSCRIPTS=write writes anew. The transcript is that of kubectl 1.20;
of another version, exit codes and the texts in this file are checked.
"""

import base64
import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import time
import unittest

import yaml
from cryptography import x509
from exoscale.api import v2
from exoscale.api.v2 import Client

COMMAND = shlex.split(os.environ.get("EXOKIT_BIN", "exokit"))
KUBECTL = os.environ.get("EXOKIT_KUBECTL", "kubectl")
TRANSCRIPT = pathlib.Path(__file__).parent / "transcripts" / "kubectl.txt"
TRANSCRIPT_VERSION = "v1.20."
WRITES = os.environ.get("EXOKIT_TRANSCRIPTS") == "write"
# Nothing here takes long: a command that hangs fails.
PATIENCE = 30

# With --speed max an operation is final at the request after the first reply.
v2._sleep = lambda start_time: None

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: green}
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: nginx:1.29
        envFrom: [{configMapRef: {name: settings}}]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}}
        resources: {requests: {cpu: 100m, memory: 64Mi}}
"""
WEB = "---".join([CONFIG, SERVICE, DEPLOYMENT])
READER = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: developers}]
"""

# What differs from run to run, and what stands for it.
MASKS = [
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "<time>"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}", "<time>"),
    (r"https://127\.0\.0\.1:\d+", "<server>"),
    (r"\bpool-[a-z0-9]{5}-[a-z0-9]{5}\b", "<node>"),
    (r"\b(web|bare)-[a-z0-9]{8,10}-[a-z0-9]{5}\b", r"<\1-pod>"),
    (r"\b(web|bare)-[a-z0-9]{8,10}\b", r"<\1-replica-set>"),
    (r"(pod-template-hash[=:] ?)\"?[a-z0-9]+\"?", r"\1<hash>"),
    (r"\b\d{1,3}(\.\d{1,3}){3}\b", "<ip>"),
    (r"(resourceVersion\"?: )\"\d+\"", r'\1"<version>"'),
    (r"(\d+m)?\b\d{1,3}s\b", "<age>"),
]


def masked(text):
    """Output that is the same in every run. The width of a column is not."""
    for pattern, name in MASKS:
        text = re.sub(pattern, name, text)
    lines = (re.sub(r"(?<=\S)(  +|\t+)", "  ", line).rstrip() for line in text.splitlines())
    return "\n".join(lines)


class World:
    """The simulated cloud with a cluster of two nodes, and another cluster."""

    def __init__(self):
        self.process = subprocess.Popen(
            [*COMMAND, "sim", "--speed", "max", "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            text=True,
        )
        at = json.loads(self.process.stdout.readline())
        self.api = Client(at["api_key"], at["api_secret"], url=at["endpoint"])
        self.folder = tempfile.TemporaryDirectory()
        self.cluster = self.make_cluster("main")
        self.other = self.make_cluster("other")
        types = self.api.list_instance_types()["instance-types"]
        size = next(t for t in types if (t["family"], t["size"]) == ("standard", "medium"))
        pool = {"name": "pool", "size": 2, "disk_size": 20, "instance_type": {"id": size["id"]}}
        self.done(self.api.create_sks_nodepool(id=self.cluster, **pool))
        self.admin = self.kubeconfig("admin", "system:masters")

    def done(self, operation):
        """Waits for an operation and returns the id it refers to."""
        final = self.api.wait(operation["id"])
        assert final["state"] == "success", final
        return final["reference"]["id"]

    def make_cluster(self, name):
        version = self.api.list_sks_cluster_versions()["sks-cluster-versions"][0]
        return self.done(self.api.create_sks_cluster(name=name, level="starter", version=version))

    def write(self, name, text):
        """Writes a file; gives its path."""
        path = pathlib.Path(self.folder.name) / name
        path.write_text(text, "utf-8")
        return str(path)

    def kubeconfig(self, user, group, cluster=None, ttl=3600):
        """The path of a fresh kubeconfig."""
        make = self.api.generate_sks_cluster_kubeconfig
        reply = make(id=cluster or self.cluster, user=user, groups=[group], ttl=ttl)
        text = base64.b64decode(reply["kubeconfig"]).decode()
        return self.write(f"{user}-{cluster or 'main'}-{ttl}.kubeconfig", text)

    def command(self, kubeconfig, *arguments):
        """kubectl with these arguments, and nothing of this machine's own."""
        cache = os.path.join(self.folder.name, "cache")
        options = ["--kubeconfig", kubeconfig, "--cache-dir", cache]
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.folder.name}
        return [KUBECTL, *options, *arguments], environment

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)
        self.process.stdout.close()
        self.folder.cleanup()


def setUpModule():
    global WORLD, SECTIONS
    WORLD, SECTIONS = World(), {}


def tearDownModule():
    WORLD.stop()
    if WRITES:
        sections = [f"## {name}\n\n{text}" for name, text in sorted(SECTIONS.items())]
        TRANSCRIPT.write_text("\n".join(sections), "utf-8")


def has_transcript():
    """Whether the transcript is that of the kubectl in use."""
    version = subprocess.run([KUBECTL, "version", "--client"], capture_output=True, text=True)
    return TRANSCRIPT_VERSION in version.stdout


class Kubectl(unittest.TestCase):
    """One namespace and one section of the transcript per test."""

    def setUp(self):
        self.maxDiff = None
        self.section = []
        self.name = self.id().rpartition(".test_")[2]
        self.namespace = self.name.replace("_", "-")
        self.kubectl(f"create namespace {self.namespace}", everywhere=True)

    def kubectl(self, line, code=0, shows="", everywhere=False, varies=False, config=None):
        """Runs kubectl in the test's namespace; gives what it printed."""
        arguments = shlex.split(line)
        place = [] if everywhere else ["--namespace", self.namespace]
        command, environment = WORLD.command(config or WORLD.admin, *place, *arguments)
        ran = subprocess.run(
            command, env=environment, cwd=WORLD.folder.name, capture_output=True, text=True, timeout=PATIENCE
        )
        printed = ran.stdout + ran.stderr
        self.record(line, "<varies>" if varies else printed, ran.returncode)
        self.assertEqual(ran.returncode, code, printed)
        self.assertIn(shows, printed)
        return printed

    def record(self, line, printed, code):
        text = masked(printed)
        self.section.append(f"$ kubectl {line}\n{text}\n[exit code {code}]\n")

    def await_rollout(self):
        """Returns when a deployment is as wanted; on the way it says how far it is."""
        line = "rollout status deployment/web --timeout=20s"
        self.kubectl(line, shows="successfully rolled out", varies=True)

    def matches_transcript(self):
        """Call it last: what was printed is what the transcript says."""
        text = "\n".join(self.section)
        SECTIONS[self.name] = text
        if WRITES or not has_transcript():
            return
        sections = re.split(r"^## (\w+)\n\n", TRANSCRIPT.read_text("utf-8"), flags=re.MULTILINE)
        recorded = dict(zip(sections[1::2], sections[2::2]))
        self.assertEqual(text.strip(), recorded[self.name].strip())

    def test_a_cluster_is_shown(self):
        self.kubectl("version", shows="v1.35")
        self.kubectl("cluster-info", shows="Kubernetes control plane")
        self.kubectl("api-resources", shows="deploy")
        self.kubectl("api-versions", shows="apps/v1")
        self.kubectl("get nodes -o wide", shows="containerd")
        self.kubectl("describe nodes", shows="KubeletReady")
        self.kubectl("top nodes", shows="MEMORY")
        self.kubectl("get --raw /readyz", shows="ok")
        self.matches_transcript()

    def test_a_workload_lives(self):
        WORLD.write("web.yaml", WEB)
        self.kubectl("apply -f web.yaml", shows="deployment.apps/web created")
        self.kubectl("apply -f web.yaml", shows="deployment.apps/web unchanged")
        self.kubectl("diff -f web.yaml")
        self.kubectl("apply -f web.yaml --dry-run=server", shows="unchanged (server dry run)")
        self.kubectl("wait --for=condition=available deployment/web --timeout=20s", shows="condition met")
        self.await_rollout()
        self.kubectl("get all,configmaps", shows="replicaset.apps/web-")
        self.kubectl("get deployment web -o yaml", shows="availableReplicas: 2")
        self.kubectl("get service web -o json", shows='"clusterIP"')
        self.kubectl("get pods -l app=web -o jsonpath='{.items[*].status.phase}'", shows="Running Running")
        self.kubectl("get pods -l app=other", shows="No resources found")
        self.kubectl("get deployments -A", shows="a-workload-lives")
        self.kubectl("describe deployment web", shows="2 available")
        self.kubectl("describe pods -l app=web", shows="Running")
        self.kubectl("describe service web", shows="LoadBalancer Ingress")
        self.kubectl("label deployment web tier=front", shows="labeled")
        self.kubectl("label deployment web tier=back", code=1, shows="already has a value")
        self.kubectl("annotate deployment web note=hello", shows="annotated")
        self.kubectl("scale deployment web --replicas=3", shows="scaled")
        self.await_rollout()
        self.kubectl("set image deployment/web main=nginx:1.30", shows="image updated")
        self.await_rollout()
        self.kubectl("rollout history deployment/web", shows="REVISION")
        self.kubectl("rollout undo deployment/web", shows="rolled back")
        self.await_rollout()
        self.kubectl("get deployment web -o wide", shows="nginx:1.29")
        self.kubectl("delete -f web.yaml --timeout=20s", shows='"web" deleted')
        # How many pods are left by now is a matter of time.
        self.kubectl("wait --for=delete pods -l app=web --timeout=20s", varies=True)
        self.kubectl("get all", shows="No resources found")
        self.matches_transcript()

    def test_patches(self):
        WORLD.write("config.yaml", CONFIG)
        self.kubectl("create -f config.yaml", shows="created")
        self.kubectl("create -f config.yaml", code=1, shows="AlreadyExists")
        self.kubectl("patch configmap settings --type=merge -p '{\"data\":{\"size\":\"xl\"}}'")
        self.kubectl("patch configmap settings -p '{\"data\":{\"size\":\"xl\"}}'", shows="no change")
        replace = '[{"op":"replace","path":"/data/size","value":"s"}]'
        self.kubectl(f"patch configmap settings --type=json -p '{replace}'", shows="patched")
        test = '[{"op":"test","path":"/data/size","value":"m"}]'
        self.kubectl(f"patch configmap settings --type=json -p '{test}'", code=1, shows="The request is invalid")
        self.kubectl("get configmap settings -o jsonpath='{.data}'", shows='"size":"s"')
        self.kubectl("replace -f config.yaml", shows="replaced")
        self.kubectl("get configmap settings -o jsonpath='{.data}'")
        self.matches_transcript()

    def test_managers_conflict(self):
        WORLD.write("green.yaml", CONFIG)
        WORLD.write("red.yaml", CONFIG.replace("green", "red"))
        apply = "apply --server-side"
        self.kubectl(f"{apply} -f green.yaml", shows="serverside-applied")
        self.kubectl(f"{apply} -f green.yaml --field-manager=other", shows="serverside-applied")
        self.kubectl(f"{apply} -f red.yaml --field-manager=other", code=1, shows=".data.colour")
        self.kubectl(f"{apply} -f red.yaml --field-manager=other --force-conflicts")
        managers = "get configmap settings -o jsonpath='{.metadata.managedFields[*].manager}'"
        self.kubectl(managers, shows="other")
        self.matches_transcript()

    def test_rights(self):
        WORLD.write("reader.yaml", READER)
        developer = WORLD.kubeconfig("dev", "developers")
        self.kubectl("auth can-i '*' '*' --all-namespaces", shows="yes")
        self.kubectl("auth can-i list pods", code=1, shows="no", config=developer)
        self.kubectl("get pods", code=1, shows="Forbidden", config=developer)
        self.kubectl("apply -f reader.yaml", shows="rolebinding.rbac.authorization.k8s.io/readers created")
        self.kubectl("auth can-i list pods", shows="yes", config=developer)
        self.kubectl("auth can-i delete pods", code=1, shows="no", config=developer)
        self.kubectl("auth can-i list pods --all-namespaces", code=1, shows="no", config=developer)
        self.kubectl("auth can-i list pods --as=eve --as-group=developers", shows="yes")
        self.kubectl("get pods", shows="No resources found", config=developer)
        refused = 'User "dev" cannot list resource "secrets"'
        self.kubectl("get secrets", code=1, shows=refused, config=developer)
        self.kubectl("apply -f reader.yaml", code=1, shows="Forbidden", config=developer)
        self.matches_transcript()

    def test_what_is_not_simulated_is_said(self):
        self.kubectl("run bare --image=nginx:1.29", shows="created")
        self.kubectl("logs bare", code=1, shows="containers do not run here")
        self.kubectl("exec bare -- true", code=1, shows="containers do not run here")
        self.kubectl("port-forward bare 8080:80", code=1, shows="containers do not run here")
        self.kubectl("delete pod bare --timeout=20s", shows="deleted")
        self.kubectl("get jobs.batch", code=1)
        self.matches_transcript()

    def test_mistakes_are_named(self):
        WORLD.write("field.yaml", DEPLOYMENT.replace("replicas:", "replica:"))
        WORLD.write("value.yaml", DEPLOYMENT.replace("replicas: 2", "replicas: -1"))
        WORLD.write("type.yaml", DEPLOYMENT.replace("replicas: 2", "replicas: two"))
        WORLD.write("kind.yaml", DEPLOYMENT.replace("kind: Deployment", "kind: Gizmo"))
        self.kubectl("apply -f field.yaml", code=1, shows="replica")
        self.kubectl("apply --server-side --validate=false -f field.yaml", code=1, shows=".spec.replica")
        self.kubectl("apply -f value.yaml", code=1, shows="spec.replicas: Invalid value: -1")
        self.kubectl("apply --validate=false -f type.yaml", code=1, shows="spec.replicas")
        self.kubectl("apply -f kind.yaml", code=1, shows='no matches for kind "Gizmo"')
        self.kubectl("get gizmos", code=1, shows="doesn't have a resource type")
        self.kubectl("get deployment none", code=1, shows="NotFound")
        self.kubectl("create namespace Upper", code=1, shows="metadata.name", everywhere=True)
        self.kubectl("get pods", shows="No resources found")
        self.matches_transcript()

    def test_credentials_that_are_refused(self):
        brief = WORLD.kubeconfig("brief", "system:masters", ttl=1)
        elsewhere = WORLD.kubeconfig("admin", "system:masters", cluster=WORLD.other)
        documents = [yaml.safe_load(pathlib.Path(path).read_text()) for path in (WORLD.admin, elsewhere)]
        documents[0]["users"] = documents[1]["users"]
        mixed = WORLD.write("mixed.kubeconfig", yaml.safe_dump(documents[0]))
        self.kubectl("get namespaces --no-headers -o name", config=elsewhere)
        self.kubectl("get namespaces", code=1, shows="Unauthorized", config=mixed)
        self.await_refusal(brief)
        self.kubectl("get namespaces", code=1, shows="Unauthorized", config=brief)
        self.matches_transcript()

    def await_refusal(self, config):
        """Returns when the certificate of a kubeconfig has ended."""
        user = yaml.safe_load(pathlib.Path(config).read_text())["users"][0]["user"]
        pem = base64.b64decode(user["client-certificate-data"])
        end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
        time.sleep(max(0, end.timestamp() + 0.1 - time.time()))

    def test_changes_are_watched(self):
        WORLD.write("web.yaml", WEB)
        self.kubectl("apply -f web.yaml")
        self.await_rollout()
        line = "get deployment web --watch --no-headers"
        command, environment = WORLD.command(WORLD.admin, "--namespace", self.namespace, *shlex.split(line))
        # The time is for a watch that shows nothing: it ends, and the test fails.
        command.append(f"--request-timeout={PATIENCE}s")
        watch = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.wait, PATIENCE)
        self.addCleanup(watch.terminate)
        seen = [watch.stdout.readline()]
        self.kubectl("scale deployment web --replicas=3")
        while "3/3" not in seen[-1]:
            seen.append(watch.stdout.readline())
            self.assertTrue(seen[-1], seen)
        self.record(line, "".join([seen[0], seen[-1]]), "none: it goes on")
        self.kubectl("delete -f web.yaml --timeout=20s")
        self.matches_transcript()

    def test_finalizers_hold_up_a_deletion(self):
        held = CONFIG.replace("labels:", "finalizers: [example.org/held], labels:")
        WORLD.write("held.yaml", held)
        self.kubectl("apply -f held.yaml")
        self.kubectl("delete configmap settings --timeout=1s", code=1, shows="timed out waiting")
        self.kubectl("get configmap settings -o jsonpath='{.metadata.finalizers}'", shows="example.org/held")
        self.kubectl("patch configmap settings --type=merge -p '{\"metadata\":{\"finalizers\":null}}'")
        self.kubectl("get configmap settings", code=1, shows="NotFound")
        self.kubectl(f"delete namespace {self.namespace} --timeout=20s", everywhere=True)
        self.kubectl(f"get namespace {self.namespace}", code=1, shows="NotFound", everywhere=True)
        self.matches_transcript()


if __name__ == "__main__":
    unittest.main()
