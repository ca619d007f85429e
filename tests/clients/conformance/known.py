"""What the simulated API server answers otherwise than the real one, and why.

Each row must occur, and nothing else may. `conversation` and `step` are
patterns of the shell; `path` is one of the place in the normal form of a
reply, such as `.body.status.*`.
"""

from fnmatch import fnmatchcase
from typing import NamedTuple


class Difference(NamedTuple):
    """One known difference."""

    name: str
    conversation: str
    step: str
    path: str
    reason: str

    def covers(self, conversation, step, path):
        return (
            fnmatchcase(conversation, self.conversation)
            and fnmatchcase(step, self.step)
            and fnmatchcase(path, self.path)
        )


DIFFERENCES = []


def covering(conversation, step, path):
    """The first difference that covers a place; None for an unknown one."""
    return next((row for row in DIFFERENCES if row.covers(conversation, step, path)), None)
