"""What the platform sees of the agent: it registers, shows that it is there,
answers who asks, and says when it goes.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_presence.py
"""

import asyncio
import datetime
import json
import logging
import types
import unittest

from jsonschema import Draft202012Validator

import agent
import nats_server
from breakable import Proxy

# About TLS connections that end, which is no news here.
logging.getLogger("asyncio").setLevel(logging.ERROR)

REGISTER, HEARTBEAT, LEAVE = (f"orchestrator.agents.{word}" for word in ("register", "heartbeat", "leave"))
# Seconds between two heartbeats, and how far off a busy machine may be.
BEAT, LATE = 10, 5
# Where an answer must not go: the agent has the right to publish there.
ELSEWHERE = ("orchestrator.elsewhere", "infra.events.store.ready", "infra.approval.requested")


class Platform:
    """Who hears all that the orchestrator may, in the order in which it comes."""

    def __init__(self, client):
        self.client = client
        self.heard = asyncio.Queue()

    @classmethod
    async def on(cls, server):
        platform = cls(await server.connect("orchestrator"))
        for subject in ("orchestrator.>", "infra.events.>", "infra.approval.requested"):
            await platform.client.subscribe(subject, cb=platform.heard.put)
        await platform.client.flush()
        return platform

    async def next(self):
        """(subject, message) of what comes next, but for the agent's trials of
        its rights."""
        async with asyncio.timeout(agent.PATIENCE):
            while (message := await self.heard.get()).subject == "orchestrator.preflight":
                assert message.data == b""
        return message.subject, json.loads(message.data)

    async def until(self, subject):
        """The next message on this subject."""
        async with asyncio.timeout(agent.PATIENCE):
            while (heard := await self.next())[0] != subject:
                pass
        return heard[1]

    async def answers(self, subject, data=b"", count=1):
        """What comes to an inbox for a broadcast: so many answers."""
        inbox = self.client.new_inbox()
        heard = await self.client.subscribe(inbox)
        await self.client.publish(subject, data, reply=inbox)
        answers = [json.loads((await heard.next_msg(timeout=agent.PATIENCE)).data) for _ in range(count)]
        await heard.unsubscribe()
        return answers


class Seen(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        stack = agent.contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.folder = stack.enter_context(agent.folder())
        (self.folder / "nats").mkdir()
        self.place = agent.Place(self.folder / "state")
        self.place.folder.mkdir()
        self.server = nats_server.Server(nats_server.Place(self.folder / "nats"))
        self.end_server = stack.enter_context(agent.contextlib.ExitStack())
        self.end_server.enter_context(self.server)
        self.platform = await Platform.on(self.server)
        self.addAsyncCleanup(self.leave)

    async def leave(self):
        await self.platform.client.close()

    async def start(self, nats):
        """An agent; its first line comes while the loop of this test goes on."""
        running = await asyncio.to_thread(agent.Agent, self.place, nats)
        self.addAsyncCleanup(asyncio.to_thread, running.stop)
        return running

    def check(self, message, first=None):
        """What it says is what the schema says, and what is true; of the same
        process as the first."""
        validator = Draft202012Validator(agent.schema("orchestrator.agents"))
        self.assertEqual([each.message for each in validator.iter_errors(message)], [])
        self.assertEqual(set(message), set(agent.schema("orchestrator.agents")["properties"]))
        self.assertEqual(message["agent"], "AZ-INFRA-001")
        self.assertEqual(message["service"], "az-infra-provisioner")
        self.assertEqual(f"exokit {message['version']}", self.place.text("--version").strip())
        self.assertEqual(set(message["subjects"]), {each.subject for each in agent.operations().values()})
        self.assertIs(message["ready"], True)
        if first is not None:
            self.assertEqual(message["instance"], first["instance"])
            self.assertGreaterEqual(at(message), at(first))
        return message

    async def test_it_comes_stays_and_goes(self):
        before = datetime.datetime.now(datetime.timezone.utc)
        running = await self.start(self.server)
        subject, registered = await self.platform.next()
        self.assertEqual(subject, REGISTER)
        self.check(registered)
        self.assertGreaterEqual(at(registered), before)
        beats = []
        for _ in range(2):
            subject, beat = await self.platform.next()
            self.assertEqual(subject, HEARTBEAT)
            beats.append(self.check(beat, registered))
        between = (at(beats[1]) - at(beats[0])).total_seconds()
        self.assertAlmostEqual(between, BEAT, delta=LATE)
        self.assertEqual(await asyncio.to_thread(running.stop), 0)
        self.check(await self.platform.until(LEAVE), registered)
        # It is the last: what was sent before an answer of the server is here.
        await self.platform.client.flush()
        self.assertTrue(self.platform.heard.empty())

    async def test_a_broadcast_is_answered_below_inboxes_alone(self):
        await self.start(self.server)
        registered = await self.platform.until(REGISTER)
        # Whatever is asked, and whatever stands in it.
        for subject, data in (("broadcast.who", b""), ("broadcast.a.b", b"\xff{"), ("broadcast.x", b" " * 800_000)):
            [answer] = await self.platform.answers(subject, data)
            self.check(answer, registered)
        for reply in (*ELSEWHERE, ""):
            await self.platform.client.publish("broadcast.who", b"{}", reply=reply)
        # This one comes after them on the same connections.
        [answer] = await self.platform.answers("broadcast.who")
        self.check(answer, registered)
        await self.platform.client.flush()
        while not self.platform.heard.empty():
            subject, _ = await self.platform.next()
            self.assertEqual(subject, HEARTBEAT)

    async def test_two_processes_answer_both(self):
        for _ in range(2):
            await self.start(self.server)
            # Who has registered hears what is asked.
            await self.platform.until(REGISTER)
        answers = await self.platform.answers("broadcast.who", count=2)
        self.assertEqual(len({each["instance"] for each in answers}), 2)

    async def test_a_server_that_comes_back_is_told_anew(self):
        proxy = await Proxy().start()
        self.addAsyncCleanup(proxy.stop)
        proxy.to = self.server.port
        way = types.SimpleNamespace(url=lambda: f"tls://localhost:{proxy.port}", place=self.server.place)
        running = await self.start(way)
        registered = await self.platform.until(REGISTER)
        await self.platform.until(HEARTBEAT)
        # Nothing goes through until somebody listens on the next server.
        proxy.hold()
        self.server.process.kill()
        await asyncio.to_thread(self.end_server.close)
        await self.platform.client.close()
        await asyncio.to_thread(agent.until, "the loss", lambda: not self.connected(running))
        self.server = nats_server.Server(self.server.place)
        self.end_server.enter_context(self.server)
        self.platform = await Platform.on(self.server)
        proxy.to = self.server.port
        proxy.heal()
        self.check(await self.platform.until(REGISTER), registered)
        self.check(await self.platform.until(HEARTBEAT), registered)
        [answer] = await self.platform.answers("broadcast.who")
        self.check(answer, registered)
        await asyncio.to_thread(agent.until, "the connection", lambda: self.connected(running))
        self.assertEqual(await asyncio.to_thread(running.stop), 0)
        while (heard := await self.platform.next())[0] != LEAVE:
            self.assertEqual(heard[0], HEARTBEAT, "it registers once for a connection")

    def connected(self, running):
        """Whether the agent says that it is connected."""
        with agent.contextlib.closing(running.http()) as http:
            return http.ask("GET", "/readyz").json()["checks"]["nats"]["ok"]


def at(message):
    """When it was sent."""
    return datetime.datetime.fromisoformat(message["at"])


if __name__ == "__main__":
    unittest.main()
