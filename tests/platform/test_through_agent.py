"""The same command lines alone and through an agent, over HTTP and over NATS:
the same output for people and for programs, the same errors and exit codes.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_through_agent.py
"""

import concurrent.futures
import http.server
import json
import re
import shutil
import socket
import subprocess
import threading
import time
import unittest

import agent
import nats_server

# What is another in each run: ids, digests, times, addresses, and names that
# end with a token of their owner.
DIFFERS = (
    (re.compile(r"\b(plan|op)_[a-z2-7]{16}\b"), r"\1_ID"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b(EXO)?[0-9a-f]{12,64}\b"), "DIGEST"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?"), "TIME"),
    (re.compile(r"\b((?:one|store|two|depot)(?:-[a-z]+)?)-[a-z2-7]{10}\b"), r"\1-TOKEN"),
    (re.compile(r"\b[A-Za-z0-9_-]{43,}\b"), "SIGNATURE"),
    (re.compile(r"-?\b\d+(\.\d+)? (ms|s|min)\b"), "SECONDS"),
    (re.compile(r"\b\d+ (records|requests)\b"), r"N \1"),
    (re.compile(r"\b127\.0\.0\.1:\d+\b"), "ADDRESS"),
)
# Numbers that are measured, and the cloud's own numbering.
MEASURED = {"age_seconds", "seq", "records", "base_seq"}
# Commands without an agent's part, and those whose part is tested elsewhere: in
# test_kubeconfig.py and test_template_tests.py.
HERE = set("serve orchestrator token schema sim demo completions man help secrets kubeconfig test".split())
PROGRAMS = ("-o", "json")
PEOPLE = ()


def same(value):
    """A value without what is another in each run."""
    if isinstance(value, dict):
        return {key: "N" if key in MEASURED else same(each) for key, each in value.items()}
    if isinstance(value, list):
        each = [same(each) for each in value]
        # Ids are in the order of what was drawn for them.
        return sorted(each) if all(isinstance(one, str) for one in each) else each
    if isinstance(value, str):
        for pattern, word in DIFFERS:
            value = pattern.sub(word, value)
    return value


def shown(text):
    """What was printed, without what is another in each run: values where it
    is JSON, otherwise lines."""
    try:
        return same(json.loads(text))
    except json.JSONDecodeError:
        return [same(line).rstrip() for line in text.splitlines()]


def first(pattern, text):
    """The first place of a text that fits a pattern."""
    found = re.search(pattern, text)
    assert found, text
    return found[0]


def of_service(check):
    """A line of `doctor`, if it is not about the host of the one who asks."""
    if isinstance(check, dict):
        name = check["check"]
    else:
        # The first column is as wide as its longest word.
        name, *words = check.split()
        check = " ".join([name, *words])
    return None if name in ("state", "keyring", "credentials") else check


