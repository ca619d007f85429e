"""What happens to requests, work and events when processes and connections die.

pip install -r ../requirements.txt
EXOKIT_BIN=target/release/exokit EXOKIT_NATS_SERVER=nats-server python3 test_chaos.py

The moments come from a seed that is printed; EXOKIT_CHAOS_SEED takes another
one. Processes are not scheduled by it, so a second run with one seed is alike,
not the same.
"""

import asyncio
import collections
import concurrent.futures
import datetime
import json
import logging
import os
import random
import shutil
import signal
import time
import unittest

from breakable import (
    ENDS,
    SILENCE,
    UNANSWERED,
    Listener,
    Requester,
    Roster,
    World,
    add_stream,
    stream_ids,
    temporary,
    until,
    within,
)

# About connections that end, which is no news here.
logging.getLogger("asyncio").setLevel(logging.CRITICAL)
logging.getLogger("nats").setLevel(logging.CRITICAL)

SEED = int(os.environ.get("EXOKIT_CHAOS_SEED", "20261123"))
# Asked for at once, each by so many senders under one key.
MINIMAL = 40
SENDERS = 4
# Asked for later, one by one.
LATE = 20
# (template, how many, the persons whose votes it takes)
APPROVED = (("T3", 4, ("alex",)), ("T7", 2, ("alex", "kim")))
CONFLICTS = 20
# Environments that are removed while everything breaks.
REMOVED_EARLY = 15
# Longest wait for the cloud's signatures to expire, and for what comes then.
LAST_WORK = 120
# How often something must have been done to a process or a connection, and
# how often its effect must have been seen. Agent and server: 100 kills.
# Kinds inside a cluster, which the account does not list.
IN_CLUSTER = {
    "namespace", "resource-quota", "limit-range", "service-account", "role", "role-binding",
    "config-map", "secret", "network-policy", "persistent-volume-claim", "deployment", "service",
    "ingress", "horizontal-pod-autoscaler", "pod-disruption-budget",
}

INJECTED = {
    "agent killed": 75,
    "server killed": 25,
    "store wiped": 5,
    "connection held up": 15,
}
EFFECTS = {
    "lives that took work over": 20,
    "operations taken over": 100,
    "kills while operations were under way": 40,
    "same operation after a lost reply": 1,
    "creates adopted": 1,
    "creates found absent": 3,
    "events published again": 1,
    "stream filled again": 1,
    "connected again in the same life": 10,
    "held up with messages on the way": 3,
    "conflicts refused": CONFLICTS,
    "hostile messages refused": 10,
    "environments removed meanwhile": REMOVED_EARLY,
}
UNDER_WAY = ("running", "rolling-back")
# Causes for which an operation may wait for a human.
CAUSES = {"attempts-exhausted"}

# (what, payload, status): answered, each with a refusal.
HOSTILE = (
    ("nothing", b"", 400),
    ("no JSON", b"\xff\xfe{", 400),
    ("deep", b"[" * 5000, 400),
    ("no object", b"7", 400),
    ("no version", b"{}", 400),
    ("other version", b'{"schema_version":2,"requester":"dana"}', 400),
    ("same field twice", b'{"schema_version":1,"schema_version":1}', 400),
    ("unknown field", b'{"schema_version":1,"requester":"dana","sudo":true}', 400),
    ("no ask", b'{"schema_version":1,"requester":"dana"}', 400),
    (
        "a path for a name",
        b'{"schema_version":1,"requester":"dana","ask":{"template":"T1","name":"../x"}}',
        400,
    ),
    (
        "huge number",
        b'{"schema_version":1,"requester":"dana","ask":{"template":"T1","ttl_seconds":1e400}}',
        400,
    ),
    (
        "long key",
        b'{"schema_version":1,"requester":"dana","idempotency_key":"'
        + b"k" * 129
        + b'"}',
        400,
    ),
    (
        "no such template",
        b'{"schema_version":1,"requester":"dana","ask":{"template":"T9"}}',
        400,
    ),
    ("large", b'{"schema_version":1,"x":"' + b"x" * 900_000 + b'"}', 413),
)


def wanted(template, name):
    return {"ask": {"template": template, "name": name}}


