"""Starts a real control plane: etcd, kube-apiserver, controllers, scheduler.

The programs come from KUBEBUILDER_ASSETS. `cargo xtask control-plane` builds
them. No node joins, so pods stay pending.
"""

import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time

from .transport import Server, tls

READY_WITHIN_S = 90
# User name, groups.
USERS = {"admin": "system:masters", "reader": "conformance-readers"}
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
STORAGE = [("exoscale-sbs", "Delete", "true"), ("exoscale-bs-retain", "Retain", "false")]
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def assets():
    """The folder of the programs; None where it is not set or not whole."""
    folder = os.environ.get("KUBEBUILDER_ASSETS", "")
    whole = folder and all((pathlib.Path(folder) / name).exists() for name in PROGRAMS)
    return pathlib.Path(folder) if whole else None


def free_ports(number):
    """Ports that are free now."""
    sockets = [socket.socket() for _ in range(number)]
    for held in sockets:
        held.bind(("127.0.0.1", 0))
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


class ControlPlane:
    """A real control plane on free ports. Its API server is `server`."""

    def __init__(self, folder):
        self.programs = folder
        self.temporary = tempfile.TemporaryDirectory(prefix="exokit-control-plane-")
        self.folder = pathlib.Path(self.temporary.name)
        self.processes = []
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        etcd, peer, self.port = free_ports(3)
        self.write_credentials()
        self.run_etcd(etcd, peer)
        self.run_api_server(etcd)
        users = {
            name: (tls(server_is_checked=False), {"Authorization": f"Bearer {name}-token"}) for name in USERS
        }
        self.server = Server("127.0.0.1", self.port, "kubernetes", users)
        self.await_ready()
        self.admin = self.kubeconfig("admin")
        self.add_storage()
        self.run_controllers()

    def write_credentials(self):
        subprocess.run(
            ["openssl", "genrsa", "-out", self.folder / "sa.key", "2048"], check=True, capture_output=True
        )
        rows = [f'{name}-token,{name},{name},"{group}"\n' for name, group in USERS.items()]
        (self.folder / "tokens.csv").write_text("".join(rows), "utf-8")

    def run(self, name, *options):
        log = open(self.folder / f"{name}.log", "wb")
        command = [self.programs / name, *options]
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder))
        log.close()

    def run_etcd(self, port, peer):
        clients, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
        self.run(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        )

    def run_api_server(self, etcd):
        self.run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            f"--cert-dir={self.folder / 'certs'}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--token-auth-file=tokens.csv",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=sa.key",
            "--service-account-signing-key-file=sa.key",
            "--endpoint-reconciler-type=none",
        )

    def run_controllers(self):
        # Stateful sets have no controller in the simulated cluster.
        self.run(
            "kube-controller-manager",
            f"--kubeconfig={self.admin}",
            "--service-account-private-key-file=sa.key",
            f"--root-ca-file={self.folder / 'certs' / 'apiserver.crt'}",
            "--leader-elect=false",
            "--use-service-account-credentials=false",
            "--controllers=*,-statefulset-controller",
            "--horizontal-pod-autoscaler-sync-period=2s",
            "--secure-port=0",
        )
        self.run("kube-scheduler", f"--kubeconfig={self.admin}", "--leader-elect=false", "--secure-port=0")

    def await_ready(self):
        end = time.monotonic() + READY_WITHIN_S
        while not self.is_ready():
            for process in self.processes:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args[0]} has stopped: {self.log(process)}")
            if time.monotonic() > end:
                raise RuntimeError(f"the API server is not ready after {READY_WITHIN_S} s")
            time.sleep(0.1)

    def is_ready(self):
        try:
            return self.server.send("admin", "GET", "/readyz").status == 200
        except OSError:
            return False

    def log(self, process):
        """The end of what a program has written."""
        path = self.folder / f"{pathlib.Path(process.args[0]).name}.log"
        return path.read_text("utf-8", "replace")[-2000:]

    def kubeconfig(self, user):
        """The path of a kubeconfig of a user."""
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(
            f"""
apiVersion: v1
kind: Config
clusters:
- name: real
  cluster: {{server: "https://127.0.0.1:{self.port}", insecure-skip-tls-verify: true}}
users: [{{name: {user}, user: {{token: {user}-token}}}}]
contexts: [{{name: real, context: {{cluster: real, user: {user}}}}}]
current-context: real
""",
            "utf-8",
        )
        return str(path)

    def add_storage(self):
        """The storage classes that a cluster of the cloud has from the start."""
        for name, policy, default in STORAGE:
            body = {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": name, "annotations": {DEFAULT_CLASS: default}},
                "provisioner": "csi.exoscale.com",
                "reclaimPolicy": policy,
                "allowVolumeExpansion": True,
            }
            headers = {"Content-Type": "application/json"}
            path = "/apis/storage.k8s.io/v1/storageclasses"
            reply = self.server.send("admin", "POST", path, headers, json.dumps(body))
            assert reply.status == 201, reply

    def stop(self):
        if hasattr(self, "server"):
            self.server.close()
        # The API server first, so that it does not wait for a store that has gone.
        for process in reversed(self.processes):
            process.kill()
            process.wait(timeout=20)
        self.temporary.cleanup()
