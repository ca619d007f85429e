"""What our client sends and what the simulated cloud answers, judged by the
official OpenAPI document.

    EXOKIT_EXCHANGES=exchanges.jsonl python3 test_official_clients.py
    EXOKIT_EXCHANGES=exchanges.jsonl python3 test_every_operation.py
    EXOKIT_EXCHANGES=exchanges.jsonl python3 test_openapi.py

The first two record the official clients; this one adds our own, in the lives
of all templates, and judges both.
"""

import collections
import copy
import os
import pathlib
import re
import tempfile
import unittest
from typing import NamedTuple

import requests
from exoscale_auth import ExoscaleV2Auth

import judge
import lives
from test_official_clients import Cloud

FIDELITY = pathlib.Path(__file__).parents[2] / "docs" / "fidelity.md"
GROUP = "(get|list)-security-groups?"


class Difference(NamedTuple):
    """A known difference from the document, by patterns of what is found."""

    name: str
    operation: str
    side: str
    where: str
    what: str
    # Whether our own client may do it too.
    ours: bool

    def covers(self, finding):
        pairs = zip(
            self[1:5], (finding.operation, finding.side, finding.where, finding.what)
        )
        return all(re.fullmatch(pattern, text) for pattern, text in pairs)


# Each with its reason in docs/fidelity.md, under this name.
KNOWN = [
    Difference("read-only-reference", ".*", "request", r".*\.id", "read-only", True),
    Difference(
        "no-body",
        "start-instance|create-block-storage-snapshot",
        "request",
        "MissingRequiredRequestBody",
        ".*",
        False,
    ),
    Difference("write-only-rules", GROUP, "reply", r".*\.rules", "write-only", True),
    Difference(
        "visibility", GROUP, "reply", r".*\.visibility", "not in the document", True
    ),
    Difference(
        "zone-id",
        "list-zones",
        "reply",
        r"\.zones\[\*\]\.id",
        "not in the document",
        True,
    ),
]


def known(finding, ours):
    """The known difference that a finding is, if it is one."""
    found = (d for d in KNOWN if d.covers(finding) and (d.ours or not ours))
    return next(found, None)


def setUpModule():
    """Has our client do its work and judges everything, once for all tests."""
    global JUDGE, OWN, OFFICIAL
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    JUDGE = judge.Judge()
    OWN = JUDGE.verdicts(*lives.own_exchanges(folder.name))
    OFFICIAL = JUDGE.verdicts(os.environ["EXOKIT_EXCHANGES"])


def table():
    """{(method, path): (operation, state)} of docs/fidelity.md."""
    row = re.compile(r"^\| ([A-Z]+) \| `(.*)` \| (\S+) \| (\S+) \|$", re.MULTILINE)
    return {(m, p): (o, s) for m, p, o, s in row.findall(FIDELITY.read_text("utf-8"))}


class TestExchanges(unittest.TestCase):
    def none(self, findings):
        """No finding but known ones; otherwise each is shown once."""
        counts = collections.Counter(map(str, findings))
        lines = [f"{count} x {text}" for text, count in sorted(counts.items())]
        self.assertFalse(lines, "\n" + "\n".join(lines))

    def test_there_is_something_to_judge(self):
        own, official = ({v.operation for v in source} for source in (OWN, OFFICIAL))
        print(
            f"{len(OWN)} exchanges of our client ({len(own)} operations),"
            f" {len(OFFICIAL)} of the official one ({len(official)})"
        )
        self.assertGreater(len(OWN), 1000)
        self.assertGreater(len(own), 40)
        self.assertGreater(len(OFFICIAL), 300)

    def test_our_client_sends_what_the_document_allows(self):
        self.none(f for v in OWN for f in v.asked if not known(f, ours=True))

    def test_what_the_document_forbids_is_refused(self):
        accepted = (v for v in OFFICIAL if v.status is not None and v.status < 400)
        self.none(f for v in accepted for f in v.asked if not known(f, ours=False))
        self.assertTrue([v for v in OFFICIAL if v.status == 400 and v.asked])

    def test_replies_are_what_the_document_says(self):
        replies = (f for v in OWN + OFFICIAL for f in v.answered)
        self.none(f for f in replies if not known(f, ours=False))

    def test_refusals_of_all_kinds_were_judged(self):
        statuses = {v.status for v in OWN}
        self.assertLessEqual({200, 400, 403, 404, 409, 412, 429, 500, 502, 503}, statuses)
        # A request that was lost, and its repetition.
        self.assertIn(None, statuses)

    def test_each_served_operation_succeeded(self):
        served = {operation for operation, state in table().values() if state == "served"}
        done = {v.operation for v in OWN + OFFICIAL if v.status == 200}
        self.assertGreater(len(served), 100)
        self.assertEqual(sorted(served - done), [])

    def test_each_known_difference_occurs_and_is_explained(self):
        findings = [f for v in OWN + OFFICIAL for f in v.asked + v.answered]
        text = FIDELITY.read_text("utf-8")
        for difference in KNOWN:
            self.assertTrue(any(map(difference.covers, findings)), difference.name)
            self.assertTrue(
                f"| `{difference.name}` |" in text, f"{difference.name}: no reason"
            )


