"""The agent on NATS, by a client that knows the published schemas alone.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_outsider.py

EXOKIT_TRANSCRIPTS=write writes the transcripts anew.
"""

import asyncio
import json
import logging
import os
import pathlib
import re
import threading
import unittest

from jsonschema import Draft202012Validator
from nats.errors import NoRespondersError

import agent
import nats_server

# About TLS connections that end, which is no news here.
logging.getLogger("asyncio").setLevel(logging.ERROR)

TRANSCRIPTS = pathlib.Path(__file__).with_name("transcripts")
# What leads to each template, and the level of its provision. Only T1 can be
# had by asking for nothing.
WANTED = {
    "T1": ({}, 1),
    "T2": ({"database": "valkey"}, 2),
    "T3": ({"database": "pg", "object_storage": True}, 2),
    "T4": ({"total_cpus": 8}, 3),
    "T5": ({"isolation": True}, 2),
    "T6": ({"observability": True}, 2),
    "T7": ({"nodes_min": 3}, 3),
}


class Refused(Exception):
    """The agent answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error['status']} {error['code']}: {error['why']}")
        self.status, self.code = error["status"], error["code"]


def check(name, message):
    """Fails when a message is not as its schema says."""
    schema = agent.schema(name)
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    errors = [f"{error.json_path}: {error.message}"[:300] for error in validator.iter_errors(message)]
    assert not errors, (name, errors)


class Client:
    """A requester on NATS."""

    def __init__(self, connection):
        self.connection = connection
        self.heard, self.announced = [], []
        self.news = asyncio.Condition()

    async def listen(self):
        await self.connection.subscribe("infra.events.>", cb=self.hear)
        await self.connection.subscribe("infra.approval.requested", cb=self.hear)
        await self.connection.flush()

    async def hear(self, message):
        body = json.loads(message.data)
        if message.subject == "infra.approval.requested":
            check("infra.approval.requested", body)
            self.announced.append(body)
        else:
            check("infra.events", body)
            subject = f"infra.events.{body.get('environment', '_account')}.{body['event']['type']}"
            assert message.subject == subject, (message.subject, subject)
            assert message.headers["Nats-Msg-Id"] == body["hash"], message.headers
            self.heard.append(body)
        async with self.news:
            self.news.notify_all()

    async def until(self, what, condition):
        """The first value of `condition` that is not false."""
        async with self.news:
            try:
                async with asyncio.timeout(agent.PATIENCE):
                    while not (found := condition()):
                        await self.news.wait()
            except TimeoutError as error:
                raise TimeoutError(f"{what} did not come: {self.heard[-3:]}") from error
        return found

    def of(self, environment):
        return [event for event in self.heard if event.get("environment") == environment]

    async def event(self, environment, kind, operation):
        """The event of a kind about an operation."""

        def found():
            for event in self.of(environment):
                if event["event"]["type"] == kind and event.get("operation") == operation:
                    return event

        return await self.until(f"{kind} of {environment}", found)

    async def announcement(self, plan_id):
        def found():
            for body in self.announced:
                if body["plan"]["plan_id"] == plan_id:
                    return body

        return await self.until(f"the announcement of {plan_id}", found)

    async def raw(self, subject, body):
        """The message that answers."""
        data = json.dumps(body).encode()
        for _ in range(50):
            try:
                return await self.connection.request(subject, data, timeout=agent.PATIENCE)
            except NoRespondersError:
                await asyncio.sleep(0.05)
        raise NoRespondersError

    async def ask(self, subject, log=None, /, **body):
        """The result; both messages are held against their schemas."""
        body = {"schema_version": 1, **body}
        check(f"{subject}.request", body)
        answered = await self.raw(subject, body)
        reply = json.loads(answered.data)
        check(f"{subject}.reply", reply)
        if log is not None:
            log.append((subject, body, reply))
        if "error" in reply:
            headers = answered.headers
            assert headers["Nats-Service-Error-Code"] == str(reply["error"]["status"])
            assert headers["Nats-Service-Error"] == reply["error"]["code"]
            raise Refused(reply["error"])
        return reply["result"]

    async def refused(self, subject, log=None, /, **body):
        """The refusal with which the agent answers."""
        try:
            result = await self.ask(subject, log, **body)
        except Refused as refused:
            return refused.status, refused.code
        raise AssertionError(f"{subject} was not refused: {result}")

    async def events(self, environment):
        """All events of an environment, page by page."""
        found, after = [], 0
        while True:
            page = await self.ask("infra.history.events", environment=environment, after=after)
            found += page["events"]
            if page["next"] >= page["head"]:
                return found
            after = page["next"]


async def vote(place, person, operation, word="approve"):
    """A token that the program makes with the key of a person."""
    wanted = [word, operation, "--yes", "--print-token"]
    token = await asyncio.to_thread(place.text, *wanted, person=person)
    return token.strip()


class Life:
    """One environment from the question for a template to the certificate."""

    def __init__(self, world, template):
        self.world, self.client, self.place = world, world.client, world.place
        self.template = template
        self.requirements, self.level = WANTED[template]
        self.name = f"outside-{template.lower()}"
        self.log = []

    async def run(self):
        made = await self.provision()
        await self.ready(made)
        await self.teardown()
        await self.story()
        return self.log

    def ask(self, subject, **body):
        return self.client.ask(subject, self.log, **body)

    async def provision(self):
        chosen = await self.ask("infra.select", **self.requirements)
        assert chosen["template"] == self.template, chosen
        wanted = {"template": chosen["template"], "name": self.name}
        plan = await self.ask("infra.plan", requester="dana", provision=wanted)
        assert (plan["level"], plan["destroys"]) == (self.level, []), plan
        request = {"requester": "dana", "idempotency_key": f"make/{self.name}"}
        made = await self.ask("infra.provision", **request, ask=wanted)
        assert (made["level"], made["phase"]) == (self.level, "awaiting-approval"), made
        again = await self.ask("infra.provision", **request, ask=wanted)
        assert again["operation"] == made["operation"], again
        other = await self.client.refused(
            "infra.provision", self.log, **request, ask={**wanted, "ttl_seconds": 7200}
        )
        assert other[0] == 409, other
        await self.approve(made)
        return made

    async def approve(self, operation):
        """One person for level 2, two of two roles for level 3."""
        needed = ["alex", "kim"][: operation["level"] - 1]
        if not needed:
            return
        plan_id = operation["plan_id"]
        announced = await self.client.announcement(plan_id)
        assert announced["plan"]["digest"] == operation["digest"], announced
        assert announced["deadline"] == announced["plan"]["not_after"], announced
        for part in (self.name, operation["digest"], f"level {operation['level']}"):
            assert part.lower() in announced["page"].lower(), (part, announced["page"])
        own = await vote(self.place, "dana", plan_id)
        refused = await self.client.refused("infra.approve", self.log, approval_token=own)
        assert refused == (422, "self-approval"), refused
        for number, person in enumerate(needed, 1):
            token = await vote(self.place, person, plan_id)
            said = await self.ask("infra.approve", approval_token=token)
            assert said["enough"] == (number == len(needed)), said
            assert said["person"] == person, said
            again = await self.client.ask("infra.approve", approval_token=token)
            assert again == said or again["enough"], (again, said)

    async def ready(self, made):
        await self.client.event(self.name, "operation-succeeded", made["operation"])
        status = await self.ask("infra.status", environment=self.name)
        assert (status["phase"], status["template"]) == ("ready", self.template), status
        assert {each["state"] for each in status["resources"]} == {"ready"}, status
        assert status["open"] == [], status
        listed = await self.client.ask("infra.status.list")
        [found] = [each for each in listed["environments"] if each["environment"] == self.name]
        assert status.pop("startable") == {}, status
        status.pop("open")
        assert found == status, (found, status)
        # The name is taken, for the same key of somebody else too.
        taken = {"requester": "dana-agent", "idempotency_key": f"make/{self.name}"}
        wanted = {"template": self.template, "name": self.name}
        other = await self.client.refused("infra.provision", self.log, **taken, ask=wanted)
        assert other == (409, "exists"), other
        drift = await self.ask("infra.drift", environment=self.name)
        assert not drift["drifted"], drift

    async def teardown(self):
        request = {"requester": "dana", "idempotency_key": f"remove/{self.name}"}
        removal = await self.ask("infra.teardown", **request, remove={"environment": self.name})
        lost = [each for each in removal["destroys"] if each["data"]]
        assert removal["level"] == (3 if lost else 2), removal
        await self.approve(removal)
        await self.client.event(self.name, "operation-succeeded", removal["operation"])
        ended = await self.ask("infra.teardown", plan_id=removal["plan_id"])
        assert ended["phase"] == "succeeded", ended
        assert ended["certificate"]["clean"] is True, ended
        status = await self.ask("infra.status", environment=self.name)
        assert status["phase"] == "gone", status
        listed = await self.client.ask("infra.status.list")
        assert self.name not in [each["environment"] for each in listed["environments"]]
        listed = await self.client.ask("infra.status.list", all=True)
        assert self.name in [each["environment"] for each in listed["environments"]]

    async def story(self):
        """What was published is what was recorded, in its order."""
        recorded = await self.client.events(self.name)
        await self.client.until(
            "the last event", lambda: len(self.client.of(self.name)) >= len(recorded)
        )
        assert self.client.of(self.name) == recorded
        text = json.dumps(recorded)
        assert "eyJ" not in text and "ciphertext" not in text, "no token, no secret"


class World:
    """One NATS server, one agent and one client for all tests, in a loop of
    their own: the templates live side by side."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.ends = agent.contextlib.ExitStack()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.ends.callback(self.thread.join)
        self.ends.callback(self.loop.call_soon_threadsafe, self.loop.stop)
        try:
            self.begin()
        except BaseException:
            self.ends.close()
            raise

    def begin(self):
        folder = self.ends.enter_context(agent.folder())
        (folder / "nats").mkdir()
        self.place = agent.with_roster(folder / "state")
        # A voter whose key is outside of the program.
        self.key = agent.Key()
        self.place.text("approver", "add", "lee", "--public", self.key.public)
        server = nats_server.Server(nats_server.Place(folder / "nats"))
        self.nats = self.ends.enter_context(server)
        self.agent = self.ends.enter_context(agent.Agent(self.place, self.nats))
        self.client = self.run(self.connect())
        self.ends.callback(lambda: self.run(self.client.connection.close()))
        lives = {template: Life(self, template) for template in WANTED}
        self.lives = {
            template: asyncio.run_coroutine_threadsafe(life.run(), self.loop)
            for template, life in lives.items()
        }

    async def connect(self):
        client = Client(await self.nats.connect("requester"))
        await client.listen()
        return client

    def run(self, coroutine):
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        return future.result(timeout=2 * agent.PATIENCE)


