"""Tasks of the platform, routed to the agent: gates, votes and progress.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_orchestrator.py
"""

import asyncio
import json
import logging
import signal
import unittest

from nats.errors import NoRespondersError

import agent
import nats_server
from breakable import Proxy, until

# About connections that end, which is no news here.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
logging.getLogger("nats").setLevel(logging.CRITICAL)
# So many followed tasks that a subscription for each would be too many.
MANY = 300
# A plan of T1 that needs two persons: it passes the gate, and then waits.
GLASS = "the audit is not over"


class Router(agent.Process):
    """`exokit orchestrator`."""

    def __init__(self, place, nats, *options):
        variables = place.variables()
        variables["EXOKIT_NATS_PASSWORD"] = nats.place.passwords["orchestrator"]
        self.audit = place.folder / "audit.jsonl"
        arguments = ["orchestrator", "--nats", nats.url(), "--nats-user", "orchestrator"]
        arguments += ["--nats-ca", nats.place.ca, "--log-format", "text"]
        arguments += ["--audit", str(self.audit)]
        super().__init__([*arguments, *options], variables, place.folder / "router.log")

    def logged(self, text):
        """How many lines of the log have this text."""
        return sum(text in line for line in self.log.read_text("utf-8").splitlines())


class Behind(nats_server.Server):
    """A server that is reached over a way that can be cut."""

    def __init__(self, place, way):
        self.way = way
        super().__init__(place)
        way.to = self.port

    def url(self):
        return f"tls://localhost:{self.way.port}"


class Seen:
    """A server that is reached over another way than its own."""

    def __init__(self, place, way):
        self.place = place
        self.way = way

    url = Behind.url
    trust = Behind.trust
    connect = Behind.connect


class Given:
    """A task that was given, and what is heard of it."""

    # Updates after which nothing more comes.
    LAST = {"ended", "refused", "unfollowed"}

    def __init__(self, task):
        self.task = task
        self.heard = asyncio.Queue()

    async def next(self):
        """The next update: its kind, and what it says."""
        async with asyncio.timeout(agent.PATIENCE):
            update = json.loads(await self.heard.get())
        assert (update["schema_version"], update["task"]) == (1, self.task), update
        [(kind, said)] = update["update"].items()
        return kind, said

    async def events(self):
        """All events up to the last update, and how that is called."""
        events = []
        while True:
            kind, said = await self.next()
            if kind in self.LAST:
                return [*events, said], kind
            events.append(said)

    async def until(self, event):
        """The updates up to an event of this type."""
        heard = []
        while not heard or heard[-1]["event"]["type"] != event:
            kind, said = await self.next()
            assert kind == "progress", (kind, said)
            heard.append(said)
        return heard


class Giver:
    """Who gives tasks, and hears of all over one subscription."""

    def __init__(self, connection):
        self.connection = connection
        self.inbox = connection.new_inbox()
        self.given = []
        self.subscription = None

    async def heard(self, message):
        number = int(message.subject.removeprefix(f"{self.inbox}."))
        self.given[number].heard.put_nowait(message.data)

    async def begin(self, task, data=None, **body):
        if self.subscription is None:
            self.subscription = await self.connection.subscribe(f"{self.inbox}.*", cb=self.heard)
        given, reply = Given(task), f"{self.inbox}.{len(self.given)}"
        self.given.append(given)
        data = json.dumps({"schema_version": 1, **body}).encode() if data is None else data
        await self.connection.publish(f"orchestrator.task.{task}", data, reply=reply)
        return given

    async def give(self, task, ends=1, **body):
        """The updates of a task: the first ones, or all up to its end."""
        given = await self.begin(task, **body)
        updates = []
        async with asyncio.timeout(agent.PATIENCE):
            while not self.is_over(updates, ends):
                updates.append(dict([await given.next()]))
        return updates

    @staticmethod
    def is_over(updates, ends):
        if ends is None:
            return updates and not Given.LAST.isdisjoint(updates[-1])
        return len(updates) >= ends

    async def answered(self, task, **body):
        [update] = await self.give(task, **body)
        assert "answered" in update, update
        return update["answered"]["result"]

    async def refused(self, task, **body):
        [update] = await self.give(task, **body)
        assert "refused" in update, update
        return update["refused"]["status"], update["refused"]["code"]


