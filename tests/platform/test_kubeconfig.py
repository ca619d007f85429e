"""Access for people: kubeconfigs that Debian's kubectl takes, and secrets, got
by oneself and through the agent.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server EXOKIT_KUBECTL=kubectl python3 test_kubeconfig.py
"""

import contextlib
import json
import os
import pathlib
import subprocess
import threading
import unittest

import yaml

import agent
import nats_server

KUBECTL = os.environ.get("EXOKIT_KUBECTL", "kubectl")
SHARED = contextlib.ExitStack()
OTHER = """
apiVersion: v1
kind: Config
current-context: other
clusters: [{name: other, cluster: {server: "https://other.example"}}]
contexts: [{name: other, context: {cluster: other, user: other}}]
users: [{name: other, user: {token: kept}}]
"""


def setUpModule():
    """An environment T1 and an environment T3 that is in production."""
    global FOLDER, CLOUD, PLACE, TOKENS
    unittest.addModuleCleanup(SHARED.close)
    FOLDER = SHARED.enter_context(agent.folder())
    CLOUD = SHARED.enter_context(agent.Cloud(FOLDER))
    roster = agent.with_roster(FOLDER / "roster")
    PLACE = roster.copy(FOLDER / "state", CLOUD.variables())
    TOKENS = {scope: PLACE.bearer("dana", scope)["token"] for scope in agent.SCOPES}
    PLACE.text("up", "T1", "--name", "first")
    PLACE.text("up", "T3", "--name", "store", "--class", "production", code=3)
    PLACE.text("approve", "store", "--as", "alex", "--yes")
    PLACE.text("watch", "store", "--once")


