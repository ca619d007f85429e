"""A stream of events that comes late, is wiped, or goes back: in the end it has
every event that was recorded since the agent began.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_stream.py
"""

import asyncio
import shutil
import unittest

from breakable import Roster, World, add_stream, stream_ids, temporary, until


class Test(unittest.TestCase):
    def test_a_stream_gets_what_it_lacks(self):
        async def alone():
            with temporary() as folder, temporary() as other:
                async with World(folder, Roster(other)) as world:
                    await Story(self, world).run()

        asyncio.run(alone())


class Story:
    """One agent, and a server that is started again and again."""

    def __init__(self, test, world):
        self.test, self.world = test, world
        self.store = world.place.environment["NATS_STORE_DIR"]

    async def run(self):
        world = self.world
        await world.stop_server()
        before = len(world.ledger.refresh().records)
        await world.start_agent()
        await self.logged("NATS is not reached yet")
        # Recorded while the agent has never reached a server.
        await world.exokit("up", "T3", "--name", "early", code=3)
        records = world.ledger.refresh().records[before:]
        self.test.assertGreater(len(records), 0)
        self.wanted = {digest for _, digest, _ in records}
        proposed = [d for _, d, e in records if e["event"]["type"] == "plan-proposed"]
        self.wanted.update(f"approval-{digest}" for digest in proposed)
        self.test.assertEqual(len(proposed), 1)
        await self.server_again()
        await self.whole("it lacks what came before the first connection")

        # Nothing new is recorded from here on, so nothing else brings it back.
        await world.stop_server(kill=True)
        world.wipe()
        await self.server_again()
        await self.whole("it was wiped")

        saved = f"{self.store}-saved"
        await world.stop_server()
        shutil.copytree(self.store, saved)
        await self.server_again(lacks=False)
        await world.exokit("up", "T3", "--name", "late", code=3)
        more = {digest for _, digest, _ in world.ledger.refresh().records[before:]}
        self.wanted |= more
        await self.whole("it lacks what is new")
        records = len(world.ledger.records)
        await world.stop_server()
        world.wipe()
        shutil.copytree(saved, self.store)
        await self.server_again()
        await self.whole("it went back")
        self.test.assertEqual(len(world.ledger.refresh().records), records)
        self.test.assertEqual((world.lives, world.agent.returncode), (1, None))
        self.test.assertIn("are published again", world.log(1).read_text())

    async def server_again(self, lacks=True):
        """The agent comes back when the stream is there, which lacks something."""
        self.world.proxy.hold()
        await self.world.start_server()
        await add_stream(self.world)
        ids = set(await stream_ids(self.world))
        self.test.assertEqual(lacks, not self.wanted <= ids)
        self.world.proxy.heal()

    async def whole(self, why):
        async def has_all():
            return self.wanted <= set(await stream_ids(self.world))

        await until(has_all, 30, why, pause=0.5)

    async def logged(self, text):
        log = self.world.log(1)
        await until(lambda: text in log.read_text(), 20, f"it does not say {text!r}")


if __name__ == "__main__":
    unittest.main()