class Alone:
    """One who works on a state directory of their own."""

    name = "alone"

    def __init__(self, place):
        self.place = place

    def variables(self):
        return {}

    def say(self, line, form, person="dana", code=0):
        """Runs a line in a form; gives what it printed."""
        ended = self.place.run(*line, *form, "-q", person=person, **self.variables())
        assert ended.returncode == code, (self.name, line, ended)
        return ended

    def live(self, form, one, store):
        """T1; T3 with an approval; its removal with two. Gives each line with
        what it printed."""
        said = []

        def do(*line, person="dana", code=0):
            ended = self.say(line, form, person, code)
            printed = [shown(ended.stdout), shown(ended.stderr)]
            if line[0] == "history":
                # Steps side by side are recorded in any order.
                printed[0] = sorted(json.dumps(each, sort_keys=True) for each in printed[0])
            if line[0] == "doctor":
                printed[0] = [of_service(each) for each in printed[0] if of_service(each)]
            said.append((line[0], code, printed))
            return ended.stdout or ended.stderr

        def holds(text, condition):
            """Programs are told so."""
            if form is PROGRAMS:
                assert condition(json.loads(text)), text

        def plan_id(text):
            return first(r"plan_[a-z2-7]{16}", text)

        def succeeded(value):
            return value["phase"] == "succeeded"

        do("select", "--database", "pg", "--object-storage")
        do("plan", "T1", "--name", one)
        holds(do("up", "T1", "--name", one, "--ttl", "8h"), succeeded)
        for line in (["list"], ["show", one], ["outputs", one], ["verify", one], ["drift", one], ["orphans"], ["history", one]):
            do(*line)
        made = plan_id(do("up", "T3", "--name", store, code=3))
        do("show", store)
        do("watch", "--once")
        do("approve", store, "--yes", code=1)
        holds(do("approve", store, "--yes", person="alex"), lambda vote: vote["enough"])
        holds(do("up", "--plan", made), succeeded)
        holds(do("up", "--plan", made), succeeded)
        asked = do("down", store, code=3)
        holds(asked, lambda plan: any(each["data"] for each in plan["destroys"]))
        gone = plan_id(asked)
        holds(do("approve", store, "--yes", person="alex"), lambda vote: not vote["enough"])
        do("approve", store, "--yes", person="alex", code=1)
        do("approve", gone, "--yes", person="kim")
        holds(do("down", "--plan", gone), lambda end: end["certificate"]["clean"] is True)
        do("extend", one, "--ttl", "4h")
        do("keep-alive", one, code=1)
        denied = do("down", one, code=3)
        which = json.loads(denied)["digest"][:12] if form is PROGRAMS else plan_id(denied)
        do("deny", which, "--yes", person="kim")
        do("down", "--plan", plan_id(denied), code=1)
        for line in (
            ["watch", one],
            ["list", "--all"],
            ["doctor"],
            ["approver", "list"],
            ["approver", "policy"],
            ["prices", "show"],
            ["prices", "verify"],
        ):
            do(*line)
        do("resume", one, code=1)
        # The end shows on stderr, which is quiet.
        assert do("watch", "--once") == ""
        audit = do("audit", "verify")
        export = do("registry", "export")
        holds(export, lambda all_: len(all_["records"]) == json.loads(audit)["records"])
        return said

    def refused(self, form):
        """What is refused, with all that is said of it."""
        lines = (
            (["show", "nobody"], 1),
            (["history", "nobody"], 1),
            (["drift", "nobody"], 1),
            (["watch", "nobody"], 1),
            (["down", "nobody"], 1),
            (["extend", "nobody", "--ttl", "4h"], 1),
            (["keep-alive", "nobody"], 1),
            (["resume", "nobody"], 1),
            (["approve", "nobody", "--yes"], 1),
            (["deny", "nobody", "--yes"], 1),
            (["up", "T1", "--name", "one"], 1),
            (["up", "T1", "--name", "One!"], 2),
            (["up", "T1", "--name", "new", "--ttl", "soon"], 2),
            (["up", "T1", "--name", "new", "--zone", "mars-1"], 1),
            (["select", "--database", "oracle"], 2),
            (["plan", "T9"], 2),
            (["up"], 2),
            (["resume", "one"], 1),
            (["keep-alive", "one"], 1),
            (["orphans", "--zone", "mars-1"], 1),
            (["approve", "plan_aaaaaaaaaaaaaaaa", "--yes"], 1),
            (["up", "--plan", "plan_aaaaaaaaaaaaaaaa"], 1),
            (["up", "--plan", "plan_1"], 2),
        )
        said = []
        for line, code in lines:
            ended = self.say(line, form, code=code)
            said.append((line, code, shown(ended.stdout), shown(ended.stderr)))
        return said


class Through(Alone):
    """One who has keys and the root key, and no state: an agent has it."""

    def __init__(self, name, state, nats):
        folder = state.folder.with_name(f"{state.folder.name}-user")
        (folder / "keys").mkdir(parents=True)
        for key in (state.folder / "keys").glob("*.pem"):
            if key.name != "root.pem":
                shutil.copy(key, folder / "keys")
        shutil.copy(state.folder / "root.key", folder)
        super().__init__(agent.Place(folder))
        self.name, self.state, self.nats = name, state, nats
        self.token = state.bearer("dana", *agent.SCOPES)["token"]
        self.agent = agent.Agent(state, nats)

    def variables(self):
        if self.nats:
            return {
                "EXOKIT_AGENT": self.nats.url().replace("tls://", "tls://requester@"),
                "EXOKIT_NATS_PASSWORD": self.nats.place.passwords["requester"],
                "EXOKIT_NATS_CA": self.nats.place.ca,
            }
        return {"EXOKIT_AGENT": self.agent.url, "EXOKIT_AGENT_TOKEN": self.token}


