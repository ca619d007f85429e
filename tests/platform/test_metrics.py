"""What the agent counts: judged by promtool, and compared with what was done.

pip install -r ../requirements.txt
EXOKIT_BIN=target/release/exokit python3 test_metrics.py
"""

import json
import os
import re
import unittest

import agent
import promtool

SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# The eight of the contract, with their labels.
CONTRACT = {
    "infra_provision_requests_total": {"template", "outcome"},
    "infra_provision_duration_seconds": {"template", "outcome"},
    "infra_teardown_requests_total": {"outcome"},
    "infra_teardown_duration_seconds": set(),
    "infra_approvals_total": {"level", "decision"},
    "infra_approval_queue_depth": {"level"},
    "infra_registry_clusters": {"template", "phase", "cost_band"},
    "infra_errors_total": {"kind"},
}
MANY = 200


def samples(text):
    """Every sample as (name, labels) with its value."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            found[name, frozenset(LABEL.findall(labels or ""))] = float(value)
    return found


class Refusing(agent.Cloud):
    """A cloud that lets nobody make a security group."""

    def __init__(self, folder):
        orders = folder / "faults.json"
        rule = {"match": {"operation": "create-security-group"}, "fault": {"kind": "status", "status": 403}}
        orders.write_text(json.dumps([rule]), "utf-8")
        arguments = ["sim", "--speed", "max", "--faults", str(orders)]
        path = {"PATH": os.environ.get("PATH", "")}
        agent.Process.__init__(self, arguments, path, folder / "sim.log")


class Agent(unittest.TestCase):
    """One of its own for each class: who asks for much needs more approval."""

    @classmethod
    def prepare(cls, _stack, folder):
        """Its state directory, with voters and a cloud of its own."""
        return agent.with_roster(folder / "state")

    @classmethod
    def setUpClass(cls):
        stack = agent.contextlib.ExitStack()
        cls.addClassCleanup(stack.close)
        place = cls.prepare(stack, stack.enter_context(agent.folder()))
        scopes = ("read", "request", "approve-forward", "admin")
        token = place.bearer("dana", *scopes)["token"]
        cls.place = place
        cls.agent = stack.enter_context(agent.Agent(place, None, "--rate", "100000"))
        cls.http = cls.agent.http(token)
        stack.callback(cls.http.close)

    def ask(self, path, **body):
        answer = self.http.ask("POST", f"/api/v1/{path}", {"schema_version": 1, **body})
        return answer.json()

    def provision(self, template, name, **more):
        wanted = {"template": template, "name": name, **more}
        return self.ask("provision", ask=wanted)["result"]

    def vote(self, operation, person, word="approve"):
        words = [word, operation["plan_id"], "--yes", "--print-token"]
        token = self.place.text(*words, person=person).strip()
        return self.ask(word, approval_token=token)["result"]

    def phase(self, name, phase):
        def reached():
            found = self.http.ask("GET", f"/api/v1/environments/{name}").json()["result"]
            return found["phase"] == phase

        agent.until(f"{name} is {phase}", reached)

    def read(self, **headers):
        def asked():
            answer = self.http.ask("GET", "/metrics", **headers)
            # These tests look as often as they like.
            return answer.status != 429 and answer

        answer = agent.until("the metrics", asked)
        self.assertEqual(answer.status, 200)
        return answer.headers["content-type"], answer.body.decode()

    def value(self, name, **labels):
        found = samples(self.read()[1])
        return found.get((name, frozenset((key, str(value)) for key, value in labels.items())))

    def sum(self, name, **labels):
        wanted = {(key, str(value)) for key, value in labels.items()}
        found = samples(self.read()[1]).items()
        return sum(value for (own, has), value in found if own == name and wanted <= has)


class Counted(Agent):
    def test_what_was_done_is_what_is_counted(self):
        self.provision("T1", "one")
        self.phase("one", "ready")
        store = self.provision("T3", "store")
        self.assertEqual(self.value("infra_approval_queue_depth", level=2), 1)
        self.vote(store, "alex")
        self.phase("store", "ready")
        denied = self.provision("T3", "denied")
        self.vote(denied, "kim", "deny")
        removal = self.ask("teardown", remove={"environment": "one"})["result"]
        self.vote(removal, "alex")
        self.phase("one", "gone")
        unknown = self.ask("teardown", remove={"environment": "nowhere"})
        self.assertEqual(unknown["error"]["code"], "no-environment")

        done = {"outcome": "succeeded"}
        one_each = [
            ("infra_provision_requests_total", {"template": "T1", **done}),
            ("infra_provision_requests_total", {"template": "T3", **done}),
            ("infra_provision_duration_seconds_count", {"template": "T3", **done}),
            ("infra_provision_requests_total", {"template": "T3", "outcome": "rejected"}),
            ("infra_teardown_requests_total", done),
            ("infra_teardown_duration_seconds_count", {}),
            ("infra_approvals_total", {"level": 2, "decision": "deny"}),
            ("infra_errors_total", {"kind": "no-environment"}),
        ]
        for name, labels in one_each:
            agent.until(f"{name} {labels}", lambda n=name, l=labels: self.value(n, **l) == 1)
        agent.until("both approvals", lambda: self.value("infra_approvals_total", level=2, decision="approve") == 2)
        self.assertEqual(self.value("infra_approval_queue_depth", level=2), 0)
        self.assertEqual(self.sum("infra_registry_clusters", template="T3", phase="ready"), 1)

        hourly = self.value("infra_environment_hourly_cost", environment="store", currency="CHF")
        self.assertAlmostEqual(hourly, 0.226667)
        spent = lambda: self.value("infra_environment_spent", environment="store", currency="CHF")
        first = spent()
        self.assertGreater(first, 0)
        agent.until("more was spent", lambda: spent() > first)
        self.assertIsNone(self.value("infra_environment_spent", environment="denied", currency="CHF"))

        calls = self.sum("infra_cloud_calls_total", result="done")
        creates = self.sum("infra_cloud_calls_total", operation="create-sks-cluster", result="done")
        self.assertEqual(creates, 2)
        self.assertGreater(calls, 30)
        commits = self.value("infra_ledger_commit_seconds_count")
        self.assertGreater(commits, 20)
        self.assertLessEqual(commits, self.value("infra_ledger_records"))
        self.assertGreater(self.value("infra_ledger_commit_seconds_sum"), 0)
        self.assertEqual(self.value("infra_in_doubt_steps"), 0)

        kind, text = self.read()
        self.assertTrue(kind.startswith("text/plain; version=0.0.4"), kind)
        self.assertEqual(promtool.check(text), (0, ""))
        found = samples(text)
        for name, labels in CONTRACT.items():
            of_it = {own.removesuffix("_count"): has for own, has in found}
            self.assertIn(name, of_it)
            self.assertEqual({key for key, _ in of_it[name]}, labels, name)

        # There is one format, which every scraper accepts.
        kind, text = self.read(Accept="application/openmetrics-text; version=1.0.0, text/plain; q=0.5")
        self.assertTrue(kind.startswith("text/plain"), kind)
        self.assertEqual(promtool.check(text), (0, ""))


class Parked(Agent):
    @classmethod
    def prepare(cls, stack, folder):
        return agent.Place(folder / "state", stack.enter_context(Refusing(folder)).variables())

    def test_what_waits_for_a_human_is_counted_each_time(self):
        self.assertIsNone(self.value("infra_errors_total", kind="parked"))
        self.provision("T1", "stuck")
        self.phase("stuck", "needs-human")
        agent.until("the first", lambda: self.value("infra_errors_total", kind="parked") == 1)
        self.assertEqual(self.sum("infra_provision_requests_total"), 0, "it has not ended")
        self.assertEqual(self.value("infra_blind_rounds_total"), 0)
        # Nothing has changed in the cloud.
        self.ask("environments/stuck/resume")
        agent.until("the second", lambda: self.value("infra_errors_total", kind="parked") == 2)
        self.ask("environments/stuck/resume", rollback=True)
        self.phase("stuck", "rolled-back")
        ended = {"template": "T1", "outcome": "rolled-back"}
        agent.until("its end", lambda: self.value("infra_provision_requests_total", **ended) == 1)
        self.assertEqual(self.value("infra_errors_total", kind="parked"), 2)
        code, said = promtool.check(self.read()[1])
        self.assertEqual((code, said), (0, ""))


class Judge(unittest.TestCase):
    def test_promtool_finds_what_is_wrong(self):
        code, said = promtool.check("# TYPE a_total gauge\na_total 1\n")
        self.assertNotEqual(code, 0)
        self.assertIn("a_total", said)


class Bounded(Agent):
    def test_names_of_a_requester_make_no_series(self):
        before = len(samples(self.read()[1]))
        for number in range(MANY):
            made = self.provision("T3", f"odd-{number:04}")
            self.assertEqual(made["phase"], "awaiting-approval")
        after = len(samples(self.read()[1]))
        self.assertLess(after - before, 20, "plans that wait have no series of their own")
        self.assertGreaterEqual(self.sum("infra_registry_clusters", phase="awaiting-approval"), MANY)


if __name__ == "__main__":
    unittest.main()
