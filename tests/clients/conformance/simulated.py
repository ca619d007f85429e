"""Starts the simulated cloud with one cluster that has no nodes."""

import base64
import json
import os
import pathlib
import shlex
import subprocess
import tempfile
from urllib.parse import urlsplit

import yaml
from exoscale.api import v2
from exoscale.api.v2 import Client

from .control_plane import USERS
from .transport import Server, tls

COMMAND = shlex.split(os.environ.get("EXOKIT_BIN", "exokit"))
VERSION = "1.35.1"


class Simulated:
    """A simulated cluster. Its API server is `server`."""

    def __init__(self):
        # With --speed max an operation is final at the request after the first reply.
        v2._sleep = lambda start_time: None
        self.process = subprocess.Popen(
            [*COMMAND, "sim", "--speed", "max", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
        )
        self.temporary = tempfile.TemporaryDirectory(prefix="exokit-simulated-")
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self):
        at = json.loads(self.process.stdout.readline())
        self.api = Client(at["api_key"], at["api_secret"], url=at["endpoint"])
        made = self.api.create_sks_cluster(name="conformance", level="starter", version=VERSION)
        self.cluster = self.api.wait(made["id"])["reference"]["id"]
        configs = {name: self.kubeconfig(name, group) for name, group in USERS.items()}
        address = urlsplit(configs["admin"]["clusters"][0]["cluster"]["server"])
        name = configs["admin"]["clusters"][0]["cluster"].get("tls-server-name", address.hostname)
        users = {user: (self.credentials(user, config), {}) for user, config in configs.items()}
        self.server = Server(address.hostname, address.port, name, users)

    def kubeconfig(self, user, group):
        make = self.api.generate_sks_cluster_kubeconfig
        reply = make(id=self.cluster, user=user, groups=[group], ttl=3600)
        return yaml.safe_load(base64.b64decode(reply["kubeconfig"]))

    def credentials(self, user, config):
        """A TLS context with the certificate of a kubeconfig."""
        parts = {
            "authority": config["clusters"][0]["cluster"]["certificate-authority-data"],
            "certificate": config["users"][0]["user"]["client-certificate-data"],
            "key": config["users"][0]["user"]["client-key-data"],
        }
        paths = {}
        for name, data in parts.items():
            paths[name] = pathlib.Path(self.temporary.name) / f"{user}-{name}.pem"
            paths[name].write_bytes(base64.b64decode(data))
        return tls(paths["authority"], (paths["certificate"], paths["key"]))

    def stop(self):
        if hasattr(self, "server"):
            self.server.close()
        self.process.terminate()
        self.process.wait(timeout=10)
        self.process.stdout.close()
        self.temporary.cleanup()