async def all_of(tasks):
    """Waits for all; not for ever, and not for what ignores that it is stopped."""
    done, pending = await asyncio.wait(tasks, timeout=LAST_WORK)
    assert not pending, [str(task.get_coro()) + str(task.get_stack()) for task in pending]
    for task in done:
        task.result()


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class Chaos:
    """Requests in flight, and all that happens to them meanwhile."""

    def __init__(self, world, rng):
        self.world = world
        self.rng = rng
        self.requester = Requester(world)
        self.listener = Listener(world, rng)
        self.listener.AWAY = 1.0
        # Nobody publishes what was recorded before the first agent.
        self.before = len(world.ledger.refresh().records)
        self.counts = collections.Counter()
        # Last record in the ledger at each kill.
        self.kills = collections.Counter()
        # (subject, key) -> the operations that were named in answers.
        self.named = collections.defaultdict(set)
        self.last_sent = {}
        self.wrong = []
        self.resumed = collections.Counter()
        self.late = []

    # What is asked.

    async def change(self, subject, body, key):
        """A change under a key, asked until it is answered."""
        sendings = []
        reply = await self.requester.ask(
            subject, body, key, on_send=lambda: sendings.append(now())
        )
        if "result" in reply:
            self.named[key].add(reply["result"]["operation"])
            if len(sendings) > 1:
                self.last_sent[key] = max(
                    sendings[-1], self.last_sent.get(key, sendings[-1])
                )
            return reply["result"]
        self.wrong.append((subject, key, reply["error"]))
        return None

    async def vote(self, operation, *persons):
        for person in persons:
            token = self.world.keys[person].vote(person, operation)
            reply = await self.requester.ask("infra.approve", {"approval_token": token})
            error = reply.get("error")
            # A vote whose answer was lost may have started the operation.
            if error:
                self.wrong.append(("infra.approve", operation["environment"], error))

    async def provision(self, template, name, voters=()):
        body = wanted(template, name)
        operation = await self.change("infra.provision", body, f"make/{name}")
        if operation and voters:
            await self.vote(operation, *voters)
        return operation

    async def conflict(self, name):
        """The key of a request that was answered, with another body."""
        await self.provision("T1", name)
        body = wanted("T1", f"{name}-other")
        reply = await self.requester.ask("infra.provision", body, f"make/{name}")
        if reply.get("error", {}).get("code") == "idempotency-conflict":
            self.counts["conflicts refused"] += 1
        else:
            self.wrong.append(("conflict", name, reply))

    async def hostile(self, what, payload, status):
        while True:
            try:
                reply = await self.requester.send("infra.provision", payload)
            except SILENCE:
                await asyncio.sleep(0.2)
                continue
            error = reply.get("error", {})
            if error.get("status") in Requester.PASSING:
                await asyncio.sleep(0.2)
                continue
            if error.get("status") == status:
                self.counts["hostile messages refused"] += 1
            else:
                self.wrong.append(("hostile", what, reply))
            return

    async def misdirected(self):
        """Wants its answers as events, or not at all, all the time."""
        body = {"schema_version": 1, "requester": "dana", **wanted("T1", "forged")}
        payload = json.dumps(body).encode()
        for reply in ("infra.events.forged.operation-succeeded", "") * 20:
            try:
                client = await self.requester.connection()
                await within(1, client.publish("infra.provision", payload, reply=reply))
            except SILENCE:
                pass
            await asyncio.sleep(0.5)

    async def remove(self, name):
        body = {"remove": {"environment": name}}
        operation = await self.change("infra.teardown", body, f"remove/{name}")
        if operation:
            await self.vote(operation, *(("alex", "kim")[: operation["level"] - 1]))
        return operation

    async def remove_when_ready(self, name):
        def ready():
            operation = next(iter(self.named[f"make/{name}"]), None)
            ledger = self.world.ledger
            return operation and ledger.phase(operation) == "succeeded"

        await until(ready, LAST_WORK, f"{name} was not made", pause=0.2)
        await self.remove(name)
        self.counts["environments removed meanwhile"] += 1

    def requests(self):
        minimal = [f"minimal-{n}" for n in range(MINIMAL)]
        for _ in range(SENDERS):
            yield from (self.provision("T1", name) for name in minimal)
        for template, count, voters in APPROVED:
            for n in range(count):
                name = f"{template.lower()}-{n}"
                yield self.provision(template, name, voters)
        yield from (self.conflict(name) for name in minimal[:CONFLICTS])
        yield from (self.hostile(*case) for case in HOSTILE)
        early = self.rng.sample(minimal, REMOVED_EARLY)
        yield from (self.remove_when_ready(name) for name in early)

    async def ask_late(self, pause):
        """One request after the other, each by two senders."""
        for n in range(LATE):
            await self.pause(0, 2 * pause)
            for _ in range(2):
                work = self.provision("T1", f"late-{n}")
                self.late.append(asyncio.ensure_future(work))

    # What goes wrong.

    def pause(self, low, high):
        return asyncio.sleep(self.rng.uniform(low, high))

    async def no_longer_than(self, seconds, condition):
        """Waits for a good moment, and does without it if it does not come."""
        end = time.monotonic() + seconds
        while not condition() and time.monotonic() < end:
            await asyncio.sleep(0.01)

    async def kill_agents(self, count):
        """Some while they start, most after they have recorded something, the
        others when all their doors are open."""
        ledger = self.world.ledger
        for _ in range(count):
            moment = self.rng.random()
            if moment < 0.2:
                await self.pause(0, 0.3)
            elif moment < 0.65:
                enough = len(ledger.refresh().records) + self.rng.randrange(2, 40)
                await self.no_longer_than(
                    1, lambda: len(ledger.refresh().records) >= enough
                )
            else:
                ready = asyncio.ensure_future(self.world.agent_ready())
                await self.no_longer_than(3, ready.done)
                ready.cancel()
                await self.pause(0, 0.4)
            await self.kill_agent()

    async def kill_agent(self):
        agent = self.world.agent
        if agent.returncode is not None:
            log = self.world.log(self.world.lives).read_text()
            self.wrong.append(("the agent ended", agent.returncode, log[-2000:]))
        else:
            agent.kill()
            self.counts["agent killed"] += 1
        await agent.wait()
        ledger = self.world.ledger.refresh()
        if ledger.records:
            self.kills[ledger.records[-1][2]["event"]["type"]] += 1
        active = [o for o in ledger.plans if ledger.phase(o) in UNDER_WAY]
        self.counts["kills while operations were under way"] += bool(active)
        await self.world.start_agent()

    async def connected(self):
        """When the agent has a way to the server."""
        await self.no_longer_than(3, lambda: self.world.proxy.through)

    async def kill_servers(self, count):
        for turn in range(count):
            await self.connected()
            await self.pause(0, 0.6)
            await self.world.stop_server(kill=True)
            self.counts["server killed"] += 1
            if turn % 4 == 3:
                self.world.wipe()
                self.counts["store wiped"] += 1
            await self.pause(0.0, 0.4)
            await self.world.start_server()

    async def hold_connections(self, count):
        proxy = self.world.proxy
        for _ in range(count):
            await self.connected()
            await self.pause(0, 0.3)
            before = proxy.held
            proxy.hold()
            await self.no_longer_than(1, lambda: proxy.held > before)
            await self.pause(0, 0.4)
            self.counts["connection held up"] += 1
            self.counts["held up with messages on the way"] += proxy.held > before
            if self.rng.random() < 0.5:
                self.counts["connection cut"] += proxy.cut()
            proxy.heal()

    async def cut_connections(self, count):
        for _ in range(count):
            await self.connected()
            await self.pause(0, 0.15)
            self.counts["connection cut"] += self.world.proxy.cut()

    async def keep_stream(self):
        """As the platform does: a stream takes all events. Made again when it
        is gone."""
        while True:
            try:
                await add_stream(self.world)
                server = self.world.server
                while self.world.server is server:
                    await asyncio.sleep(0.05)
            except SILENCE:
                await asyncio.sleep(0.1)

    async def watch_ledger(self):
        while True:
            self.world.ledger.refresh()
            await asyncio.sleep(0.2)

    async def monkey(self):
        """The agent, then everything, then all around the agent: what its last
        kills left in doubt settles meanwhile."""
        await self.no_longer_than(20, lambda: len(self.world.ledger.plans) > 5)
        late = asyncio.ensure_future(self.ask_late(1.5))
        await self.kill_agents(54)
        await asyncio.gather(self.kill_agents(21), self.kill_servers(8))
        await asyncio.gather(self.kill_servers(18), self.cut_connections(10))
        await self.hold_connections(15)
        await self.cut_connections(20)
        await late

    # How it ends.

    async def settle(self):
        """Until nothing is under way; what waits for a human is looked at and
        told to go on."""
        ledger = self.world.ledger

        async def settled():
            ledger.refresh()
            phases = {operation: ledger.phase(operation) for operation in ledger.plans}
            for operation, phase in phases.items():
                if phase == "needs-human":
                    await self.resume(operation)
            return all(phase in ENDS.values() for phase in phases.values())

        await until(settled, LAST_WORK, lambda: self.open(), pause=0.2)

    async def resume(self, operation):
        events = self.world.ledger.by_operation[operation]
        parked = [e["event"] for e in events if e["event"]["type"] == "operation-parked"]
        cause = parked[-1]["why"]["cause"]
        self.resumed[cause] += 1
        if cause not in CAUSES:
            self.wrong.append(("parked", operation, parked[-1]))
        name = self.world.ledger.plans[operation]["environment"]
        await self.requester.ask("infra.resume", {"environment": name})

    def open(self):
        ledger = self.world.ledger
        phases = {o: ledger.phase(o) for o in ledger.plans}
        return {
            o: (phase, [e["event"] for e in ledger.by_operation[o]][-3:])
            for o, phase in phases.items()
            if phase not in ENDS.values()
        }

    async def run(self):
        world = self.world
        await world.start_agent()
        await world.agent_ready()
        background = [
            asyncio.ensure_future(task)
            for task in (
                self.listener.run(),
                self.keep_stream(),
                self.watch_ledger(),
                self.misdirected(),
            )
        ]
        begun = time.monotonic()
        requests = [asyncio.ensure_future(request) for request in self.requests()]
        self.counts["requests in flight"] = len(requests)
        monkey = asyncio.ensure_future(self.monkey())
        await monkey
        self.times = {"chaos": time.monotonic() - begun}
        await all_of(requests + self.late)
        self.times["all answered"] = time.monotonic() - begun
        await self.settle()
        self.times["settled"] = time.monotonic() - begun
        return background

    async def all_events(self):
        """Every record, as whoever missed events asks for them."""
        events, after = [], 0
        while True:
            reply = await self.requester.ask("infra.history.events", {"after": after})
            events += reply["result"]["events"]
            after = reply["result"]["next"]
            if after >= reply["result"]["head"]:
                return events

    def count_effects(self, events):
        ledger = self.world.ledger
        resumed = ledger.events("operation-resumed")
        count = self.counts
        count["operations taken over"] = len(resumed)
        count["lives that took work over"] = len({e["event"]["holder"] for e in resumed})
        for name, event in (
            ("creates in doubt", "create-in-doubt"),
            ("creates adopted", "create-adopted"),
            ("creates found absent", "create-absent"),
        ):
            count[name] = len(ledger.events(event))
        count["same operation after a lost reply"] = sum(
            ledger.proposed_at(next(iter(self.named[key]))) < sent
            for key, sent in self.last_sent.items()
        )
        heard = self.listener.seqs()
        count["events published again"] = len(heard) - len(set(heard))
        # Whoever listened may hear of these a second time, or never.
        missed = {e["seq"] for e in events if e["seq"] > self.before} - set(heard)
        count["events that only the list has"] = len(missed)
        lost = back = filled = 0
        for life in range(1, self.world.lives + 1):
            log = self.world.log(life).read_text()
            lost += log.count("NATS is lost")
            back += log.count("NATS is connected")
            filled += log.count("the stream lacks events")
        count["stream filled again"] = filled
        count["connections lost"] = lost
        count["connected again in the same life"] = back


