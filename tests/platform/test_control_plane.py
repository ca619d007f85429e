"""Environments on clusters with a real control plane: etcd, kube-apiserver,
kube-controller-manager and kube-scheduler behind `exokit sim`.

EXOKIT_BIN=exokit EXOKIT_KUBECTL=kubectl KUBEBUILDER_ASSETS=/opt/kubernetes/bin \\
    python3 test_control_plane.py
"""

import base64
import contextlib
import json
import os
import pathlib
import subprocess
import unittest

from exoscale.api import v2
from exoscale.api.v2 import Client

import agent

ASSETS = os.environ.get("KUBEBUILDER_ASSETS")
PROGRAMS = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
# A control plane starts within seconds; two cores may be busy.
agent.PATIENCE = 300
# With --speed max an operation is final at the request after the first reply.
v2._sleep = lambda start_time: None
KUBECTL = os.environ.get("EXOKIT_KUBECTL", "kubectl")
APPROVERS = ("alex", "kim")
# Exit code of a command that waits for approvals.
WAITS = 3
# What the actors outside the control plane work on.
OBJECTS = """
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 10Gi}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  containers: [{name: main, image: "nginx:1.29", volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}]}
"""


def running(folder):
    """The programs of control planes that work below a folder, by process."""
    found = {}
    for process in pathlib.Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (process / "cmdline").read_text("utf-8").split("\0")
            name = pathlib.Path(words[0]).name
            if name in PROGRAMS and any(str(folder) in word for word in words):
                found[int(process.name)] = name
    return found


def left(folder):
    """The folders of control planes that are still there."""
    return list(pathlib.Path(folder).glob("exokit-control-planes-*"))


class Refusals(unittest.TestCase):
    """What is missing is said before anything is served."""

    def refusal(self, *options, **variables):
        with agent.folder() as folder:
            ended = agent.Place(folder, {}).run(
                "sim", "--control-plane", "real", *options, **variables
            )
        self.assertNotEqual(ended.returncode, 0, ended)
        self.assertEqual(ended.stdout, "")
        return ended.stderr

    def test_the_folder_of_the_programs_is_needed(self):
        said = self.refusal(KUBEBUILDER_ASSETS="")
        self.assertIn("KUBEBUILDER_ASSETS", said)
        self.assertIn("hint: build the programs with `cargo xtask control-plane`", said)

    def test_a_state_file_cannot_keep_it(self):
        with agent.folder() as folder:
            state = str(folder / "cloud.json")
            said = self.refusal("--state", state, KUBEBUILDER_ASSETS=str(folder))
        self.assertIn("--state", said)
        self.assertFalse(pathlib.Path(state).exists())

    def test_each_program_is_needed(self):
        with agent.folder() as folder:
            said = self.refusal(KUBEBUILDER_ASSETS=str(folder))
        self.assertIn("has no program etcd", said)
        self.assertIn("cargo xtask control-plane", said)