class Platform(unittest.IsolatedAsyncioTestCase):
    """Server, agent, orchestrator and who gives tasks."""

    async def asyncSetUp(self):
        self.stack = agent.contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        folder = self.stack.enter_context(agent.folder())
        (folder / "nats").mkdir()
        self.place = agent.with_roster(folder / "state")
        self.server_place = nats_server.Place(folder / "nats")
        await self.start()
        self.addAsyncCleanup(self.giver.connection.close)
        await self.routed()

    async def start(self):
        self.nats = self.stack.enter_context(nats_server.Server(self.server_place))
        self.agent = self.stack.enter_context(agent.Agent(self.place, self.nats))
        self.router = self.stack.enter_context(Router(self.place, self.nats))
        self.giver = Giver(await self.nats.connect("orchestrator"))

    async def routed(self):
        """Until tasks are subscribed to."""
        for _ in range(200):
            try:
                await self.giver.connection.request("orchestrator.task.none", b"{}", timeout=5)
                return
            except NoRespondersError:
                await asyncio.sleep(0.05)
        raise TimeoutError("tasks are not routed")

    async def waiting(self, name):
        """A followed task whose plan of level 3 waits, with its operation."""
        ask = {"template": "T1", "name": name, "break_glass": GLASS}
        given = await self.giver.begin("infra.provision", requester="dana", ask=ask)
        kind, answer = await given.next()
        self.assertEqual(kind, "answered", answer)
        operation = answer["result"]
        self.assertEqual((operation["level"], operation["phase"]), (3, "awaiting-approval"))
        return given, operation

    async def approve(self, operation):
        """Past the bus."""
        for person in ("alex", "kim"):
            wanted = ["approve", operation["plan_id"], "--yes"]
            await asyncio.to_thread(self.place.text, *wanted, person=person)

    async def ready(self, name):
        async def is_ready():
            shown = await asyncio.to_thread(self.place.json, "show", name)
            return shown["phase"] == "ready"

        await until(is_ready, agent.PATIENCE, f"{name} is ready")