class Test(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = temporary()
        cls.roster = Roster(cls.folder.name)
        # These are mostly waiting, one for more than half a minute.
        cls.beside = concurrent.futures.ThreadPoolExecutor(1)
        cls.played = {
            name: cls.beside.submit(cls.play, scenario)
            for name, scenario in cls().scenarios().items()
        }

    @classmethod
    def tearDownClass(cls):
        cls.beside.shutdown()
        cls.folder.cleanup()

    def scenarios(self):
        """Those that run beside the big one."""
        return {
            "silence": self.long_silence,
            "work": self.without_server,
            "start": self.silent_start,
            "there": lambda world: self.terminate(world, "there"),
            "held up": lambda world: self.terminate(world, "held up"),
            "gone": lambda world: self.terminate(world, "gone"),
        }

    @classmethod
    def play(cls, scenario, *faults):
        """Runs one scenario in a world of its own."""

        async def alone():
            with temporary() as folder:
                try:
                    async with World(folder, cls.roster, *faults) as world:
                        await scenario(world)
                except BaseException:
                    # Ledger, journal and logs, for whoever looks into it.
                    if keep := os.environ.get("EXOKIT_CHAOS_KEEP"):
                        shutil.copytree(folder, keep, dirs_exist_ok=True)
                    raise

        asyncio.run(alone())

    def test_requests_work_and_events_survive(self):
        print(f"\nseed {SEED} (EXOKIT_CHAOS_SEED={SEED} takes it again)")
        self.play(self.chaos, UNANSWERED)

    async def chaos(self, world):
        chaos = Chaos(world, random.Random(SEED))
        background = await chaos.run()
        try:
            await self.judge(world, chaos)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await chaos.requester.close()

    async def judge(self, world, chaos):
        ledger = world.ledger
        events = await chaos.all_events()
        chaos.count_effects(events)
        print(json.dumps({k: round(v, 1) for k, v in chaos.times.items()}))
        print(json.dumps(chaos.counts, indent=1))
        print("kills after:", json.dumps(chaos.kills))
        print("silences:", json.dumps(chaos.requester.silences))
        print("told to go on:", json.dumps(chaos.resumed))

        self.assertEqual(chaos.wrong, [])
        # No key led to two operations, and what was answered is recorded.
        for key, operations in chaos.named.items():
            self.assertEqual(len(operations), 1, key)
            self.assertIn(next(iter(operations)), ledger.plans, key)
        named = {next(iter(operations)) for operations in chaos.named.values()}
        self.assertEqual(named, set(ledger.plans))
        # Without a fault of the cloud everything succeeds in the end.
        ends = collections.Counter(ledger.phase(o) for o in ledger.plans)
        self.assertEqual(ends, {"succeeded": len(ledger.plans)})
        await self.check_whole(world)
        self.check_events(world, chaos, events)
        await self.check_stream(world, chaos)

        await self.remove_all(world, chaos)
        for name, least in {**INJECTED, **EFFECTS}.items():
            self.assertGreaterEqual(chaos.counts[name], least, name)

    async def check_whole(self, world):
        """Registry and cloud are the same, both ways, and the chain is whole."""
        present = [
            resource
            for environment in await world.exokit("list")
            for resource in environment["resources"]
            if resource["state"] != "gone"
        ]
        objects = {each["id"] for each in present if each["kind"] in IN_CLUSTER}
        live = await asyncio.to_thread(world.live, objects)
        registered = {each["id"] for each in present} - objects
        self.assertEqual(registered, set().union(*live.values()))
        self.assertEqual(await asyncio.to_thread(world.made_twice), [])
        self.assertEqual((await world.exokit("audit", "verify"))["whole"], True)
        self.assertEqual(await world.exokit("orphans"), [])

    def check_events(self, world, chaos, events):
        """The list has every record; what was heard is the same, in order, and
        nothing is missing while somebody listened."""
        ledger = world.ledger.refresh()
        known = {seq: digest for seq, digest, _ in ledger.records}
        self.assertEqual([e["seq"] for e in events], sorted(known))
        self.assertEqual({e["seq"]: e["hash"] for e in events}, known)
        for session in chaos.listener.sessions:
            for seq, identity, subject, event in session:
                self.assertEqual(identity, known[seq])
                self.assertEqual(event["hash"], known[seq])
                self.assertTrue(subject.endswith("." + event["event"]["type"]))
        self.assertEqual(chaos.listener.gaps(), [])

    async def check_stream(self, world, chaos):
        """Though it was wiped, the stream has every event, and each once."""
        wanted = {d for seq, d, _ in world.ledger.records if seq > chaos.before}

        async def whole():
            ids = await stream_ids(world, least=len(wanted))
            return ids if wanted <= set(ids) else None

        ids = await until(whole, 120, "the stream is not filled again", pause=1)
        self.assertEqual(len(ids), len(set(ids)), "twice in the stream")

    async def remove_all(self, world, chaos):
        begun = time.monotonic()
        standing = [e["environment"] for e in await world.exokit("list")]
        await all_of([asyncio.ensure_future(chaos.remove(name)) for name in standing])
        await chaos.settle()
        self.assertEqual(chaos.wrong, [])
        self.assertEqual(await world.exokit("list"), [])
        self.assertEqual(await asyncio.to_thread(world.live), {})
        await self.check_whole(world)
        print("removed", len(standing), "in", round(time.monotonic() - begun, 1), "s")

    def test_work_goes_on_without_the_server(self):
        self.played["work"].result()

    async def without_server(self, world):
        await world.start_agent()
        await world.agent_ready()
        requester, listener = Requester(world), Listener(world)
        reply = await requester.ask("infra.provision", wanted("T1", "alone"), "alone")
        operation, ledger = reply["result"]["operation"], world.ledger
        await world.stop_server(kill=True)
        known = len(ledger.refresh().records)
        self.assertEqual(ledger.phase(operation) in ENDS.values(), False)

        await until(
            lambda: ledger.refresh().phase(operation) == "succeeded",
            60,
            "it does not go on",
        )
        # Somebody listens before the agent can come back.
        world.proxy.hold()
        await world.start_server()
        listening = asyncio.ensure_future(listener.run())
        await until(lambda: listener.sessions, 10, "nobody can listen")
        world.proxy.heal()
        head = len(ledger.refresh().records)
        await until(lambda: head in listener.seqs(), 30, listener.seqs)
        listener.stopped = True
        await listening

        self.assertGreater(head, known)
        self.assertLessEqual(set(range(known + 1, head + 1)), set(listener.seqs()))
        self.assertEqual(listener.gaps(), [])
        # The same process, and nothing was done twice.
        self.assertEqual((world.lives, world.agent.returncode), (1, None))
        intended = [e["event"]["node"] for e in ledger.events("create-intended")]
        self.assertEqual(len(intended), len(set(intended)))
        await self.check_whole(world)
        await requester.close()

    def test_waits_for_no_silent_server(self):
        self.played["silence"].result()

    async def long_silence(self, world):
        """Longer than three pings: the agent notices by itself."""
        await world.start_agent()
        await world.agent_ready()
        requester = Requester(world)
        world.proxy.hold()
        begun = time.monotonic()
        asked = asyncio.ensure_future(
            requester.ask("infra.provision", wanted("T1", "patient"), "patient")
        )
        await until(
            lambda: "NATS is lost" in world.log(1).read_text(),
            60,
            "the agent does not notice",
        )
        noticed = time.monotonic() - begun
        world.proxy.cut()
        world.proxy.heal()
        reply = await within(60, asked)
        operation = reply["result"]["operation"]
        assert list(world.ledger.refresh().plans) == [operation], reply
        assert (world.lives, world.agent.returncode) == (1, None)
        print(f"\nnoticed after {noticed:.1f} s")
        await requester.close()

    def test_starts_though_the_server_falls_silent(self):
        self.played["start"].result()

    async def silent_start(self, world):
        """Between the login and the answer to what is allowed: the agent tries
        again, and does its work meanwhile."""
        world.proxy.delay = 0.1
        await world.start_agent()
        await until(
            lambda: "connected successfully" in world.log(1).read_text(),
            20,
            "it does not connect",
            0.005,
        )
        world.proxy.hold()
        await until(
            lambda: "did not answer" in world.log(1).read_text(),
            20,
            "it does not notice",
        )
        self.assertIsNone(world.agent.returncode)
        world.proxy.delay = 0
        world.proxy.cut()
        world.proxy.heal()
        self.assertTrue((await within(20, world.agent_ready()))["nats"])

    def test_termination_loses_no_request(self):
        for server in ("there", "held up", "gone"):
            with self.subTest(server=server):
                self.played[server].result()

    async def terminate(self, world, server):
        requester = Requester(world)
        requester.PATIENCE = 4.0
        ledger, named = world.ledger, {}

        async def ask(n):
            body = wanted("T1", f"env-{n}")
            reply = await requester.ask("infra.provision", body, f"key-{n}")
            named.setdefault(n, set()).add(reply["result"]["operation"])

        await world.start_agent()
        await world.agent_ready()
        asked = [asyncio.ensure_future(ask(n)) for n in range(60)]
        await until(lambda: len(ledger.refresh().plans) > 5, 30, "nothing is recorded", 0)
        if server == "held up":
            world.proxy.hold()
        if server == "gone":
            await world.stop_server(kill=True)
        world.agent.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        try:
            code = await asyncio.wait_for(world.agent.wait(), 15)
        except asyncio.TimeoutError:
            self.fail("the agent does not end")
        print(f"\n{server}: ended after {time.monotonic() - begun:.1f} s")
        self.assertEqual(code, 0)
        if server == "there":
            # What was recorded was answered, without anybody asking again.
            recorded = set(ledger.refresh().plans)
            self.assertGreater(len(recorded), 5)
            await until(
                lambda: recorded <= set().union(*named.values()),
                2,
                lambda: f"{len(recorded)} recorded, {len(named)} answered",
            )
        world.proxy.cut()
        world.proxy.heal()
        if server == "gone":
            await world.start_server()
        await world.start_agent()
        await all_of(asked)
        self.assertEqual({len(operations) for operations in named.values()}, {1})
        self.assertEqual(set().union(*named.values()), set(ledger.refresh().plans))
        await requester.close()


if __name__ == "__main__":
    unittest.main()