class World:
    def __init__(self):
        self.ends = agent.contextlib.ExitStack()
        folder = self.ends.enter_context(agent.folder())
        (folder / "nats").mkdir()
        first = agent.with_roster(folder / "alone")
        # The copies are made while nothing has happened but the roster.
        copies = [first.copy(folder / f"of-{name}") for name in ("http", "nats")]
        server = nats_server.Server(nats_server.Place(folder / "nats"))
        self.nats = self.ends.enter_context(server)
        self.alone = Alone(first)
        self.http = Through("http", copies[0], None)
        self.ends.enter_context(self.http.agent)
        self.over_nats = Through("nats", copies[1], self.nats)
        self.ends.enter_context(self.over_nats.agent)
        self.folder = folder

    def all(self):
        return (self.alone, self.http, self.over_nats)


def setUpModule():  # noqa: N802
    global WORLD
    WORLD = World()
    unittest.addModuleCleanup(WORLD.ends.close)


class AsAlone(unittest.TestCase):
    """By its name the first to run: the others leave environments behind in
    one of the three accounts."""

    maxDiff = None

    def equal(self, life):
        """Lives three times, and compares line by line."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            alone, *through = list(pool.map(life, WORLD.all()))
        self.assertGreater(len(alone), 20)
        for other in through:
            for expected, found in zip(alone, other, strict=True):
                with self.subTest(line=expected[0]):
                    self.assertEqual(expected, found)
        return alone

    def test_a_life_reads_the_same_and_so_do_refusals(self):
        said = self.equal(lambda user: user.live(PROGRAMS, "one", "store"))
        self.equal(lambda user: user.live(PEOPLE, "two", "depot"))
        for form in (PROGRAMS, PEOPLE):
            self.equal(lambda user, form=form: user.refused(form))
        for user in (WORLD.http, WORLD.over_nats):
            made = {path.name for path in user.place.folder.iterdir()}
            self.assertFalse(made & {"ledger.db", "state.json", "keyring"}, made)
        self.covers_all({line[0] for line in said})

    def covers_all(self, said):
        """Every command is in the script or cannot go through an agent."""
        listed = WORLD.alone.place.text("help").split("Commands:")[1].split("\n\n")[0]
        commands = {line.split()[0] for line in listed.splitlines() if line.strip()}
        aliases = {"up": "provision", "down": "teardown"}
        said = {aliases.get(command, command) for command in said}
        self.assertEqual(commands - said, HERE)


class Refused(unittest.TestCase):
    def refusal(self, *arguments, code=1, **more):
        return WORLD.http.place.refusal(*arguments, code=code, **more)

    def test_a_wrong_token_and_one_that_allows_too_little(self):
        wrong = self.refusal("list", EXOKIT_AGENT=WORLD.http.agent.url, EXOKIT_AGENT_TOKEN="exokit_x")
        self.assertEqual(wrong["code"], "token")
        less = WORLD.http.state.bearer("kim", "request")["token"]

        def known():
            """A running agent takes a new token within seconds."""
            error = self.refusal("list", EXOKIT_AGENT=WORLD.http.agent.url, EXOKIT_AGENT_TOKEN=less)
            return error if error["code"] != "token" else None

        self.assertEqual(agent.until("the token", known)["code"], "scope")

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}", f"nats://127.0.0.1:{port}"):
            for line in (["list"], ["up", "--plan", "plan_aaaaaaaaaaaaaaaa"]):
                refused = WORLD.http.place.run(*line, "--agent", url, "-o", "json")
                self.assertEqual(refused.returncode, 1, refused)
                [said] = refused.stderr.splitlines()
                # Only who follows work waits for an agent to come back.
                self.assertEqual(json.loads(said)["error"]["code"], "agent-away")

    def test_who_follows_waits_for_an_agent_that_is_killed_and_comes_back(self):
        place = agent.Place(WORLD.folder / "killed", {"EXOKIT_CLOUD": "sim", "EXOKIT_SIM_SPEED": "40"})
        token = place.bearer("dana", "read", "request")["token"]
        killed = agent.Agent(place)
        user = agent.Place(WORLD.folder / "killed-user")
        variables = {"EXOKIT_AGENT": killed.url, "EXOKIT_AGENT_TOKEN": token}
        line = [*agent.EXOKIT, "up", "T1", "--name", "one", "-o", "json"]
        pipe = subprocess.PIPE
        environment = user.variables(**variables)
        with subprocess.Popen(line, env=environment, stdout=pipe, stderr=pipe, text=True) as follower:
            watchdog = threading.Timer(agent.PATIENCE, follower.kill)
            watchdog.start()
            begun = next(said for said in follower.stderr if "cluster: creating" in said)
            killed.process.kill()
            killed.process.wait()
            killed.process.stdout.close()
            missed = next(said for said in follower.stderr if "does not answer" in said)
            with agent.Agent(place, listen=killed.url.removeprefix("http://")):
                out, more = follower.communicate()
            watchdog.cancel()
        self.assertEqual(follower.returncode, 0, (begun, missed, more))
        self.assertEqual(json.loads(out)["phase"], "succeeded")
        self.assertIn("taken up again", more)

    def test_somebody_else_is_there(self):
        class Other(http.server.BaseHTTPRequestHandler):
            asked = 0

            def do_GET(self):  # noqa: N802
                Other.asked += 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<html>welcome</html>")

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
            threading.Thread(target=server.serve_forever).start()
            self.addCleanup(server.shutdown)
            url = f"http://127.0.0.1:{server.server_port}"
            self.assertEqual(self.refusal("list", "--agent", url)["code"], "no-agent")
            server.shutdown()
        self.assertEqual(Other.asked, 1)

    def test_what_leads_nowhere_or_shows_a_secret(self):
        for url in (
            "8118",
            "ftp://127.0.0.1",
            "http://agent.example:8118",
            "tls://dana:hunter2@localhost",
            "https://agent.example/?api",
        ):
            error = self.refusal("list", "--agent", url, code=2)
            self.assertEqual(error["code"], "usage")
            self.assertNotIn("hunter2", json.dumps(error))

    def test_what_no_agent_can_do_is_not_done_here(self):
        for line in (
            ["serve"],
            ["token", "list"],
            ["sim"],
            ["demo"],
            ["prices", "update"],
            ["registry", "import", "registry.json"],
            ["approver", "init"],
            ["approver", "policy", "--low-max", "1"],
            ["up", "T1", "--parallelism", "2"],
        ):
            error = self.refusal(*line, code=2, **WORLD.http.variables())
            self.assertEqual(error["code"], "usage", error)
            self.assertIn("agent", error["why"])

    def test_a_subject_that_the_server_denies_is_told_at_once(self):
        nats = WORLD.nats
        variables = {
            "EXOKIT_AGENT": nats.url().replace("tls://", "tls://observer@"),
            "EXOKIT_NATS_PASSWORD": nats.place.passwords["observer"],
            "EXOKIT_NATS_CA": nats.place.ca,
        }
        began = time.monotonic()
        refused = self.refusal("up", "T1", "--name", "denied", **variables)
        self.assertEqual(refused["code"], "agent-away", refused)
        self.assertIn("Permissions Violation", refused["why"])
        # An answer is waited for 65 seconds.
        self.assertLess(time.monotonic() - began, 30)

    def test_a_token_for_another_plan_is_not_sent(self):
        place, variables = WORLD.http.place, WORLD.http.variables()
        made = [
            place.json("up", "T2", "--name", name, "--database", "valkey", code=3, **variables)
            for name in ("this", "that")
        ]
        line = ["approve", made[0]["plan_id"], "--yes", "--print-token"]
        token = WORLD.folder / "token"
        token.write_text(place.run(*line, person="alex", **variables).stdout, "utf-8")
        line = ["approve", "--token", str(token)]
        other = place.refusal(*line, made[1]["plan_id"], person="alex", **variables)
        self.assertEqual(other["code"], "other-plan", other)
        self.assertIn(made[0]["digest"], other["why"])
        voted = place.json(*line, made[0]["plan_id"], person="alex", **variables)
        self.assertEqual((voted["plan_id"], voted["enough"]), (made[0]["plan_id"], True))

    def test_requirements_and_the_agent_are_told_apart(self):
        line = ["select", "--serves", "librarian", "--agent", WORLD.http.agent.url]
        chosen = WORLD.http.place.json(*line, EXOKIT_AGENT_TOKEN=WORLD.http.token)
        self.assertEqual(chosen["template"], "T3")

    def test_a_vote_without_the_root_key_or_under_another_is_not_signed(self):
        variables = WORLD.http.variables()
        bare = agent.Place(WORLD.folder / "bare")
        made = WORLD.http.place.json("up", "T2", "--name", "vote", "--database", "valkey", code=3, **variables)
        key = str(WORLD.http.place.folder / "keys" / "alex.pem")
        line = ["approve", made["plan_id"], "--yes", "--key", key, "--print-token"]
        self.assertEqual(bare.refusal(*line, person="alex", **variables)["code"], "no-root")
        other = agent.Key()
        root = WORLD.folder / "other.pub"
        root.write_text(other.public, "utf-8")
        refused = bare.refusal(*line, "--root", str(root), person="alex", **variables)
        self.assertEqual(refused["code"], "roster")


if __name__ == "__main__":
    unittest.main()