class Tasks(Platform):
    async def vote(self, person, plan_id):
        wanted = ["approve", plan_id, "--yes", "--print-token"]
        token = await asyncio.to_thread(self.place.text, *wanted, person=person)
        return token.strip()

    def audited(self):
        lines = self.router.audit.read_text("utf-8").splitlines()
        lines = [json.loads(line) for line in lines]
        return [(line["person"], line["plan_digest"]) for line in lines if line["verified"]]

    async def test_tasks_are_routed_by_the_table(self):
        chosen = await self.giver.answered("infra.select", database="pg")
        self.assertEqual(chosen["template"], "T3")
        listed = await self.giver.answered("infra.status.list")
        self.assertEqual(listed, {"environments": []})
        self.assertEqual(await self.giver.refused("infra.format"), (404, "unknown-task"))
        [update] = await self.giver.give("infra.status", environment="nowhere")
        self.assertEqual(update["answered"]["error"]["status"], 404)

    async def test_a_small_provision_needs_no_vote_and_its_progress_comes_back(self):
        wanted = {"requester": "dana", "ask": {"template": "T1", "name": "small"}}
        updates = await self.giver.give("infra.provision", None, **wanted)
        kinds = [next(iter(update)) for update in updates]
        self.assertEqual((kinds[0], kinds[-1]), ("answered", "ended"), kinds)
        self.assertGreater(kinds.count("progress"), 3)
        self.assertEqual(updates[-1]["ended"]["event"]["type"], "operation-succeeded")
        self.assertEqual(self.audited(), [])

    async def test_t3_needs_a_vote_that_verifies_before_it_is_handed_on(self):
        ask = {"template": "T3", "name": "store"}
        refused = await self.giver.refused("infra.provision", requester="dana", ask=ask)
        self.assertEqual(refused, (422, "approval-required"))
        by_need = {"requirements": {"database": "pg"}}
        refused = await self.giver.refused("infra.provision", requester="dana", ask=by_need)
        self.assertEqual(refused, (422, "approval-required"))
        self.assertEqual(self.place.json("list"), [])
        plan = await self.giver.answered("infra.plan", requester="dana", provision=ask)
        sealed = {"plan": plan["plan"], "seal": plan["seal"]}
        key = agent.Key()
        self.place.text("approver", "add", "kim", "--public", key.public)
        forged = agent.Key()
        for token, code in (
            (forged.vote("kim", plan), "unknown-key"),
            (key.vote("dana", plan), "unknown-key"),
            (key.vote("kim", {**plan, "digest": "0" * 64}), "wrong-plan"),
            (key.vote("kim", plan, decision="deny"), "denied"),
            ([key.vote("kim", plan), key.vote("kim", plan, decision="deny")], "denied"),
            ("nonsense", "malformed"),
        ):
            refused = await self.giver.refused(
                "infra.provision", requester="dana", sealed=sealed, approval_token=token
            )
            self.assertEqual(refused, (422, code))
        self.assertEqual((self.audited(), self.place.json("list")), ([], []))
        updates = await self.giver.give(
            "infra.provision", None, requester="dana", sealed=sealed, approval_token=key.vote("kim", plan)
        )
        self.assertEqual(updates[-1]["ended"]["event"]["type"], "operation-succeeded", updates[0])
        self.assertEqual(self.audited(), [("kim", plan["digest"])])
        await self.remove("store")

    async def remove(self, name):
        """Every teardown needs a vote; one that loses data needs two."""
        task = {"requester": "dana", "remove": {"environment": name}}
        refused = await self.giver.refused("infra.teardown", **task)
        self.assertEqual(refused, (422, "approval-required"))
        plan = await self.giver.answered(
            "infra.plan", requester="dana", teardown={"environment": name}
        )
        recorded = self.place.run("teardown", name, person="dana")
        self.assertEqual(recorded.returncode, 3, recorded.stderr)
        [waiting] = [each["plan_id"] for each in self.place.json("show", name)["open"]]
        self.assertNotEqual(plan["plan_id"], waiting)
        tokens = [await self.vote(person, waiting) for person in ("alex", "kim")]
        same_role = [tokens[0], await self.vote("lee", waiting)]
        for some, code in (
            (tokens[0], "missing-votes"),
            ([tokens[0], tokens[0]], "missing-votes"),
            (same_role, "missing-role"),
        ):
            refused = await self.giver.refused(
                "infra.teardown", requester="dana", plan_id=waiting, approval_token=some
            )
            self.assertEqual(refused, (422, code))
        updates = await self.giver.give(
            "infra.teardown", None, requester="dana", plan_id=waiting, approval_token=tokens
        )
        self.assertEqual(updates[-1]["ended"]["event"]["type"], "operation-succeeded", updates[0])
        self.assertEqual([person for person, _ in self.audited()][-2:], ["alex", "kim"])
        self.assertEqual(self.place.json("list"), [])


    async def test_every_vote_that_is_handed_on_is_in_the_log_before(self):
        plan = await asyncio.to_thread(self.place.json, "up", "T3", "--name", "store", code=3)
        key, forger = agent.Key(), agent.Key()
        self.place.text("approver", "add", "kim", "--public", key.public)
        forged = forger.vote("kim", plan, decision="deny")
        other = key.vote("kim", {**plan, "digest": "0" * 64})
        good = key.vote("kim", plan)
        codes = []
        for task, token in (("deny", forged), ("approve", other), ("approve", good)):
            [update] = await self.giver.give(f"infra.{task}", approval_token=token)
            codes.append(update["answered"].get("error", {}).get("code"))
        # What the log says of a vote is what the agent says of it.
        self.assertEqual((codes[0], codes[2]), ("unknown-key", None))
        self.assertIsNotNone(codes[1])
        self.assertTrue(update["answered"]["result"]["enough"], update)
        # What is no token goes nowhere.
        self.assertEqual(
            await self.giver.refused("infra.approve", approval_token="nonsense"), (422, "malformed")
        )
        await self.ready("store")
        lines = [json.loads(line) for line in self.router.audit.read_text("utf-8").splitlines()]
        for line in lines:
            self.assertRegex(line.pop("at"), r"^20\d\d-\d\d-\d\dT")
        self.assertEqual(
            lines,
            [
                self.line("infra.deny", forged, codes[0]),
                self.line("infra.approve", other, codes[1]),
                self.line("infra.approve", good, codes[2]),
            ],
        )

    @staticmethod
    def line(task, token, flaw):
        part = token.split(".")[1]
        claims = json.loads(agent.base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        del claims["issued_at"], claims["expires_at"]
        return {"task": task, "verified": flaw is None, "flaw": flaw, **claims}

    async def test_votes_on_what_needs_none_are_in_the_log_too(self):
        ask = {"template": "T1", "name": "small"}
        plan = await self.giver.answered("infra.plan", requester="dana", provision=ask)
        sealed = {"plan": plan["plan"], "seal": plan["seal"]}
        key = agent.Key()
        self.place.text("approver", "add", "kim", "--public", key.public)
        tokens = [key.vote("kim", plan), agent.Key().vote("kim", plan)]
        wanted = {"requester": "dana", "sealed": sealed, "approval_token": tokens}
        [update] = await self.giver.give("infra.provision", **wanted)
        # The agent judges for itself.
        self.assertEqual(update["answered"]["error"]["code"], "unknown-key")
        lines = [json.loads(line) for line in self.router.audit.read_text("utf-8").splitlines()]
        found = [(line["task"], line["verified"], line["flaw"]) for line in lines]
        self.assertEqual(
            found, [("infra.provision", True, None), ("infra.provision", False, "unknown-key")]
        )

    async def test_messages_that_are_none(self):
        token = agent.Key().vote("kim", {"digest": "0" * 64, "action": "extend", "level": 1, "environment": "x"})
        tokens = json.dumps({"schema_version": 1, "approval_token": [token] * 9}).encode()
        for data, kind, status, code in (
            (b"", "refused", 400, "malformed"),
            (b"\xff\xfe{", "refused", 400, "malformed"),
            (b"[]", "refused", 400, "malformed"),
            (b"[" * 5000, "refused", 400, "malformed"),
            (b'{"schema_version":1,"schema_version":1}', "refused", 400, "malformed"),
            (b'{"schema_version":1,"x":"' + b"x" * 900_000 + b'"}', "refused", 413, "too-large"),
            (b'{"schema_version":1,"approval_token":7}', "refused", 400, "field"),
            (tokens, "refused", 400, "field"),
            (b"{}", "answered", 400, "schema-version"),
            (b'{"schema_version":1,"sudo":true}', "answered", 400, "field"),
        ):
            with self.subTest(data[:40]):
                given = await self.giver.begin("infra.extend", data)
                found, said = await given.next()
                said = said["error"] if found == "answered" else said
                self.assertEqual((found, said["status"], said["code"]), (kind, status, code))
        # Who can hear no answer gets nothing done.
        wanted = {"requester": "dana", "ask": {"template": "T1", "name": "unheard"}}
        data = json.dumps({"schema_version": 1, **wanted}).encode()
        for reply in ("", "infra.events.x.operation-succeeded", "orchestrator.answers"):
            await self.giver.connection.publish("orchestrator.task.infra.provision", data, reply=reply)
        self.assertEqual(await self.giver.answered("infra.status.list"), {"environments": []})
        self.assertEqual(self.router.logged("the message has no inbox for the reply"), 3)
        self.assertEqual(self.audited(), [])

    async def test_tasks_that_are_sent_again(self):
        ask = {"template": "T1", "name": "once"}
        wanted = {"requester": "dana", "idempotency_key": "k1", "ask": ask}
        first = await self.giver.give("infra.provision", None, **wanted)
        again = await self.giver.answered("infra.provision", **wanted)
        self.assertEqual(again["operation"], first[0]["answered"]["result"]["operation"])
        self.assertEqual(again["phase"], "succeeded")
        other = {**wanted, "ask": {**ask, "name": "other"}}
        [update] = await self.giver.give("infra.provision", **other)
        error = update["answered"]["error"]
        self.assertEqual((error["status"], error["code"]), (409, "idempotency-conflict"))
        names = [each["environment"] for each in self.place.json("list")]
        self.assertEqual(names, ["once"])

    async def test_a_task_that_is_sent_while_another_waits_hears_the_same_end(self):
        ask = {"template": "T1", "name": "glass", "break_glass": GLASS}
        wanted = {"requester": "dana", "idempotency_key": "k1", "ask": ask}
        given = [await self.giver.begin("infra.provision", **wanted) for _ in range(2)]
        answers = [await each.next() for each in given]
        operation = answers[0][1]["result"]
        self.assertEqual(answers[1][1]["result"]["operation"], operation["operation"])
        await self.approve(operation)
        heard = [await each.events() for each in given]
        self.assertEqual(heard[0], heard[1])
        events, kind = heard[0]
        self.assertEqual((kind, events[-1]["event"]["type"]), ("ended", "operation-succeeded"))

    async def test_many_are_followed_over_one_subscription(self):
        given = {}
        for number in range(MANY):
            given[number], operation = await self.waiting(f"many-{number}")
        await self.approve(operation)
        events, kind = await given[MANY - 1].events()
        self.assertEqual((kind, events[-1]["event"]["type"]), ("ended", "operation-succeeded"))
        [router] = [
            each
            for each in self.nats.monitor("/connz?subs=1")["connections"]
            if each.get("name") == "exokit orchestrator"
        ]
        self.assertLess(router["subscriptions"], 40, router)
        # All others hear that they are left.
        self.assertEqual(await asyncio.to_thread(self.router.stop), 0)
        for number in range(MANY - 1):
            events, kind = await given[number].events()
            self.assertEqual((kind, events[-1]["code"]), ("unfollowed", "stopping"))


class Ends(Platform):
    """What is under way when the orchestrator is told to end."""

    def to_agent(self):
        """How many messages the server has sent to the agent."""
        found = self.nats.monitor("/connz")["connections"]
        return next(each["out_msgs"] for each in found if "AZ-INFRA-001" in each.get("name", ""))

    async def end_while_asked(self):
        """The router is told to end while a task of it waits for the agent,
        which is held; gives the task and what waits for the end."""
        self.agent.process.send_signal(signal.SIGSTOP)
        self.addCleanup(self.agent.process.send_signal, signal.SIGCONT)
        before = self.to_agent()
        given = await self.giver.begin("infra.status.list")
        await until(lambda: self.to_agent() > before, agent.PATIENCE, "the agent is asked")
        ending = asyncio.create_task(asyncio.to_thread(self.router.stop))
        await until(self.takes_none, agent.PATIENCE, "no more tasks are taken")
        self.assertFalse(ending.done())
        return given, ending

    async def takes_none(self):
        try:
            await self.giver.connection.request("orchestrator.task.none", b"{}", timeout=5)
        except NoRespondersError:
            return True
        return False

    async def test_what_is_asked_is_answered_first(self):
        given, ending = await self.end_while_asked()
        self.agent.process.send_signal(signal.SIGCONT)
        kind, answer = await given.next()
        self.assertEqual((kind, answer["result"]), ("answered", {"environments": []}))
        self.assertEqual(await ending, 0)

    async def test_what_is_not_answered_in_time_is_told_so(self):
        given, ending = await self.end_while_asked()
        kind, said = await given.next()
        self.assertEqual((kind, said["status"], said["code"]), ("refused", 503, "stopping"))
        self.assertEqual(await ending, 0)


class Outage(Platform):
    """The server goes away, and comes back."""

    async def start(self):
        self.way = await Proxy().start()
        self.addAsyncCleanup(self.way.stop)
        self.nats = Behind(self.server_place, self.way)
        self.stack.callback(lambda: self.nats.__exit__())
        # Both read their first line from a server that this loop leads to.
        started = asyncio.to_thread(agent.Agent, self.place, self.nats)
        self.agent = self.stack.enter_context(await started)
        started = asyncio.to_thread(Router, self.place, self.nats)
        self.router = self.stack.enter_context(await started)
        self.giver_way = await Proxy().start()
        self.addAsyncCleanup(self.giver_way.stop)
        self.giver_way.to = self.nats.port
        patient = {"allow_reconnect": True, "reconnect_time_wait": 0.1, "max_reconnect_attempts": -1}
        seen = Seen(self.server_place, self.giver_way)
        self.giver = Giver(await seen.connect("orchestrator", **patient))
        self.addAsyncCleanup(self.end)

    async def end(self):
        """Both processes need the way to the server until they have ended."""
        for process in (self.router, self.agent):
            await asyncio.to_thread(process.stop)

    def sent_by_router(self):
        found = self.nats.monitor("/connz")["connections"]
        return sum(each["in_msgs"] for each in found if each.get("name") == "exokit orchestrator")

    async def test_a_server_that_is_killed_between_answer_and_end(self):
        given, operation = await self.waiting("glass")
        heard = await given.until("plan-proposed")
        self.giver_way.hold()
        self.nats.process.kill()
        await asyncio.to_thread(self.nats.__exit__)
        await until(lambda: self.router.logged("NATS is lost"), agent.PATIENCE, "it is lost")
        await self.approve(operation)
        await self.ready("glass")
        # Everything has happened without a server.
        self.assertEqual(self.way.through, 0)
        self.nats = await asyncio.to_thread(Behind, self.server_place, self.way)
        # The router comes back first, and tries until the giver is there, too.
        await until(lambda: self.sent_by_router() > 10, agent.PATIENCE, "it has tried")
        self.assertEqual((self.giver_way.through, given.heard.qsize()), (0, 0))
        self.giver_way.to = self.nats.port
        self.giver_way.heal()
        events, kind = await given.events()
        self.assertEqual((kind, events[-1]["event"]["type"]), ("ended", "operation-succeeded"))
        self.assertIn("operation-started", [each["event"]["type"] for each in events])
        numbers = [each["seq"] for each in heard + events]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertGreaterEqual(self.router.logged("NATS is connected"), 1)


class Alone(Platform):
    """The orchestrator alone loses the server."""

    async def start(self):
        self.way = await Proxy().start()
        self.addAsyncCleanup(self.way.stop)
        self.nats = self.stack.enter_context(nats_server.Server(self.server_place))
        self.agent = self.stack.enter_context(agent.Agent(self.place, self.nats))
        seen = Seen(self.server_place, self.way)
        starting = asyncio.create_task(asyncio.to_thread(Router, self.place, seen))
        # Nobody is there yet where the way leads to.
        log = self.place.folder / "router.log"
        await until(
            lambda: log.exists() and "NATS is not reached yet" in log.read_text(),
            agent.PATIENCE,
            "the router waits for the server",
        )
        self.assertFalse(starting.done())
        self.way.to = self.nats.port
        self.router = self.stack.enter_context(await starting)
        self.giver = Giver(await self.nats.connect("orchestrator"))
        self.addAsyncCleanup(self.end)

    async def end(self):
        await asyncio.to_thread(self.router.stop)

    async def test_what_was_published_meanwhile_is_asked_for(self):
        published = await self.giver.connection.subscribe("infra.events.glass.>")
        given, operation = await self.waiting("glass")
        heard = await given.until("plan-proposed")
        self.way.hold()
        self.assertEqual(self.way.cut(), 1)
        await until(lambda: self.router.logged("NATS is lost"), agent.PATIENCE, "it is lost")
        await self.approve(operation)
        numbers = []
        while True:
            event = json.loads((await published.next_msg(timeout=agent.PATIENCE)).data)
            numbers.append(event["seq"])
            if event["event"]["type"] == "operation-succeeded":
                break
        # The last event was published, and the router was not there.
        self.assertEqual((self.way.through, self.router.logged("NATS is connected")), (0, 0))
        self.way.heal()
        events, kind = await given.events()
        self.assertEqual((kind, events[-1]["event"]["type"]), ("ended", "operation-succeeded"))
        # One that was on its way when the connection was lost may come twice.
        told = [each["seq"] for each in heard + events]
        self.assertEqual(sorted(told), told)
        self.assertEqual(sorted(set(told)), numbers)
        self.assertEqual(self.router.logged("came from the agent"), 1)


class Tables(unittest.TestCase):
    def test_a_table_that_opens_a_gate_is_refused(self):
        with agent.folder() as folder:
            place = agent.Place(folder / "state")
            table = folder / "routes.yaml"
            table.write_text(
                "tasks: { t: { subject: infra.teardown, gate: open, timeout_seconds: 5 } }\n"
            )
            wanted = ["orchestrator", "--nats", "nats://127.0.0.1:9", "--routes", str(table)]
            error = place.refusal(*wanted, code=2)
            self.assertIn("needs at least the gate approval", error["why"])
            table.write_text("tasks: { t: { subject: infra.status, gates: open } }\n")
            error = place.refusal(*wanted, code=2)
            self.assertIn("gates", error["why"])


if __name__ == "__main__":
    unittest.main()
