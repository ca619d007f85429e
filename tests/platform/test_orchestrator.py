"""Tasks of the platform, routed to the agent: gates, votes and progress.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_orchestrator.py
"""

import asyncio
import json
import logging
import unittest

from nats.errors import NoRespondersError

import agent
import nats_server

# About TLS connections that end, which is no news here.
logging.getLogger("asyncio").setLevel(logging.ERROR)


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


class Giver:
    """Who gives tasks."""

    def __init__(self, connection):
        self.connection = connection

    async def give(self, task, ends=1, **body):
        """The updates of a task: the first ones, or all up to its end."""
        inbox = self.connection.new_inbox()
        heard = await self.connection.subscribe(inbox)
        data = json.dumps({"schema_version": 1, **body}).encode()
        await self.connection.publish(f"orchestrator.task.{task}", data, reply=inbox)
        updates = []
        async with asyncio.timeout(agent.PATIENCE):
            while not self.is_over(updates, ends):
                update = json.loads((await heard.next_msg(timeout=agent.PATIENCE)).data)
                assert (update["schema_version"], update["task"]) == (1, task), update
                updates.append(update["update"])
        await heard.unsubscribe()
        return updates

    @staticmethod
    def is_over(updates, ends):
        if ends is None:
            return updates and ("ended" in updates[-1] or "refused" in updates[-1])
        return len(updates) >= ends

    async def answered(self, task, **body):
        [update] = await self.give(task, **body)
        assert "answered" in update, update
        return update["answered"]["result"]

    async def refused(self, task, **body):
        [update] = await self.give(task, **body)
        assert "refused" in update, update
        return update["refused"]["status"], update["refused"]["code"]


class Tasks(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        stack = agent.contextlib.ExitStack()
        self.addCleanup(stack.close)
        folder = stack.enter_context(agent.folder())
        (folder / "nats").mkdir()
        self.place = agent.with_roster(folder / "state")
        server = nats_server.Server(nats_server.Place(folder / "nats"))
        self.nats = stack.enter_context(server)
        self.agent = stack.enter_context(agent.Agent(self.place, self.nats))
        self.router = stack.enter_context(Router(self.place, self.nats))
        connection = await self.nats.connect("orchestrator")
        self.addAsyncCleanup(connection.close)
        self.giver = Giver(connection)
        await self.routed()

    async def routed(self):
        """Until tasks are subscribed to."""
        for _ in range(200):
            try:
                await self.giver.connection.request("orchestrator.task.none", b"{}", timeout=5)
                return
            except NoRespondersError:
                await asyncio.sleep(0.05)
        raise TimeoutError("tasks are not routed")

    async def vote(self, person, plan_id):
        wanted = ["approve", plan_id, "--yes", "--print-token"]
        token = await asyncio.to_thread(self.place.text, *wanted, person=person)
        return token.strip()

    def audited(self):
        lines = self.router.audit.read_text("utf-8").splitlines()
        return [(line["person"], line["plan_digest"]) for line in map(json.loads, lines)]

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
        updates = await self.giver.give(
            "infra.teardown", None, requester="dana", plan_id=waiting, approval_token=tokens
        )
        self.assertEqual(updates[-1]["ended"]["event"]["type"], "operation-succeeded", updates[0])
        self.assertEqual([person for person, _ in self.audited()][-2:], ["alex", "kim"])
        self.assertEqual(self.place.json("list"), [])


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