WORLD = None


def setUpModule():
    global WORLD
    WORLD = World()


def tearDownModule():
    # A life that failed is told by its test.
    for future in WORLD.lives.values():
        future.cancel()
    WORLD.ends.close()


class Numbers:
    """Names for values that differ with each run: the same for the same."""

    def __init__(self):
        self.known = {}

    def name(self, kind, value):
        names = self.known.setdefault(kind, {})
        return names.setdefault(value, f"<{kind} {len(names) + 1}>")


PATTERNS = (
    ("plan", r"plan_[a-z2-7]{16}"),
    ("op", r"op_[a-z2-7]{16}"),
    ("token", r"eyJ[\w-]+\.[\w-]+\.[\w-]+"),
    ("uuid", r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    ("digest", r"\b[0-9a-f]{64}\b"),
    ("key", r"\b[0-9a-f]{16}\b"),
    ("mark", r"(?<=-)[a-z2-7]{10}\b"),
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z|\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC")
# Lists longer than this are shown by their first item and their length.
SHOWN_MAX = 3


def normalised(value, numbers, field=""):
    """The value without what differs with each run."""
    if isinstance(value, dict):
        return {name: normalised(each, numbers, name) for name, each in value.items()}
    if isinstance(value, list) and len(value) > SHOWN_MAX:
        return [normalised(value[0], numbers), f"... {len(value)} in all"]
    if isinstance(value, list):
        return [normalised(each, numbers) for each in value]
    if field in ("predicted_seconds", "critical_path_seconds"):
        return "<seconds>"
    # Of all environments of the account, which come and go meanwhile.
    if field == "listed":
        return "<count>"
    if not isinstance(value, str):
        return value
    if field == "plan" and value.startswith("{"):
        return "<canonical text of the plan>"
    value = TIME.sub("<time>", value)
    for kind, pattern in PATTERNS:
        value = re.sub(pattern, lambda found, kind=kind: numbers.name(kind, found[0]), value)
    return value


def transcript(log):
    """A conversation as text that is the same in every run."""
    numbers, lines = Numbers(), []
    for subject, request, reply in log:
        result = reply.get("result", {})
        if subject == "infra.provision" and "phase" in result:
            # T1 needs nobody: it may have begun before the answer was made.
            begun = {name: "<or later>" for name in ("phase", "started_at", "ended_at")}
            reply = {**reply, "result": {**result, **begun}}
        for arrow, message in ((">", request), ("<", reply)):
            text = json.dumps(normalised(message, numbers), indent=2, sort_keys=True)
            lines.append(f"{arrow} {subject}\n{text}\n")
    return "\n".join(lines)


class Lives(unittest.TestCase):
    """Every template, by requirements, over NATS."""

    def log(self, template):
        return WORLD.lives[template].result(timeout=2 * agent.PATIENCE)

    def test_t1_and_its_transcript(self):
        text = transcript(self.log("T1"))
        path = TRANSCRIPTS / "T1.txt"
        if os.environ.get("EXOKIT_TRANSCRIPTS") == "write":
            path.write_text(text, "utf-8")
        self.maxDiff = None
        self.assertEqual(text, path.read_text("utf-8"))


def of_template(template):
    def test(self):
        self.assertGreater(len(self.log(template)), 8)

    return test


for _template in list(WANTED)[1:]:
    setattr(Lives, f"test_{_template.lower()}", of_template(_template))


class Others(unittest.TestCase):
    """What is not the life of one environment."""

    def ask(self, subject, **body):
        return WORLD.run(WORLD.client.ask(subject, **body))

    def refused(self, subject, **body):
        return WORLD.run(WORLD.client.refused(subject, **body))

    def sealed(self, name, requester="dana"):
        wanted = {"template": "T3", "name": name}
        plan = self.ask("infra.plan", requester=requester, provision=wanted)
        return plan, {"plan": plan["plan"], "seal": plan["seal"]}

    def test_a_sealed_plan_and_its_approval_in_one_request(self):
        plan, sealed = self.sealed("sealed-good")
        self.assertEqual(
            self.refused("infra.plan.show", plan=plan["plan_id"])[0], 404, "nothing is recorded"
        )
        token = WORLD.key.vote("lee", plan)
        made = self.ask("infra.provision", requester="dana", sealed=sealed, approval_token=token)
        self.assertEqual((made["digest"], made["level"]), (plan["digest"], 2))
        self.assertEqual([each["person"] for each in made["approvals"]], ["lee"])
        WORLD.run(WORLD.client.event("sealed-good", "operation-succeeded", made["operation"]))
        # Once more it is the same operation.
        again = self.ask("infra.provision", requester="dana", sealed=sealed)
        self.assertEqual(again["operation"], made["operation"])

    def test_a_sealed_plan_that_was_altered(self):
        plan, sealed = self.sealed("sealed-altered")
        cheaper = {**json.loads(plan["plan"]), "level": 1}
        texts = {
            "other level": agent.canonical(cheaper).decode(),
            "other name": plan["plan"].replace("sealed-altered", "sealed-stolen"),
            "a space": plan["plan"] + " ",
            "no plan": "{}",
        }
        for what, text in texts.items():
            with self.subTest(what):
                altered = {**sealed, "plan": text}
                refused = self.refused("infra.provision", requester="dana", sealed=altered)
                self.assertIn(refused[0], (400, 403))
        wrong = {**sealed, "seal": "0" * 64}
        refused = self.refused("infra.provision", requester="dana", sealed=wrong)
        self.assertEqual(refused[0], 403)
        status = self.refused("infra.status", environment="sealed-altered")
        self.assertEqual(status[0], 404, "nothing was recorded")

    def test_a_sealed_plan_of_somebody_else(self):
        plan, sealed = self.sealed("sealed-theirs")
        token = WORLD.key.vote("lee", plan)
        for person in ("kim", "dana-agent"):
            refused = self.refused(
                "infra.provision", requester=person, sealed=sealed, approval_token=token
            )
            self.assertEqual(refused, (403, "other-requester"))

    def test_a_wrong_token_in_the_request_starts_nothing(self):
        plan, sealed = self.sealed("sealed-forged")
        token = agent.Key().vote("lee", plan)
        refused = self.refused(
            "infra.provision", requester="dana", sealed=sealed, approval_token=token
        )
        self.assertEqual(refused[0], 422)
        shown = self.ask("infra.plan.show", plan=plan["plan_id"])
        self.assertEqual(shown["operation"]["phase"], "awaiting-approval")
        self.assertEqual(shown["operation"]["approvals"], [])

    def test_a_denied_plan_never_runs(self):
        wanted = {"template": "T3", "name": "denied"}
        made = self.ask("infra.provision", requester="dana", ask=wanted)
        # A plan that is decided before its turn to be announced never is.
        WORLD.run(WORLD.client.announcement(made["plan_id"]))
        token = WORLD.run(vote(WORLD.place, "kim", made["plan_id"], "deny"))
        self.assertEqual(self.refused("infra.approve", approval_token=token)[0], 422)
        self.assertEqual(self.ask("infra.deny", approval_token=token)["decision"], "deny")
        WORLD.run(WORLD.client.event("denied", "plan-rejected", made["operation"]))
        late = WORLD.key.vote("lee", made)
        self.assertEqual(self.refused("infra.approve", approval_token=late)[0], 422)
        status = self.ask("infra.status", environment="denied")
        self.assertEqual(status["phase"], "rejected")

    def test_an_environment_lives_longer(self):
        wanted = {"template": "T1", "name": "longer", "ttl_seconds": 3600}
        made = self.ask("infra.provision", requester="dana", ask=wanted)
        WORLD.run(WORLD.client.event("longer", "operation-succeeded", made["operation"]))
        before = self.ask("infra.status", environment="longer")["expires_at"]
        more = {"environment": "longer", "ttl_seconds": 3600}
        extended = self.ask("infra.extend", requester="dana", extend=more)
        WORLD.run(WORLD.client.event("longer", "operation-succeeded", extended["operation"]))
        self.assertGreater(self.ask("infra.status", environment="longer")["expires_at"], before)
        lines = self.ask("infra.history", environment="longer")["lines"]
        self.assertGreater(len(lines), 5)

    def test_an_environment_is_kept_by_signs_of_life_and_goes_without(self):
        wanted = {"template": "T1", "name": "kept", "keep_alive_seconds": 6, "at_expiry": "remove"}
        made = self.ask("infra.provision", requester="dana", ask=wanted)
        self.assertEqual((made["level"], made["phase"]), (2, "awaiting-approval"))
        self.ask("infra.approve", approval_token=WORLD.key.vote("lee", made))
        WORLD.run(WORLD.client.event("kept", "operation-succeeded", made["operation"]))
        foreign = self.refused("infra.keep-alive", requester="kim", environment="kept")
        self.assertEqual(foreign, (403, "not-owner"))
        until = self.ask("infra.keep-alive", requester="dana", environment="kept")["kept_until"]
        self.assertEqual(self.ask("infra.status", environment="kept")["kept_until"], until)
        # No sign any more: nobody is asked, and it goes.
        noticed = WORLD.run(WORLD.client.event("kept", "expiry-noticed", None))
        self.assertEqual(noticed["event"]["expired_at"], until)
        removed = self.ask("infra.status", environment="kept")["operations"][-1]
        WORLD.run(WORLD.client.event("kept", "operation-succeeded", removed))
        self.assertEqual(self.ask("infra.status", environment="kept")["phase"], "gone")

    def test_the_roster_is_told(self):
        roster = self.ask("infra.roster")
        self.assertEqual(
            [person["id"] for person in roster["roster"]["persons"]],
            [person for person, _ in agent.VOTERS] + ["dana-agent"],
        )

    def test_what_was_published_is_what_was_recorded(self):
        # While others write: up to the head that is told.
        found, after = [], 0
        while True:
            page = self.ask("infra.history.events", after=after)
            found += page["events"]
            after = page["next"]
            if after >= page["head"]:
                break
        self.assertEqual([event["seq"] for event in found], list(range(1, after + 1)))
        first = WORLD.run(WORLD.client.until("events", lambda: WORLD.client.heard))[0]["seq"]
        heard = WORLD.run(
            WORLD.client.until(
                "the last event",
                lambda: WORLD.client.heard[-1]["seq"] >= after and list(WORLD.client.heard),
            )
        )
        expected = [event for event in found if event["seq"] >= first]
        self.assertEqual(heard[: len(expected)], expected)

    def test_every_plan_of_level_2_and_3_is_announced_once(self):
        found = self.ask("infra.history.events")
        self.assertTrue(found["events"])
        for template in WANTED:
            WORLD.lives[template].result(timeout=2 * agent.PATIENCE)
        proposed = [e for e in WORLD.client.heard if e["event"]["type"] == "plan-proposed"]
        # The one that came with its approval does not wait for any.
        waited = [e for e in proposed if e["environment"] != "sealed-good"]
        plans = [e["operation"].replace("op_", "plan_") for e in waited]
        levels = {
            plan: self.ask("infra.plan.show", plan=plan)["operation"]["level"] for plan in plans
        }
        wanted = sorted(plan for plan in plans if levels[plan] >= 2)
        announced = lambda: sorted(  # noqa: E731
            body["plan"]["plan_id"]
            for body in WORLD.client.announced
            if body["plan"]["plan_id"] in levels
        )
        WORLD.run(
            WORLD.client.until("the announcements", lambda: len(announced()) >= len(wanted))
        )
        self.assertEqual(announced(), wanted)


if __name__ == "__main__":
    unittest.main()
