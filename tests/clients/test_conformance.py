"""The same conversations with the simulated and with a real Kubernetes API.

    EXOKIT_BIN=exokit KUBEBUILDER_ASSETS=FOLDER python3 test_conformance.py

The replies of a real control plane are recorded in `conformance/recordings.jsonl`,
in a normal form: what differs from run to run has a name instead. The simulated
API server is compared with the recordings; what it answers otherwise stands in
`conformance/known.json` and in docs/fidelity.md. Where KUBEBUILDER_ASSETS names
the folder of a control plane, the real API server is compared with the
recordings too. EXOKIT_TRANSCRIPTS=write writes recordings and document anew.
"""

import collections
import functools
import json
import os
import pathlib
import re
import unittest

from conformance.control_plane import ControlPlane, assets
from conformance.conversations import CONVERSATIONS
from conformance.known import DIFFERENCES, covering, stale
from conformance.normalise import differences
from conformance.runner import everything, hold
from conformance.simulated import Simulated

HERE = pathlib.Path(__file__).parent
RECORDINGS = HERE / "conformance" / "recordings.jsonl"
DOCUMENT = HERE.parent.parent / "docs" / "fidelity.md"
BEGIN, END = "<!-- conformance: begin -->\n", "<!-- conformance: end -->\n"
WRITES = os.environ.get("EXOKIT_TRANSCRIPTS") == "write"
REAL = assets()
SHOWN_MAX = 60


def setUpModule():
    global SIMULATED, CONTROL_PLANE
    CONTROL_PLANE = ControlPlane(REAL) if REAL else None
    SIMULATED = Simulated()


def tearDownModule():
    SIMULATED.stop()
    if CONTROL_PLANE:
        CONTROL_PLANE.stop()


@functools.cache
def simulated(conversation_name):
    """The replies of the simulated API server."""
    return hold(SIMULATED.server, BY_NAME[conversation_name])


@functools.cache
def real(conversation_name):
    """The replies of the real API server."""
    return hold(CONTROL_PLANE.server, BY_NAME[conversation_name])


@functools.cache
def recordings():
    """The recorded replies, by conversation and step."""
    found = collections.defaultdict(dict)
    if WRITES:
        return {name: real(name) for name in BY_NAME}
    for line in RECORDINGS.read_text("utf-8").splitlines():
        name, step, reply = json.loads(line)
        found[name][step] = reply
    return found


BY_NAME = {conversation.name: conversation for conversation in CONVERSATIONS}


def compared(name):
    """(step, path, recorded, simulated) of each difference of a conversation."""
    recorded, answered = recordings()[name], simulated(name)
    for step in recorded.keys() | answered.keys():
        pair = recorded.get(step, {}), answered.get(step, {})
        for path, *values in differences(*pair):
            yield step, path, *values


def shown(rows):
    """Differences for people, in the order of the requests."""
    lines = []
    for step, path, recorded, answered in sorted(rows, key=lambda row: row[:2]):
        lines.append(f"{step}\n    {path}\n      real:      {json.dumps(recorded)[:1500]}")
        lines.append(f"      simulated: {json.dumps(answered)[:1500]}")
    return "\n".join(lines[:SHOWN_MAX])


class Conversations(unittest.TestCase):
    """Two tests for each conversation: `test_NAME_simulated` and `test_NAME_real`."""

    def check_simulated(self, name):
        unknown = [row for row in compared(name) if not covering(name, *row[:2])]
        self.assertFalse(unknown, f"the simulated API server answers otherwise:\n{shown(unknown)}")

    @unittest.skipUnless(REAL, "KUBEBUILDER_ASSETS names no control plane (`cargo xtask control-plane`)")
    def check_real(self, name):
        pairs = recordings()[name], real(name)
        found = []
        for step in pairs[0].keys() | pairs[1].keys():
            rows = differences(pairs[0].get(step, {}), pairs[1].get(step, {}))
            found += [(step, path, *values) for path, *values in rows]
        self.assertFalse(found, f"the recordings are not those of this API server:\n{shown(found)}")


def add_tests():
    for name in BY_NAME:
        for side in ("simulated", "real"):
            check = getattr(Conversations, f"check_{side}")
            test = functools.partialmethod(check, name)
            setattr(Conversations, f"test_{name.replace('-', '_')}_{side}", test)


add_tests()


class Records(unittest.TestCase):
    """Recordings, differences and document belong to the conversations."""

    maxDiff = None

    def test_recordings_are_of_these_conversations(self):
        if WRITES:
            rows = [(name, *row) for name, replies in recordings().items() for row in replies.items()]
            compact = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}
            RECORDINGS.write_text("".join(json.dumps(row, **compact) + "\n" for row in rows), "utf-8")
        self.assertEqual(sorted(recordings()), sorted(BY_NAME))
        steps = sum(len(list(everything(conversation.steps))) for conversation in CONVERSATIONS)
        self.assertEqual(sum(map(len, recordings().values())), steps)

    def test_each_known_difference_occurs(self):
        occurred = [(name, *row[:2]) for name in BY_NAME for row in compared(name)]
        self.assertEqual(list(stale(occurred)), [], "no longer occurs: remove it from conformance/known.json")

    def test_the_document_has_the_differences(self):
        section = document()
        text = DOCUMENT.read_text("utf-8")
        if WRITES:
            text = re.sub(f"{BEGIN}.*{END}", lambda _: section, text, flags=re.DOTALL)
            DOCUMENT.write_text(text, "utf-8")
        self.assertIn(section, text)


def document():
    """The section of the document, with its marks."""
    occurrences = collections.defaultdict(set)
    for name in BY_NAME:
        for row in compared(name):
            occurrences[covering(name, *row[:2])].add(name)
    steps = sum(map(len, recordings().values()))
    lines = [
        f"{len(BY_NAME)} conversations with {steps} requests give the same normalised replies "
        "(status, headers, whole bodies) as kube-apiserver 1.35.1, with these differences:",
        "",
        "| difference | conversations | reason |",
        "|---|---|---|",
    ]
    lines += [f"| {row.name} | {len(occurrences[row])} | {row.reason} |" for row in DIFFERENCES]
    return BEGIN + "\n".join(lines) + "\n" + END


if __name__ == "__main__":
    unittest.main()
