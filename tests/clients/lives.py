"""Lives of environments, by the real program, on a recorded `exokit sim`."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

from test_official_clients import COMMAND, start, stop

PEOPLE = {"dana": "developer", "alex": "platform", "kim": "finance"}
# How many of these must approve, by level.
APPROVERS = ("alex", "kim")
REFUSED, WAITS, PARKED = 1, 3, 4

# The refusals and failures that our client must understand. It gives up at the
# first two of the cluster, and asks again at all the others.
FAULTS = [
    ("list-quotas", 1, {"kind": "status", "status": 503, "retry_after": 1}),
    (
        "list-sks-clusters",
        1,
        {"kind": "status", "status": 500, "message": "internal error"},
    ),
    ("create-security-group", 1, {"kind": "status", "status": 429, "retry_after": 1}),
    ("create-sks-cluster", 1, {"kind": "status", "status": 400}),
    ("create-sks-cluster", 2, {"kind": "status", "status": 403}),
    (
        "create-sks-cluster",
        3,
        {"kind": "status", "status": 409, "message": "quota exceeded"},
    ),
    ("create-sks-cluster", 4, {"kind": "operation-fails", "reason": "fault"}),
    ("delete-security-group", 1, {"kind": "status", "status": 412}),
    ("delete-security-group", 3, {"kind": "status", "status": 502}),
    ("delete-sks-cluster", 1, {"kind": "drop-before"}),
]


def faults(path):
    """Writes the file for `exokit sim --faults`."""
    rules = [
        {"match": {"operation": operation, "nth": nth}, "fault": fault}
        for operation, nth, fault in FAULTS
    ]
    path.write_text(json.dumps(rules), "utf-8")
    return path


class Place:
    """A state directory with a roster, and the cloud that it is about."""

    def __init__(self, folder, cloud):
        self.folder = folder
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "EXOKIT_STATE": str(folder),
            "EXOKIT_CLOUD": "exoscale",
            "EXOKIT_PERSON": "dana",
            "EXOKIT_PASSPHRASE": "correct horse battery",
            "EXOSCALE_API_KEY": cloud["api_key"],
            "EXOSCALE_API_SECRET": cloud["api_secret"],
            "EXOSCALE_SOS_ENDPOINT": cloud["sos_endpoint"],
            "EXOSCALE_API_ENDPOINT": cloud["endpoint"].replace("/v2", "/zone/{zone}/v2"),
        }

    def run(self, *arguments, code=0):
        """What the program prints; it must end with this code."""
        ended = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != code:
            said = f"{ended.stdout}\n{ended.stderr}"
            raise AssertionError(
                f"{arguments}: {ended.returncode} and not {code}\n{said}"
            )
        return ended.stdout

    def json(self, *arguments, code=0):
        return json.loads(self.run(*arguments, "-o", "json", code=code))

    def roster(self):
        """Keys for everyone, and a roster with them."""
        self.run("approver", "init")
        for person, role in PEOPLE.items():
            public = self.json("approver", "create-key", person)["public"]
            self.run("approver", "add", person, "--role", role, "--public", public)
        return self

    def copy(self, name, cloud):
        """A place of its own with the same people."""
        shutil.copytree(self.folder, self.folder.parent / name)
        return Place(self.folder.parent / name, cloud)

    def approved(self, name, level):
        for person in APPROVERS[: level - 1]:
            self.run("approve", name, "--as", person, "--yes")

    def level(self, template):
        return self.json("plan", template)["level"]

    def life(self, template):
        """Everything that a person does with an environment, to its end."""
        name, level = template.lower(), self.level(template)
        self.run("up", template, "--name", name, code=0 if level == 1 else WAITS)
        self.approved(name, level)
        self.run("watch", name, "--once")
        shown = self.json("show", name)
        if shown["phase"] != "ready":
            raise AssertionError(shown)
        self.run("drift", name)
        asked = self.json("down", name, code=WAITS)
        self.approved(name, asked["level"])
        gone = self.json("watch", name, "--once")
        if (
            "certificate" not in json.dumps(gone)
            or self.json("show", name)["phase"] != "gone"
        ):
            raise AssertionError(gone)

    def refusals(self):
        """Environments that are refused for good, then one that comes through."""
        self.run("up", "T1", "--name", "malformed", code=REFUSED)
        self.run("up", "T1", "--name", "denied", code=PARKED)
        self.run("resume", "denied", "--rollback", code=REFUSED)
        self.life("T1")


def own_exchanges(folder):
    """Records the lives of all templates, side by side; gives the two files."""
    folder = pathlib.Path(folder)
    files = [folder / "own.jsonl", folder / "refused.jsonl"]
    with contextlib.ExitStack() as ended:

        def cloud(file, *arguments):
            process, said = start(*arguments, record=str(file))
            ended.callback(stop, process)
            return said

        whole = cloud(files[0])
        broken = cloud(files[1], "--faults", str(faults(folder / "faults.json")))
        first = Place(folder / "roster", whole).roster()
        first.run("doctor")
        templates = [f"T{number}" for number in range(1, 8)]
        jobs = [(first.copy(name, whole).life, [name]) for name in templates]
        jobs.append((first.copy("refused", broken).refusals, []))
        with ThreadPoolExecutor(len(jobs)) as pool:
            for job in [pool.submit(work, *arguments) for work, arguments in jobs]:
                job.result()
        first.run("orphans")
    return files
