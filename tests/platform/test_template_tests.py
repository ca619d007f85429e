"""`exokit test` through an agent, over HTTP and over NATS: the same tests, and
the same proof that nothing is left.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_template_tests.py
"""

import contextlib
import pathlib
import re
import unittest

import yaml

import agent
import nats_server

STAGES = ["plan", "approve", "provision", "verify", "drift", "teardown", "certificate", "orphans"]


class ThroughAgent(unittest.TestCase):
    """An agent that has ledger, credentials and keyring. The user has its
    address, the root's public key, and the keys of two approvers."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.folder = stack.enter_context(agent.folder())
        for name in ("nats", "state", "user"):
            (self.folder / name).mkdir()
        self.place = agent.with_roster(self.folder / "state")
        self.nats = stack.enter_context(nats_server.Server(nats_server.Place(self.folder / "nats")))
        token = self.place.bearer("dana", "read", "request", "approve-forward")
        self.running = stack.enter_context(agent.Agent(self.place, self.nats))
        self.ways = {
            "http": {"EXOKIT_AGENT": self.running.url, "EXOKIT_AGENT_TOKEN": token["token"]},
            "nats": {
                "EXOKIT_AGENT": self.nats.url().replace("tls://", "tls://requester@"),
                "EXOKIT_NATS_PASSWORD": self.nats.place.passwords["requester"],
                "EXOKIT_NATS_CA": self.nats.place.ca,
            },
        }
        self.user = agent.Place(self.folder / "user", {})

    def run_tests(self, way, *arguments, code=0):
        """Runs `exokit test` over one of the two transports."""
        keys = [
            f"--approver={person}={self.place.folder}/keys/{person}.pem" for person in ("alex", "kim")
        ]
        runs = self.folder / f"runs-{way}"
        report = self.folder / f"checkpoint-{way}.md"
        arguments = [*arguments, *keys, "--root", str(self.place.folder / "root.key")]
        arguments += ["--runs", str(runs), "--report", str(report)]
        return self.user.text("test", *arguments, code=code, **self.ways[way]), runs, report

    def assert_passed(self, way, *templates):
        said, runs, report = self.run_tests(way, *templates, "--parallel", "4")
        count = 7 if templates == ("--all",) else len(templates)
        self.assertIn(f"{count} of {count} tests passed.", said)
        files = sorted(runs.glob("T*.yaml"))
        self.assertEqual(len(files), count)
        for file in files:
            run = yaml.safe_load(file.read_text("utf-8"))
            self.assertEqual([(each["stage"], each["passed"]) for each in run["stages"]], [(stage, True) for stage in STAGES])
            self.assertEqual((run["verification"]["failed"], run["orphans"]), (0, []))
            self.assertTrue(run["certificate"]["clean"])
            self.assertTrue(run["cloud"].startswith("agent "), run["cloud"])
        self.assertEqual(report.read_text("utf-8").count("✅ PASS"), count)
        self.assertEqual([path.name for path in runs.iterdir() if path.name.startswith(".unf")], [])

    def test_all_templates_over_http(self):
        self.assert_passed("http", "--all")
        phases = {each["phase"] for each in self.place.json("list", "--all", **self.ways["http"])}
        self.assertEqual(phases, {"gone"})

    def test_all_templates_over_nats(self):
        self.assert_passed("nats", "--all")

    def test_without_keys_nothing_is_made(self):
        refused = self.user.refusal(
            "test", "T1", "--root", str(self.place.folder / "root.key"), code=2, **self.ways["http"]
        )
        self.assertIn("two people of two roles", refused["why"])
        self.assertEqual(self.place.json("list", "--all", **self.ways["http"]), [])


if __name__ == "__main__":
    unittest.main()
