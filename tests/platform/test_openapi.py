"""The HTTP routes against their OpenAPI document, by schemathesis.

EXOKIT_BIN=exokit python3 test_openapi.py
"""

import os
import pathlib
import subprocess
import sys
import unittest

import agent

# Requests for each operation in each phase; the seed makes them the same.
EXAMPLES = "15"
SEED = "20261123"
LONGEST = 100


class Document(unittest.TestCase):
    """What the document promises, for requests that fit it and that do not."""

    def test_all_checks(self):
        with agent.folder() as folder:
            place = agent.Place(folder / "state")
            token = place.bearer("dana", *agent.SCOPES)["token"]
            with agent.Agent(place, None, "--rate", "100000") as running:
                command = [
                    pathlib.Path(sys.executable).with_name("schemathesis"),
                    "run",
                    f"{running.url}/api/v1/openapi.json",
                    *("--header", f"Authorization: Bearer {token}"),
                    *("--checks", "all", "--seed", SEED, "--max-examples", EXAMPLES),
                    # Rules that no schema can state refuse what fits it: 400
                    # for a template that is not there, 422 for a level.
                    *("--exclude-checks", "positive_data_acceptance"),
                    *("--phases", "examples,coverage,fuzzing"),
                    *("--generation-database", "none", "--workers", "2"),
                    *("--max-failures", "20", "--no-color"),
                ]
                ended = subprocess.run(
                    command,
                    cwd=folder,
                    env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder)},
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=LONGEST,
                )
        report = f"{ended.stdout}\n{ended.stderr}"
        self.assertEqual(ended.returncode, 0, report)
        count = len(agent.operations())
        self.assertIn(f"Tested: {count}\n", report, "every operation is tested")


if __name__ == "__main__":
    unittest.main()