class TestOtherOperations(Cloud):
    def test_the_table_has_the_whole_document(self):
        official = {(m, p): o["operationId"] for m, p, o in JUDGE.operations()}
        self.assertEqual({key: name for key, (name, _) in table().items()}, official)

    def test_what_is_not_served_says_so(self):
        states = table()
        auth = ExoscaleV2Auth(self.at["api_key"], self.at["api_secret"])
        asked = 0
        for method, path, operation in JUDGE.operations():
            if states[method, path][1] != "501":
                continue
            url = self.at["endpoint"] + filled(path, operation)
            reply = requests.request(method, url, auth=auth)
            name = operation["operationId"]
            self.assertEqual(reply.status_code, 501, (method, path))
            self.assertEqual(reply.json()["message"], f"{name} is not simulated")
            asked += 1
        self.assertGreater(asked, 200)


def filled(path, operation):
    """The path with something of the right type for each parameter."""
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            schema = parameter["schema"]
            value = schema.get("enum", ["something"])[0]
            if schema.get("format") == "uuid":
                value = "00000000-0000-4000-8000-000000000000"
            path = path.replace(f"{{{parameter['name']}}}", str(value))
    return path


class TestJudge(unittest.TestCase):
    """The judge finds each kind of fault, and nothing in what is right."""

    CREATE = {
        "method": "POST",
        "path": "/v2/sks-cluster",
        "query": "",
        "body": {
            "name": "n",
            "level": "starter",
            "version": "1.35.1",
            "labels": {"a": "b"},
        },
        "status": 200,
        "type": "application/json; charset=utf-8",
        "reply": {
            "id": "00000000-0000-4000-8000-000000000000",
            "state": "pending",
            "reference": {"id": "00000000-0000-4000-8000-000000000001"},
        },
    }

    def found(self, change):
        exchange = copy.deepcopy(self.CREATE)
        change(exchange)
        verdict = JUDGE.judge(exchange)
        return [f"{f.side}{f.where}: {f.what}" for f in verdict.asked + verdict.answered]

    def test_what_is_right_passes(self):
        self.assertEqual(self.found(lambda e: None), [])
        self.assertEqual(
            self.found(lambda e: e.update(path="/zone/de-fra-1/v2/sks-cluster")), []
        )
        refused = {"status": 409, "reply": {"message": "no"}}
        self.assertEqual(self.found(lambda e: e.update(refused)), [])
        self.assertEqual(self.found(lambda e: e.update(status=None)), [])

    def test_what_is_wrong_is_found(self):
        cases = [
            (lambda e: e.update(path="/v2/nonsense"), "Path not found"),
            (lambda e: e.update(method="PATCH"), "Operation patch not found"),
            (lambda e: e["body"].pop("level"), "'level' is a required property"),
            (
                lambda e: e["body"].update(level="gold"),
                "request.level: 'gold' is not one of",
            ),
            (lambda e: e["body"].update(name=""), "request.name: '' should be non-empty"),
            (lambda e: e["body"].update(nodes=1), "request.nodes: not in the document"),
            (
                lambda e: e["body"]["labels"].update(a=1),
                "request.labels.a: 1 is not of type",
            ),
            (lambda e: e.update(body=None), "Missing required request body"),
            (lambda e: e.update(query="dry=1"), "request?dry: not in the document"),
            (
                lambda e: e["reply"].update(state="done"),
                "reply.state: 'done' is not one of",
            ),
            (lambda e: e["reply"].update(more=1), "reply.more: not in the document"),
            (
                lambda e: e["reply"]["reference"].update(id="x"),
                "reply.reference.id: 'x' is not a",
            ),
            (lambda e: e.update(status=202), "Unknown response http status"),
            (lambda e: e.update(status=418, reply={"message": "m"}), "replystatus: "),
            (
                lambda e: e.update(status=404, reply={}),
                "'message' is a required property",
            ),
            (lambda e: e.update(status=404, type="text/plain"), "replycontent type: "),
        ]
        for change, wanted in cases:
            found = self.found(change)
            self.assertTrue(any(wanted in text for text in found), f"{wanted}: {found}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
