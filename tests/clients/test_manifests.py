"""Every Kubernetes object that exokit makes, through kubectl's dry run on a real API server.

    EXOKIT_BIN=exokit KUBEBUILDER_ASSETS=FOLDER python3 test_manifests.py

The bodies are those of the plans of all templates, plain and with a domain, an
issuer of certificates and a registry login. They must pass strict validation
and admission without a warning. The simulated API server must answer the same
applies with the same objects.
"""

import copy
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile
import unittest

from conformance.control_plane import ControlPlane, assets
from conformance.normalise import Names, differences, normal
from conformance.simulated import Simulated

COMMAND = shlex.split(os.environ.get("EXOKIT_BIN", "exokit"))
REAL = assets()
LOGIN = {"auths": {"registry.example.org": {"auth": "ZGFuYTpodW50ZXIy"}}}
TEMPLATES = [f"T{number}" for number in range(1, 8)]
INGRESS = ["--domain", "web.example.org"]
VARIANTS = {
    "plain": [],
    "login": ["--registry-login", "corp"],
    "domain": INGRESS,
    "mail": [*INGRESS, "--cert-email", "people@example.org"],
    "issuer": [*INGRESS, "--cert-issuer", "letsencrypt"],
    "replicas": ["--replicas", "4"],
}
# The template without an ingress takes no domain.
WITHOUT_INGRESS = "T1"
PATIENCE = 60
# The one warning. Traefik ignores `ingressClassName` where it may not read the
# classes of the cluster, so the annotation is the only way.
WARNING = (
    'Warning: annotation "kubernetes.io/ingress.class" is deprecated, '
    "please use 'spec.ingressClassName' instead\n"
)


def plan(state, template, options):
    """The plan of a template."""
    name, path = f"{template.lower()}-of-a-test", pathlib.Path(state) / "plan.json"
    arguments = ["plan", template, "--name", name, *options, "--out", path, "--state", state, "--cloud", "sim"]
    ran = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    if ran.returncode:
        raise AssertionError(f"could not plan {template} with {options}: {ran.stderr}")
    return json.loads(path.read_text("utf-8"))


def applies(plan):
    """(path, body) of each object of a plan in a cluster, in its order."""
    creates = [node["create"] for node in plan["graph"] if node.get("create")]
    found = [create for create in creates if create["api"] == "kubernetes"]
    return [(create["path"].removeprefix("/{cluster}"), filled(create["body"])) for create in found]


def filled(body):
    """A body with something where a secret will stand."""
    body = copy.deepcopy(body)
    if body.get("kind") == "Secret":
        is_login = body.get("type") == "kubernetes.io/dockerconfigjson"
        value = "e30=" if is_login else "c2VjcmV0"
        body["data"] = {key: value if inner is None else inner for key, inner in body.get("data", {}).items()}
    return body


def variants():
    """(template, variant) of every plan."""
    for template in TEMPLATES:
        for variant, options in VARIANTS.items():
            if template != WITHOUT_INGRESS or "--domain" not in options:
                yield template, variant


needs_control_plane = unittest.skipUnless(
    REAL, "KUBEBUILDER_ASSETS names no control plane (`cargo xtask control-plane`)"
)


class Manifests(unittest.TestCase):
    """Every object of every plan."""

    @classmethod
    def setUpClass(cls):
        if REAL:
            cls.real = ControlPlane(REAL)
            cls.addClassCleanup(cls.real.stop)
        cls.simulated = Simulated()
        cls.addClassCleanup(cls.simulated.stop)
        cls.state = tempfile.mkdtemp(prefix="exokit-manifests-")
        cls.addClassCleanup(shutil.rmtree, cls.state)
        logins = pathlib.Path(cls.state) / "registry-logins"
        logins.mkdir()
        (logins / "corp.json").write_text(json.dumps(LOGIN), "utf-8")
        cls.plans = {
            (template, variant): applies(plan(cls.state, template, VARIANTS[variant]))
            for template, variant in variants()
        }

    def kubectl(self, objects, *options):
        """Applies objects with kubectl; gives what it printed to both outputs."""
        command = [REAL / "kubectl", "--kubeconfig", self.real.admin, "apply", "--server-side", "-f", "-", *options]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.state}
        return subprocess.run(command, input=text, env=environment, capture_output=True, text=True, timeout=PATIENCE)

    def test_the_simulated_server_takes_every_object(self):
        for found in self.plans.values():
            names = Names("")
            for number, (path, body) in enumerate(found):
                reply = self.applied(self.simulated.server, names, number, path, body)
                self.assertIn(reply["status"], (200, 201), reply)

    @needs_control_plane
    def test_every_object_passes_strict_validation_without_a_warning(self):
        passed = 0
        for (template, variant), found in self.plans.items():
            with self.subTest(template=template, variant=variant):
                namespace, *objects = [body for _, body in found]
                self.assertEqual(namespace["kind"], "Namespace")
                # In a namespace that is not there even a dry run is refused.
                self.assertEqual(self.kubectl([namespace], "--force-conflicts").stderr, "")
                ran = self.kubectl(objects, "--dry-run=server", "--validate=strict")
                kinds = {body["kind"] for body in objects}
                self.assertEqual((ran.returncode, ran.stderr), (0, WARNING if "Ingress" in kinds else ""))
                self.assertEqual(len(ran.stdout.splitlines()), len(objects))
                passed += len(objects)
        self.assertGreater(passed, 500)

    @needs_control_plane
    def test_both_servers_answer_every_apply_with_the_same_object(self):
        for (template, variant), found in self.plans.items():
            requested = json.dumps(found)
            answers = []
            for server in (self.real.server, self.simulated.server):
                names = Names(requested)
                answers.append([self.applied(server, names, number, *each) for number, each in enumerate(found)])
            for (path, _), *pair in zip(found, *answers):
                with self.subTest(template=template, variant=variant, path=path):
                    self.assertEqual(list(differences(*pair)), [])

    def applied(self, server, names, number, path, body):
        """The reply to an apply: the namespace is made, the others are dry runs."""
        path = path if number == 0 else f"{path}&dryRun=All"
        headers = {"Content-Type": "application/apply-patch+yaml"}
        reply = server.send("admin", "PATCH", f"{path}&force=true", headers, json.dumps(body))
        return normal(reply, names)



if __name__ == "__main__":
    unittest.main()
