"""The agent as a NATS micro service, where the server allows it, and not where
it does not.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_micro.py
"""

import asyncio
import json
import re
import unittest

import agent
import nats_server

SERVICE = "az-infra-provisioner"
# ADR-32 of NATS.
NAME = re.compile(r"[A-Za-z0-9_-]+")
VERSION = re.compile(r"\d+\.\d+\.\d+")


def allowing(folder):
    """The platform's configuration, with the rights that discovery takes."""
    text = nats_server.CONF.read_text("utf-8")
    for user, section, first in (("infra", "subscribe", '"infra.>"'), ("requester", "publish", '["infra.>"]')):
        at = text.index(first, text.index(section, text.index(f"user: {user}")))
        text = text[:at] + first.replace('"infra.>"', '"infra.>", "$SRV.>"') + text[at + len(first) :]
    conf = folder / "nats.conf"
    conf.write_text(text, "utf-8")
    return conf


class Described(unittest.TestCase):
    def setUp(self):
        stack = agent.contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.folder = stack.enter_context(agent.folder())
        (self.folder / "nats").mkdir()
        self.stack = stack

    def start(self, conf, count):
        """A server and so many agents with a ledger each."""
        server = nats_server.Server(nats_server.Place(self.folder / "nats"), conf)
        self.stack.enter_context(server)
        agents = []
        for number in range(count):
            place = agent.Place(self.folder / f"state-{number}")
            place.folder.mkdir()
            agents.append(self.stack.enter_context(agent.Agent(place, server)))
        for running in agents:
            http = self.stack.enter_context(agent.contextlib.closing(running.http()))
            agent.until("connected", lambda one=http: one.ask("GET", "/readyz").status == 200)
        return server, agents

    def test_tools_find_every_process_with_its_operations(self):
        server, _ = self.start(allowing(self.folder), 2)
        asyncio.run(self.discover(server))

    async def discover(self, server):
        client = await server.connect("requester")

        async def one(subject, body=b""):
            return json.loads((await client.request(subject, body, timeout=10)).data)

        async def of(question, count):
            """The answers of so many processes, each complete."""
            inbox = client.new_inbox()
            answers = await client.subscribe(inbox)
            await client.publish(f"$SRV.{question}", reply=inbox)
            return [json.loads((await answers.next_msg(timeout=10)).data) for _ in range(count)]

        pinged = await of("PING", 2)
        ids = {each["id"] for each in pinged}
        self.assertEqual(len(ids), 2, pinged)
        for each in pinged:
            self.assertEqual(each["type"], "io.nats.micro.v1.ping_response")
            self.assertEqual(each["name"], SERVICE)
            self.assertTrue(VERSION.fullmatch(each["version"]), each)
        wanted = {each.subject for each in agent.operations().values()}
        for each in await of("INFO", 2):
            self.assertEqual(each["type"], "io.nats.micro.v1.info_response")
            self.assertTrue(each["description"])
            self.assertEqual({end["subject"] for end in each["endpoints"]}, wanted)
            self.assertTrue(all(NAME.fullmatch(end["name"]) for end in each["endpoints"]), each)

        for _ in range(3):
            await one("infra.status.list", b'{"schema_version":1}')
        missing = await one("infra.status", b'{"schema_version":1,"environment":"nobody"}')
        self.assertEqual(missing["error"]["status"], 404)
        totals = {}
        for identity in ids:
            stats = await one(f"$SRV.STATS.{SERVICE}.{identity}")
            self.assertEqual((stats["type"], stats["id"]), ("io.nats.micro.v1.stats_response", identity))
            for end in stats["endpoints"]:
                requests, errors = totals.get(end["subject"], (0, 0))
                totals[end["subject"]] = (requests + end["num_requests"], errors + end["num_errors"])
                if end["num_requests"]:
                    self.assertGreater(end["processing_time"], 0)
                if end["num_errors"]:
                    self.assertTrue(end["last_error"].startswith("404:"), end)
        self.assertEqual(totals["infra.status.list"], (3, 0))
        self.assertEqual(totals["infra.status"], (1, 1))
        self.assertEqual(sum(requests for requests, _ in totals.values()), 4)
        await client.close()

    def test_where_it_is_not_allowed_the_rest_works(self):
        server, [running] = self.start(nats_server.CONF, 1)
        self.assertIn("not described", running.log.read_text("utf-8"))
        asyncio.run(self.listed(server))

    async def listed(self, server):
        client = await server.connect("requester")
        reply = await client.request("infra.status.list", b'{"schema_version":1}', timeout=10)
        self.assertEqual(json.loads(reply.data)["result"], {"environments": []})
        await client.close()


if __name__ == "__main__":
    unittest.main()