def kubectl(kubeconfig, *arguments, code=0, **variables):
    """Runs kubectl with a kubeconfig; gives what it printed."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(FOLDER), **variables}
    command = [KUBECTL, "--kubeconfig", str(kubeconfig), *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=agent.PATIENCE)
    printed = ran.stdout + ran.stderr
    assert ran.returncode == code, (arguments, ran.returncode, printed)
    return printed


class Kubeconfig(unittest.TestCase):
    def get(self, *arguments, place=None, **more):
        """Gets a kubeconfig into a file of its own."""
        path = FOLDER / f"{self.id().rpartition('.')[2]}-{'-'.join(arguments)}.yaml".replace("/", "-")
        path.write_text((place or PLACE).text("kubeconfig", *arguments, **more), "utf-8")
        return path

    def test_a_viewer_sees_pods_and_no_secrets(self):
        path = self.get("first")
        self.assertIn("Running", kubectl(path, "get", "pods"))
        self.assertIn("forbidden", kubectl(path, "get", "secrets", code=1))
        self.assertIn("forbidden", kubectl(path, "get", "pods", "--all-namespaces", code=1))
        self.assertIn("forbidden", kubectl(path, "delete", "deployment", "stargate", code=1))

    def test_an_editor_changes_its_namespace_alone(self):
        path = self.get("first", "--role", "editor", "--ttl", "2m")
        self.assertIn("labeled", kubectl(path, "label", "deployment", "stargate", "seen=yes"))
        self.assertIn("labeled", kubectl(path, "label", "deployment", "stargate", "seen-"))
        self.assertIn("forbidden", kubectl(path, "get", "nodes", code=1))
        self.assertIn("forbidden", kubectl(path, "get", "secrets", "-n", "kube-system", code=1))

    def test_an_administrator_takes_an_approval(self):
        refused = PLACE.refusal("kubeconfig", "first", "--role", "admin", code=3)
        self.assertEqual(refused["code"], "approval-needed")
        got = {}
        waiter = threading.Thread(
            target=lambda: got.update(path=self.get("first", "--role", "admin", "--wait"))
        )
        waiter.start()
        agent.until("the request", lambda: "approve" in PLACE.text("show", "first"))
        self.assertIn("dana", PLACE.run("approve", "first", "--as", "dana", "--yes").stderr)
        PLACE.text("approve", "first", "--as", "alex", "--yes")
        waiter.join(agent.PATIENCE)
        self.assertIn("yes", kubectl(got["path"], "auth", "can-i", "*", "*", "--all-namespaces"))
        self.assertIn("admin", PLACE.text("history", "first"))

    def test_it_is_merged_and_asks_for_credentials(self):
        path = FOLDER / "merged.yaml"
        path.write_text(OTHER, "utf-8")
        PLACE.text("kubeconfig", "first", "--merge", "--exec", "--file", str(path))
        merged = yaml.safe_load(path.read_text("utf-8"))
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(merged["current-context"], "exokit-first")
        self.assertEqual([each["user"] for each in merged["users"] if each["name"] == "other"], [{"token": "kept"}])
        self.assertNotIn("PRIVATE", path.read_text("utf-8"))
        self.assertNotIn("client-key-data", path.read_text("utf-8"))
        before = PLACE.text("history", "first").count("kubeconfig")
        self.assertIn("Running", kubectl(path, "get", "pods", **PLACE.variables()))
        self.assertIn("other.example", kubectl(path, "config", "view", "--context", "other"))
        self.assertGreater(PLACE.text("history", "first").count("kubeconfig"), before)

    def test_a_life_that_is_too_short_or_too_long_is_refused(self):
        for ttl in ("59s", "25h"):
            refused = PLACE.refusal("kubeconfig", "first", "--ttl", ttl, code=2)
            self.assertEqual(refused["code"], "kubeconfig-life", refused)

    def test_in_production_secrets_take_an_approval(self):
        for arguments in (["secrets", "store"], ["kubeconfig", "store", "--role", "editor"]):
            self.assertEqual(PLACE.refusal(*arguments, code=3)["code"], "approval-needed")
        self.assertIn("Running", kubectl(self.get("store"), "get", "pods"))


class ThroughAgent(unittest.TestCase):
    """An agent that has the state; the user has only its address."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        folder = stack.enter_context(agent.folder())
        (folder / "nats").mkdir()
        self.nats = stack.enter_context(nats_server.Server(nats_server.Place(folder / "nats")))
        self.running = stack.enter_context(agent.Agent(PLACE, self.nats))
        (folder / "user").mkdir()
        self.user = agent.Place(folder / "user", {})

    def over_http(self, scope):
        return {"EXOKIT_AGENT": self.running.url, "EXOKIT_AGENT_TOKEN": TOKENS[scope]}

    def over_nats(self):
        return {
            "EXOKIT_AGENT": self.nats.url().replace("tls://", "tls://requester@"),
            "EXOKIT_NATS_PASSWORD": self.nats.place.passwords["requester"],
            "EXOKIT_NATS_CA": self.nats.place.ca,
        }

    def test_a_scope_of_its_own_is_needed(self):
        for scope in ("read", "request", "admin"):
            refused = self.user.refusal("kubeconfig", "first", **self.over_http(scope))
            self.assertEqual(refused["code"], "scope", refused)
        path = FOLDER / "through-agent.yaml"
        path.write_text(self.user.text("kubeconfig", "first", **self.over_http("access")), "utf-8")
        self.assertIn("Running", kubectl(path, "get", "pods"))

    def test_over_nats_nothing_proves_who_asks(self):
        for arguments in (["kubeconfig", "first"], ["secrets", "first"]):
            refused = self.user.refusal(*arguments, code=3, **self.over_nats())
            self.assertEqual(refused["code"], "approval-needed", refused)

    def test_what_goes_over_the_wire_is_sealed(self):
        """A reply on HTTP holds no certificate and no key that can be read."""
        client = self.running.http(TOKENS["access"])
        recipient = "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"
        body = {"schema_version": 1, "ttl_seconds": 60, "recipient": recipient}
        answer = client.ask("POST", "/api/v1/environments/first/kubeconfig", body)
        client.close()
        self.assertEqual(answer.status, 200, answer.body)
        text = json.dumps(answer.json())
        for clear in ("CERTIFICATE", "PRIVATE", "LS0tLS1", "exo-stargate-test"):
            self.assertNotIn(clear, text)
        self.assertEqual(answer.json()["result"]["environment"], "first")


class Demo(unittest.TestCase):
    def test_the_story_ends_with_a_kubeconfig_that_kubectl_accepts(self):
        path = os.pathsep.join([str(pathlib.Path(KUBECTL).parent.absolute()), "/usr/bin", "/bin"])
        told = agent.Place(FOLDER / "none", {}).text("demo", PATH=path)
        look = told[told.index("$ kubectl get deployments,pods") :]
        look = look[: look.index("GET http://")]
        self.assertRegex(look, r"deployment.apps/stargate-store +2/2")
        self.assertRegex(look, r"\$ kubectl auth can-i get secrets\nno\n")
        self.assertRegex(told, r"200 OK\nHello, world!\nVersion: 1.0.0\nHostname: stargate-store-")
        self.assertIn("Certificate of teardown: CLEAN", told)


if __name__ == "__main__":
    unittest.main()