@unittest.skipUnless(ASSETS, "KUBEBUILDER_ASSETS names no folder with the programs")
class Real(unittest.TestCase):
    """A simulated cloud with real control planes, and a state directory for it."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.folder = stack.enter_context(agent.folder())
        variables = {"KUBEBUILDER_ASSETS": ASSETS, "TMPDIR": str(self.folder)}
        self.cloud = agent.Cloud(self.folder, "--control-plane", "real", **variables)
        stack.callback(self.cloud.stop)
        roster = agent.with_roster(self.folder / "roster")
        self.place = roster.copy(self.folder / "state", self.cloud.variables())


class Lives(Real):
    """Each environment has its whole life."""

    def approve(self, name, level):
        for person in APPROVERS[: level - 1]:
            self.place.text("approve", name, "--yes", person=person)

    def life(self, template):
        name = template.lower()
        level = self.place.json("plan", template)["level"]
        self.place.text("up", template, "--name", name, code=0 if level == 1 else WAITS)
        self.approve(name, level)
        self.place.text("watch", name, "--once")
        self.assertEqual(self.place.json("show", name)["phase"], "ready")
        self.assertEqual(sorted(running(self.folder).values()), sorted(PROGRAMS))
        verified = self.place.json("verify", name)
        failed = [check for check in verified["checks"] if not check["passed"]]
        self.assertEqual(failed, [])
        self.assertTrue(verified["checks"])
        drift = self.place.json("drift", name)
        self.assertEqual(drift["differences"], [])
        asked = self.place.json("down", name, code=WAITS)
        self.approve(name, asked["level"])
        gone = self.place.text("down", "--plan", asked["plan_id"], "-o", "json")
        self.assertIs(json.loads(gone)["certificate"]["clean"], True, gone)
        self.assertEqual(self.place.json("orphans"), [])
        self.assertEqual(running(self.folder), {})

    def test_t1(self):
        self.life("T1")

    def test_t3(self):
        self.life("T3")

    def test_t5(self):
        self.life("T5")

    def test_t7(self):
        self.life("T7")


class Actors(Real):
    """Kubelets, cloud controller and CSI driver, as kubectl and the official
    client of the cloud see them."""

    def setUp(self):
        super().setUp()
        at = self.cloud.said
        self.api = Client(at["api_key"], at["api_secret"], url=at["endpoint"])
        version = self.api.list_sks_cluster_versions()["sks-cluster-versions"][0]
        made = self.api.create_sks_cluster(name="bare", level="starter", version=version)
        self.cluster = self.done(made)
        types = self.api.list_instance_types()["instance-types"]
        size = next(t for t in types if (t["family"], t["size"]) == ("standard", "medium"))
        pool = {"name": "pool", "size": 2, "disk_size": 20, "instance_type": {"id": size["id"]}}
        self.pool = self.done(self.api.create_sks_nodepool(id=self.cluster, **pool))
        user = {"user": "admin", "groups": ["system:masters"]}
        reply = self.api.generate_sks_cluster_kubeconfig(id=self.cluster, **user)
        self.kubeconfig = self.folder / "kubeconfig"
        self.kubeconfig.write_bytes(base64.b64decode(reply["kubeconfig"]))

    def done(self, operation):
        """Waits for an operation and returns the id that it refers to."""
        final = self.api.wait(operation["id"])
        self.assertEqual(final["state"], "success", final)
        return final["reference"]["id"]

    def kubectl(self, *arguments):
        command = [KUBECTL, "--kubeconfig", str(self.kubeconfig), *arguments]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}
        limits = {"timeout": agent.PATIENCE, "check": False}
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, **limits)
        self.assertEqual(ran.returncode, 0, (arguments, ran.stdout, ran.stderr))
        return ran.stdout

    def objects(self, *arguments):
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def ready_nodes(self):
        """The ready nodes that pods may be scheduled to."""
        return {
            node["metadata"]["name"]
            for node in self.objects("nodes")["items"]
            if not node["spec"].get("taints")
            and {"Ready": "True"}.items()
            <= {each["type"]: each["status"] for each in node["status"]["conditions"]}.items()
        }

    def volumes(self):
        return self.api.list_block_storage_volumes()["block-storage-volumes"]

    def balancers(self):
        return self.api.list_load_balancers()["load-balancers"]

    def test_pods_volumes_and_load_balancers_come_and_go(self):
        agent.until("two nodes", lambda: len(self.ready_nodes()) == 2)
        path = self.folder / "objects.yaml"
        path.write_text(OBJECTS, "utf-8")
        self.kubectl("apply", "-f", str(path))
        self.kubectl("wait", "--for=condition=Ready", "pod/web", f"--timeout={agent.PATIENCE}s")
        self.assertEqual(self.objects("pvc", "data")["status"]["phase"], "Bound")
        (volume,) = self.volumes()
        machine = self.api.get_instance(id=volume["instance"]["id"])["name"]
        self.assertEqual(machine, self.objects("pod", "web")["spec"]["nodeName"])
        address = agent.until(
            "the address", lambda: self.objects("svc", "web")["status"]["loadBalancer"].get("ingress")
        )
        (balancer,) = self.balancers()
        self.assertEqual(address[0]["ip"], balancer["ip"])
        self.kubectl("delete", "-f", str(path))
        agent.until("the end of the volume", lambda: not self.volumes())
        agent.until("the end of the load balancer", lambda: not self.balancers())
        self.assertEqual(self.objects("pv")["items"], [])
        self.assertEqual(self.objects("volumeattachments")["items"], [])

    def test_nodes_leave_with_their_machines_and_renew_their_leases(self):
        nodes = agent.until("two nodes", lambda: len(self.ready_nodes()) == 2 and self.ready_nodes())
        self.done(self.api.scale_sks_nodepool(id=self.cluster, sks_nodepool_id=self.pool, size=1))
        (left_over,) = agent.until("one node", lambda: len(self.ready_nodes()) == 1 and self.ready_nodes())
        self.assertIn(left_over, nodes)
        self.assertEqual(len(self.objects("csinodes")["items"]), 1)

        def renewed():
            lease = self.objects("lease", left_over, "--namespace", "kube-node-lease")
            return lease["spec"]["renewTime"]

        first = renewed()
        agent.until("a renewal", lambda: renewed() != first)


class Ends(Real):
    """Processes and folders go with the simulated cloud, however it ends."""

    def setUp(self):
        super().setUp()
        self.place.text("up", "T1", "--name", "one")
        self.assertEqual(sorted(running(self.folder).values()), sorted(PROGRAMS))
        self.assertEqual(len(left(self.folder)), 1)

    def test_nothing_is_left_when_it_is_stopped(self):
        self.assertEqual(self.cloud.stop(), 0)
        self.assertEqual((running(self.folder), left(self.folder)), ({}, []))

    def test_nothing_is_left_when_it_is_killed(self):
        self.cloud.process.kill()
        self.cloud.process.wait()
        agent.until("the end of all processes", lambda: not running(self.folder))
        agent.until("the removal of the folder", lambda: not left(self.folder))


if __name__ == "__main__":
    unittest.main()
