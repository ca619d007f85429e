"""Environments on clusters with a real control plane: etcd, kube-apiserver,
kube-controller-manager and kube-scheduler behind `exokit sim`.

EXOKIT_BIN=exokit KUBEBUILDER_ASSETS=/opt/kubernetes/bin python3 test_control_plane.py
"""

import contextlib
import json
import os
import pathlib
import unittest

import agent

ASSETS = os.environ.get("KUBEBUILDER_ASSETS")
PROGRAMS = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
# A control plane starts within seconds; two cores may be busy.
agent.PATIENCE = 300
APPROVERS = ("alex", "kim")
# Exit code of a command that waits for approvals.
WAITS = 3


def running(folder):
    """The programs of control planes that work below a folder, by process."""
    found = {}
    for process in pathlib.Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (process / "cmdline").read_text("utf-8").split("\0")
            name = pathlib.Path(words[0]).name
            if name in PROGRAMS and any(str(folder) in word for word in words):
                found[int(process.name)] = name
    return found


def left(folder):
    """The folders of control planes that are still there."""
    return list(pathlib.Path(folder).glob("exokit-control-planes-*"))


class Refusals(unittest.TestCase):
    """What is missing is said before anything is served."""

    def refusal(self, *options, **variables):
        with agent.folder() as folder:
            ended = agent.Place(folder, {}).run(
                "sim", "--control-plane", "real", *options, **variables
            )
        self.assertNotEqual(ended.returncode, 0, ended)
        self.assertEqual(ended.stdout, "")
        return ended.stderr

    def test_the_folder_of_the_programs_is_needed(self):
        said = self.refusal(KUBEBUILDER_ASSETS="")
        self.assertIn("KUBEBUILDER_ASSETS", said)
        self.assertIn("hint: build the programs with `cargo xtask control-plane`", said)

    def test_each_program_is_needed(self):
        with agent.folder() as folder:
            said = self.refusal(KUBEBUILDER_ASSETS=str(folder))
        self.assertIn("has no program etcd", said)
        self.assertIn("cargo xtask control-plane", said)


@unittest.skipUnless(ASSETS, "KUBEBUILDER_ASSETS names no folder with the programs")
class Real(unittest.TestCase):
    """A simulated cloud with real control planes, and a state directory for it."""

    def setUp(self):
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.folder = stack.enter_context(agent.folder())
        variables = {"KUBEBUILDER_ASSETS": ASSETS, "TMPDIR": str(self.folder)}
        self.cloud = agent.Cloud(self.folder, "--control-plane", "real", **variables)
        stack.callback(self.cloud.stop)
        roster = agent.with_roster(self.folder / "roster")
        self.place = roster.copy(self.folder / "state", self.cloud.variables())


class Lives(Real):
    """Each environment has its whole life."""

    def approve(self, name, level):
        for person in APPROVERS[: level - 1]:
            self.place.text("approve", name, "--yes", person=person)

    def life(self, template):
        name = template.lower()
        level = self.place.json("plan", template)["level"]
        self.place.text("up", template, "--name", name, code=0 if level == 1 else WAITS)
        self.approve(name, level)
        self.place.text("watch", name, "--once")
        self.assertEqual(self.place.json("show", name)["phase"], "ready")
        self.assertEqual(sorted(running(self.folder).values()), sorted(PROGRAMS))
        verified = self.place.json("verify", name)
        failed = [check for check in verified["checks"] if not check["passed"]]
        self.assertEqual(failed, [])
        self.assertTrue(verified["checks"])
        drift = self.place.json("drift", name)
        self.assertEqual(drift["differences"], [])
        asked = self.place.json("down", name, code=WAITS)
        self.approve(name, asked["level"])
        gone = self.place.text("down", "--plan", asked["plan_id"], "-o", "json")
        self.assertIs(json.loads(gone)["certificate"]["clean"], True, gone)
        self.assertEqual(self.place.json("orphans"), [])
        self.assertEqual(running(self.folder), {})

    def test_t1(self):
        self.life("T1")

    def test_t3(self):
        self.life("T3")

    def test_t5(self):
        self.life("T5")

    def test_t7(self):
        self.life("T7")


class Ends(Real):
    """Processes and folders go with the simulated cloud, however it ends."""

    def setUp(self):
        super().setUp()
        self.place.text("up", "T1", "--name", "one")
        self.assertEqual(sorted(running(self.folder).values()), sorted(PROGRAMS))
        self.assertEqual(len(left(self.folder)), 1)

    def test_nothing_is_left_when_it_is_stopped(self):
        self.assertEqual(self.cloud.stop(), 0)
        self.assertEqual((running(self.folder), left(self.folder)), ({}, []))

    def test_nothing_is_left_when_it_is_killed(self):
        self.cloud.process.kill()
        self.cloud.process.wait()
        agent.until("the end of all processes", lambda: not running(self.folder))
        agent.until("the removal of the folder", lambda: not left(self.folder))


if __name__ == "__main__":
    unittest.main()
