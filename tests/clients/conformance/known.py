"""What the simulated API server answers otherwise than the real one, and why.

Each row must occur, and nothing else may. The data is in `known.json`:

    name, reason
    paths    patterns of places in the normal form of a reply, such as
             `.body.status.*`; `*` stands for any text
    steps    the steps that may differ, by conversation, such as `"03 07"`;
             `"*"` stands for all steps, and for all conversations
"""

import json
import pathlib
import re
from typing import NamedTuple

DATA = pathlib.Path(__file__).parent / "known.json"


class Difference(NamedTuple):
    """One known difference."""

    name: str
    reason: str
    paths: tuple
    steps: tuple

    def covers(self, conversation, step, path):
        numbers = dict(self.steps).get(conversation) or dict(self.steps).get("*", "")
        is_step = numbers == "*" or step.split(" ")[0] in numbers.split()
        return is_step and any(matches(pattern, path) for pattern in self.paths)


def matches(pattern, text):
    """Whether a text has the form of a pattern."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def read():
    rows = json.loads(DATA.read_text("utf-8"))
    return [Difference(r["name"], r["reason"], tuple(r["paths"]), tuple(r["steps"].items())) for r in rows]


DIFFERENCES = read()


def covering(conversation, step, path):
    """The first difference that covers a place; None for an unknown one."""
    return next((row for row in DIFFERENCES if row.covers(conversation, step, path)), None)


def stale(occurred):
    """Rows, and steps of rows, that cover none of (conversation, step, path)."""
    used = {(covering(*place), place[0], place[1].split(" ")[0]) for place in occurred}
    for row in DIFFERENCES:
        if not any(row == each for each, *_ in used):
            yield row.name
        for conversation, numbers in row.steps:
            for number in numbers.replace("*", "").split():
                if (row, conversation, number) not in used:
                    yield f"{row.name}: {conversation} {number}"
