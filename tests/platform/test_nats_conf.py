"""communication/nats.conf, this very file, by the real server.

pip install -r ../requirements.txt
EXOKIT_NATS_SERVER=nats-server python3 test_nats_conf.py
"""

import asyncio
import json
import logging
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

import bcrypt
import nats
from nats import micro
from nats.errors import NoRespondersError
from nats.js import api as jetstream
from nats.js.errors import APIError

import nats_server
from nats_server import CONF, USERS, Place, Server, variable

# About TLS connections that end, which is no news here.
logging.getLogger("asyncio").setLevel(logging.ERROR)

TEXT = CONF.read_text("utf-8")
REQUESTS = """infra.select infra.plan infra.provision infra.teardown infra.extend
    infra.status infra.status.list infra.approve infra.deny infra.some.other"""
EVENTS = "infra.events.> infra.events.store.> infra.events.store.ready"
FORGED = "infra.events.store infra.events.store.ready infra.approval.requested"
FOREIGN_INBOXES = "_INBOX.> _INBOX.* _INBOX.x _INBOX.infra.> _INBOX.*.x"

# (user, verb, allowed, subjects). Patterns are of the grants, just outside of
# them and wider than them; a wider one is denied whole.
RIGHTS = [
    ("infra", "publish", True, REQUESTS + " " + FORGED),
    (
        "infra",
        "publish",
        True,
        """orchestrator.register orchestrator.a.b az.infra.evt az.x $JS.API.INFO
        $JS.API.STREAM.NAMES _INBOX.x _INBOX.infra.x _INBOX.requester.x.y
        _INBOX.orchestrator.x""",
    ),
    (
        "infra",
        "publish",
        False,
        """infra infrared.x orchestrator orchestrators.x broadcast.x broadcast az
        azure.x $JS.API $JS.ACK.s.c.1 $JS.FC.s.c _JS.ACK.x _INBOX _INBOXES.x
        $SYS.REQ.USER.INFO $SRV.PING $KV.b.k $O.b.k other""",
    ),
    (
        "infra",
        "subscribe",
        True,
        """infra.> infra.* infra.status infra.events.> orchestrator.> orchestrator.*
        orchestrator.task.x broadcast.> broadcast.* broadcast.x az.> az.* az.infra.>
        _INBOX.> _INBOX.infra.> _INBOX.requester.> _JS.ACK.> _JS.ACK.x""",
    ),
    (
        "infra",
        "subscribe",
        False,
        """> * *.> *.x infra orchestrator broadcast az infrared.> azure.> $JS.API.>
        $JS.> $JS.ACK.> _JS.> _JS.ACK _INBOX $SRV.> $SRV.PING $SYS.> $KV.> other.>""",
    ),
    (
        "orchestrator",
        "publish",
        True,
        REQUESTS + """ orchestrator.task.x orchestrator.x broadcast.health broadcast.a.b
        infra.events infra.approval infra.approval.other infra.approval.requested.x
        _INBOX.orchestrator.x _INBOX.orchestrator.x.y""",
    ),
    (
        "orchestrator",
        "publish",
        False,
        FORGED + """ infra orchestrator orchestrators.x broadcast az.x $JS.API.INFO
        $JS.API.STREAM.NAMES $JS.ACK.s.c.1 _INBOX.x _INBOX.infra.x _INBOX.requester.x
        _INBOX.orchestrator _JS.ACK.x $SYS.REQ.USER.INFO $SRV.PING other""",
    ),
    (
        "orchestrator",
        "subscribe",
        True,
        EVENTS
        + """ orchestrator.> orchestrator.* orchestrator.task.x infra.approval.requested
        _INBOX.orchestrator.> _INBOX.orchestrator.* _INBOX.orchestrator.x""",
    ),
    (
        "orchestrator",
        "subscribe",
        False,
        FOREIGN_INBOXES
        + """ > infra.> infra.* infra.*.> infra.status infra.approve infra.events
        infra.approval.* infra.approval.> infra.approval.requested.x broadcast.> az.>
        orchestrator _INBOX.requester.> _INBOX.orchestrator _INBOX.orchestrators.>
        $JS.API.> _JS.ACK.> $SRV.> $SYS.>""",
    ),
    ("requester", "publish", True, REQUESTS),
    (
        "requester",
        "publish",
        True,
        "infra.events infra.approval infra.approval.other infra.approval.requested.x",
    ),
    (
        "requester",
        "publish",
        False,
        FORGED + """ infra orchestrator.task.x broadcast.x az.x $JS.API.INFO _INBOX.x
        $JS.API.STREAM.NAMES _INBOX.requester.x _INBOX.infra.x _INBOX.orchestrator.x
        $JS.ACK.s.c.1 _JS.ACK.x $SYS.REQ.USER.INFO $SRV.PING other""",
    ),
    (
        "requester",
        "subscribe",
        True,
        EVENTS + """ infra.approval.requested _INBOX.requester.> _INBOX.requester.*
        _INBOX.requester.x""",
    ),
    (
        "requester",
        "subscribe",
        False,
        FOREIGN_INBOXES
        + """ > infra.> infra.* infra.*.> infra.status infra.approve infra.events
        infra.approval.* infra.approval.> infra.approval.requested.x orchestrator.>
        broadcast.> az.> _INBOX.orchestrator.> _INBOX.requester _INBOX.requesters.>
        $JS.API.> _JS.ACK.> $SRV.> $SYS.>""",
    ),
    (
        "observer",
        "publish",
        False,
        REQUESTS
        + " "
        + FORGED
        + """ orchestrator.x broadcast.x az.x $JS.API.INFO _INBOX.x
        _INBOX.observer.x _INBOX.infra.x $JS.ACK.s.c.1 $SYS.REQ.USER.INFO other""",
    ),
    (
        "observer",
        "subscribe",
        True,
        EVENTS + " infra.approval.requested broadcast.> broadcast.* broadcast.x",
    ),
    (
        "observer",
        "subscribe",
        False,
        FOREIGN_INBOXES
        + """ > infra.> infra.* infra.*.> infra.status infra.approve infra.events
        infra.approval.* infra.approval.> infra.approval.requested.x orchestrator.>
        broadcast az.> _INBOX.orchestrator.> _INBOX.requester.> _INBOX.observer.>
        $JS.API.> _JS.ACK.> $SRV.> $SYS.>""",
    ),
]
# As the document that we started from grants them.
INFRA_PUBLISHES = "infra.> orchestrator.> az.> $JS.API.> _INBOX.>".split()
INFRA_READS = "infra.> orchestrator.> broadcast.> az.> _INBOX.> _JS.ACK.>".split()
# All that somebody could publish and `infra` could see.
WATCHED = ["infra.>", "orchestrator.>", "broadcast.>", "az.>", "_INBOX.>"]
DENIED = re.compile(
    r'permissions violation for (publish|subscription) to "(\S+?)"(?: using queue "(.+?)")?'
)
SENTINEL = ("publish", "sentinel.nobody", None)
EVENTS_DENIED = 'deny: ["infra.events.>", "infra.approval.requested"]'
QUEUES_DENIED = 'deny: ["> >"]'
# A denied request looks like one that nobody answers in time.
SOON = 0.2


def setUpModule():
    """One server for all tests that do not change it."""
    global PLACE, SERVER
    folder = unittest.enterModuleContext(tempfile.TemporaryDirectory())
    PLACE = Place(folder)
    SERVER = unittest.enterModuleContext(Server(PLACE))


def rights(user, verb, allowed):
    """The subjects of the table."""
    rows = (row[3] for row in RIGHTS if row[:3] == (user, verb, allowed))
    return [subject for row in rows for subject in row.split()]


def block(user):
    """What the file says of one user, without comments."""
    code = re.sub(r"#.*", "", TEXT)
    return re.split(r"\buser: ", code.split(f"user: {user}\n")[1])[0]


def listed(user, verb, effect):
    """The subjects that the file allows or denies one user."""
    section = re.search(rf"\b{verb} \{{(.*?)\}}", block(user), re.DOTALL)[1]
    found = re.search(rf"{effect}: \[(.*?)\]", section, re.DOTALL)
    return re.findall(r'"(.*?)"', found[1]) if found else []


def denials(client):
    """{(verb, subject, queue)}: the client library makes all letters small."""
    found = (DENIED.search(text).groups() for text in client.denied)
    return {("publish" if v == "publish" else "subscribe", s, q) for v, s, q in found}


async def synced(client):
    """The server has seen all that was sent, and what it sent before has come.
    The library asks before it sends what waits, hence the second time."""
    await client.flush()
    await client.flush()


async def arrived(subscription):
    """The messages that have already come."""
    return [await subscription.next_msg() for _ in range(subscription.pending_msgs)]


async def settled(client):
    """All that was denied so far. The server answers in order, so nothing is
    missing once it has denied what nobody may do."""
    await client.publish("sentinel.nobody")
    await synced(client)
    found = denials(client)
    assert SENTINEL in found, found
    return found - {SENTINEL}


class Case(unittest.IsolatedAsyncioTestCase):
    async def client(self, user, server=None, **options):
        client = await (server or SERVER).connect(user, **options)
        self.addAsyncCleanup(client.close)
        return client

    def altered(self, *changes):
        """A server by the same file with these texts replaced by others."""
        text = TEXT
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (path / "nats.conf").write_text(text, "utf-8")
        store = str(path / "store")
        return self.enterContext(Server(PLACE, path / "nats.conf", NATS_STORE_DIR=store))

    async def answering(self, user, subject, server=None):
        """A client that answers requests with its name."""
        client = await self.client(user, server)

        async def answer(message):
            await message.respond(user.encode())

        await client.subscribe(subject, cb=answer)
        await synced(client)
        return client


class TestFile(unittest.TestCase):
    def test_the_server_takes_it_for_valid(self):
        checked = PLACE.check(PLACE.environment)
        self.assertEqual((checked.returncode, checked.stdout), (0, ""), checked.stderr)
        self.assertIn(f"{CONF} is valid", checked.stderr)

    def test_what_is_not_set_stops_it(self):
        names = set(re.findall(r": \$([A-Z_]+)", TEXT))
        self.assertEqual(names, set(PLACE.environment) - {"PATH"})
        for name in names:
            rest = {k: v for k, v in PLACE.environment.items() if k != name}
            checked = PLACE.check(rest)
            self.assertEqual(checked.returncode, 1, name)
            self.assertIn(f"'{name}'", checked.stderr)

    def test_passwords_come_from_the_environment_only(self):
        passwords = re.findall(r"\bpass\w*: *(.*)", TEXT)
        self.assertEqual(passwords, [f"${variable(user)}" for user in USERS])
        self.assertEqual(re.findall(r"\buser: (.*)", TEXT), list(USERS))

    def test_infra_has_the_rights_that_were_granted_and_no_more(self):
        self.assertEqual(listed("infra", "publish", "allow"), INFRA_PUBLISHES)
        self.assertEqual(listed("infra", "subscribe", "allow"), INFRA_READS)
        self.assertEqual(block("infra").count("allow"), 2)
        self.assertNotIn("deny", block("infra"))

    def test_every_grant_has_its_row(self):
        for user in USERS:
            tried = rights(user, "subscribe", True)
            self.assertLessEqual(set(listed(user, "subscribe", "allow")), set(tried))
            for effect, allowed in (("allow", True), ("deny", False)):
                tried = rights(user, "publish", allowed)
                for pattern in listed(user, "publish", effect):
                    start = pattern.removesuffix(">")
                    self.assertTrue([s for s in tried if s.startswith(start)], pattern)


class TestRights(Case):
    async def probe(self, user):
        """Everything in the table, by one connection; what was denied, and what
        of the published has arrived."""
        watcher, client = await self.client("infra"), await self.client(user)
        watched = [await watcher.subscribe(subject) for subject in WATCHED]
        await synced(watcher)
        for allowed in (True, False):
            for subject in rights(user, "publish", allowed):
                await client.publish(subject)
            for subject in rights(user, "subscribe", allowed):
                await client.subscribe(subject)
        denied = {(verb, subject) for verb, subject, _ in await settled(client)}
        await synced(watcher)
        return denied, {m.subject for s in watched for m in await arrived(s)}

    async def agree(self, user):
        denied, arrived = await self.probe(user)
        for verb in ("publish", "subscribe"):
            for allowed in (True, False):
                for subject in rights(user, verb, allowed):
                    with self.subTest(user=user, verb=verb, subject=subject):
                        self.assertEqual((verb, subject.lower()) not in denied, allowed)
        seen = {s for s in rights(user, "publish", True) if not s.startswith("$")}
        self.assertEqual(arrived, seen)

    async def test_infra(self):
        await self.agree("infra")

    async def test_orchestrator(self):
        await self.agree("orchestrator")

    async def test_requester(self):
        await self.agree("requester")

    async def test_observer(self):
        await self.agree("observer")

    async def test_what_may_be_read_arrives(self):
        agent, orchestrator = await self.client("infra"), await self.client(
            "orchestrator"
        )
        for user in USERS:
            # Nobody may publish there.
            wanted = [s for s in rights(user, "subscribe", True) if "_JS" not in s]
            reader = await self.client(user)
            read = [await reader.subscribe(subject) for subject in wanted]
            await synced(reader)
            for subject in wanted:
                sender = orchestrator if subject.startswith("broadcast") else agent
                await sender.publish(re.sub(r"[*>]", "x", subject))
            await synced(agent)
            await synced(orchestrator)
            await synced(reader)
            for subscription in read:
                self.assertTrue(await arrived(subscription), (user, subscription.subject))

    async def test_nobody_may_take_events_away_from_a_queue_group(self):
        for user, may in (
            ("infra", True),
            ("orchestrator", True),
            ("requester", False),
            ("observer", False),
        ):
            client = await self.client(user)
            subjects = ("infra.events.>", "infra.approval.requested")
            for subject in subjects:
                await client.subscribe(subject, queue="orchestrator")
            expected = {("subscribe", s, "orchestrator") for s in subjects}
            self.assertEqual(await settled(client), set() if may else expected, user)


class TestConversations(Case):
    async def test_requests_are_answered(self):
        agent = await self.answering("infra", "infra.*")
        for user in ("requester", "orchestrator"):
            client = await self.client(user)
            reply = await client.request("infra.status", b"", timeout=5)
            self.assertEqual(reply.data, b"infra")
            self.assertEqual(await settled(client), set())
        self.assertEqual(await settled(agent), set())

    async def test_replicas_share_the_requests(self):
        replicas = [await self.client("infra") for _ in range(2)]
        taken = [await r.subscribe("infra.plan", queue="infra") for r in replicas]
        for replica in replicas:
            await synced(replica)
        client = await self.client("requester")
        for _ in range(100):
            await client.publish("infra.plan")
        await synced(client)
        for replica in replicas:
            await synced(replica)
        counts = [len(await arrived(subscription)) for subscription in taken]
        self.assertEqual(sum(counts), 100)
        self.assertNotIn(0, counts)

    async def test_without_an_agent_a_request_fails_at_once(self):
        client = await self.client("requester")
        with self.assertRaises(NoRespondersError):
            await client.request("infra.status", b"", timeout=5)

    async def test_pings_and_tasks_are_answered(self):
        await self.answering("infra", "broadcast.>")
        await self.answering("orchestrator", "orchestrator.task.>")
        client = await self.client("orchestrator")
        for subject, answer in (
            ("broadcast.health", b"infra"),
            ("orchestrator.task.infra", b"orchestrator"),
        ):
            reply = await client.request(subject, b"", timeout=5)
            self.assertEqual(reply.data, answer)

    async def test_a_micro_service_answers_though_nobody_can_discover_it(self):
        agent = await self.client("infra")
        service = await micro.add_service(agent, name="infra", version="1.0.0")

        async def answer(request):
            await request.respond(b"micro")

        await service.add_endpoint(name="status", subject="infra.status", handler=answer)
        denied = await settled(agent)
        # PING, INFO and STATS: of all, of the name, of this one.
        self.assertEqual(len(denied), 9)
        self.assertTrue(all(s.startswith("$srv.") for _, s, _ in denied), denied)
        client = await self.client("requester")
        reply = await client.request("infra.status", b"", timeout=5)
        self.assertEqual(reply.data, b"micro")

    async def test_the_server_does_not_look_at_reply_subjects(self):
        # Hence the agent must: who asks can name an event as its inbox.
        await self.answering("infra", "infra.status")
        reader = await self.client("observer")
        events = await reader.subscribe("infra.events.>")
        await synced(reader)
        client = await self.client("requester")
        await client.publish("infra.status", b"", reply="infra.events.store.ready")
        self.assertEqual(await settled(client), set())
        self.assertEqual((await events.next_msg(timeout=5)).data, b"infra")


class TestStreams(Case):
    async def stream(self, client):
        js = client.jetstream(timeout=5)
        await js.add_stream(name="EVENTS", subjects=["infra.events.>"])
        self.addAsyncCleanup(js.delete_stream, "EVENTS")
        return js

    async def test_infra_keeps_its_events_in_a_stream(self):
        client = await self.client("infra")
        js = await self.stream(client)
        for sequence in range(3):
            last = {"Nats-Expected-Last-Sequence": str(sequence)}
            done = await js.publish("infra.events.store.ready", b"x", headers=last)
            self.assertEqual(done.seq, sequence + 1)
        with self.assertRaisesRegex(APIError, "wrong last sequence"):
            stale = {"Nats-Expected-Last-Sequence": "1"}
            await js.publish("infra.events.store.ready", b"x", headers=stale)
        self.assertEqual((await js.get_msg("EVENTS", 3)).data, b"x")
        self.assertEqual(await settled(client), set())

    async def test_infra_reads_streams_and_acknowledges_nothing(self):
        client = await self.client("infra")
        js = await self.stream(client)
        await js.publish("infra.events.store.ready", b"x")
        for policy, denied in (("none", 0), ("explicit", 1)):
            config = jetstream.ConsumerConfig(ack_policy=jetstream.AckPolicy(policy))
            pull = await js.pull_subscribe(
                "", stream="EVENTS", durable=policy, config=config
            )
            [message] = await pull.fetch(1, timeout=5)
            self.assertEqual(message.data, b"x")
            if denied:
                await message.ack()
            found = await settled(client)
            self.assertEqual(len(found), denied)
            self.assertTrue(all(s.startswith("$js.ack.") for _, s, _ in found), found)


class TestDoor(Case):
    async def refused(self, why, user="infra", **options):
        with self.assertRaisesRegex(Exception, why):
            await self.client(user, **options)

    async def test_who_is_not_known_is_refused(self):
        for wrong in (
            {"password": "wrong"},
            {"password": ""},
            {"password": PLACE.environment[variable("infra")]},
            {"password": PLACE.passwords["observer"]},
            {"user": "admin"},
            {"user": None, "password": None},
        ):
            with self.subTest(**wrong):
                await self.refused("(?i)authorization violation", **wrong)

    async def test_a_password_is_not_read_in_plain_text(self):
        login = {"user": "infra", "pass": PLACE.passwords["infra"], "tls_required": False}
        with socket.create_connection(("localhost", SERVER.port), timeout=10) as plain:
            reader = plain.makefile("rb")
            told = json.loads(reader.readline().removeprefix(b"INFO "))
            self.assertIs(told["tls_required"], True)
            self.assertIs(told["auth_required"], True)
            plain.sendall(b"CONNECT " + json.dumps(login).encode() + b"\r\nPING\r\n")
            try:
                said = reader.read()
            except ConnectionResetError:
                said = b""
            self.assertNotIn(b"PONG", said)

    async def test_old_tls_is_refused(self):
        old = SERVER.trust()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        await self.refused("(?i)protocol version", tls=old)

    async def test_monitoring_tells_what_was_configured(self):
        told = SERVER.monitor("/varz")
        # `-a` named another host, so this one is of the file.
        self.assertEqual((told["host"], told["http_host"]), ("localhost", "127.0.0.1"))
        self.assertIn('http: "127.0.0.1:8222"\n', TEXT)
        self.assertIs(told["jetstream"]["config"]["sync_always"], True)
        store = told["jetstream"]["config"]["store_dir"]
        self.assertEqual(store, str(PLACE.folder / "store" / "jetstream"))
        limits = ("max_payload", "max_connections", "max_subscriptions", "max_pending")
        self.assertEqual([told[name] for name in limits], [2**20, 1024, 256, 2**24])
        self.assertEqual(told["write_deadline"], 10 * 10**9)
        # No other doors.
        for door in ("cluster", "gateway", "leaf", "mqtt", "websocket"):
            self.assertEqual(told[door], {}, door)

    async def test_the_log_warns_of_nothing(self):
        self.assertFalse([line for line in SERVER.log if "[WRN]" in line])
        self.assertTrue([line for line in SERVER.log if "TLS required" in line])


class TestHashes(Case):
    async def enters(self, server, password):
        client = await self.client("infra", server, password=password)
        await synced(client)

    def of_kind(self, kind):
        return (
            bcrypt.hashpw(b"secret", bcrypt.gensalt(4))
            .decode()
            .replace("$2b$", f"${kind}$")
        )

    async def test_only_2a_can_do_without_quotes(self):
        name = variable("infra")
        self.assertEqual(self.of_kind("2y")[:4], "$2y$")
        for kind in ("2a", "2b", "2y"):
            for value in (f"'{self.of_kind(kind)}'", f'"{self.of_kind(kind)}"'):
                with Server(PLACE, **{name: value}) as server:
                    await self.enters(server, "secret")
        with Server(PLACE, **{name: self.of_kind("2a")}) as server:
            await self.enters(server, "secret")
        for kind in ("2b", "2y"):
            with self.assertRaisesRegex(RuntimeError, "can not be found"):
                Server(PLACE, **{name: self.of_kind(kind)})

    async def test_what_is_no_hash_is_only_warned_of(self):
        # Hence whatever starts the server refuses an empty variable, and the
        # preflight looks for the warning.
        for value, password in (("clear", "clear"), ("", "")):
            with Server(PLACE, **{variable("infra"): value}) as server:
                await self.enters(server, password)
                warning = "Plaintext passwords detected"
                self.assertTrue([line for line in server.log if warning in line])

    async def test_a_password_is_rotated_by_a_start_with_another_hash(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with Server(PLACE, NATS_STORE_DIR=folder) as server:
            js = (await self.client("infra", server)).jetstream(timeout=5)
            await js.add_stream(name="EVENTS", subjects=["infra.events.>"])
            await js.publish("infra.events.store.ready", b"x")
        rotated = {variable("infra"): nats_server.hashed("rotated")}
        with Server(PLACE, NATS_STORE_DIR=folder, **rotated) as server:
            with self.assertRaisesRegex(nats.errors.Error, "(?i)authorization violation"):
                await self.client("infra", server)
            client = await self.client("infra", server, password="rotated")
            message = await client.jetstream(timeout=5).get_msg("EVENTS", 1)
            self.assertEqual(message.data, b"x")
            await self.client("observer", server)


class TestNecessity(Case):
    """What happens without a line of the file, or with one that it leaves out."""

    async def forges(self, server, client):
        """Whether it can publish an event that the observer reads."""
        reader = await self.client("observer", server)
        events = await reader.subscribe("infra.events.>")
        await synced(reader)
        await client.publish("infra.events.store.ready")
        await synced(client)
        await synced(reader)
        return len(await arrived(events)) == 1

    async def test_without_the_denial_anybody_forges_events(self):
        server = self.altered((EVENTS_DENIED, ""))
        for user in ("orchestrator", "requester"):
            client = await self.client(user, server)
            self.assertTrue(await self.forges(server, client))
            client = await self.client(user)
            self.assertFalse(await self.forges(SERVER, client))

    async def test_without_the_denial_a_reader_takes_events_from_a_queue_group(self):
        server = self.altered((QUEUES_DENIED, ""))
        for user in ("requester", "observer"):
            client = await self.client(user, server)
            await client.subscribe("infra.events.>", queue="orchestrator")
            self.assertEqual(await settled(client), set())

    async def test_without_its_inbox_the_orchestrator_answers_no_task(self):
        granted = '"broadcast.>"\n            # The answer to a task.\n'
        granted += '            "_INBOX.orchestrator.>"'
        server = self.altered((granted, '"broadcast.>"'))
        orchestrator = await self.answering("orchestrator", "orchestrator.task.>", server)
        client = await self.client("orchestrator", server)
        with self.assertRaises(asyncio.TimeoutError):
            await client.request("orchestrator.task.infra", b"", timeout=SOON)
        [(verb, subject, _)] = await settled(orchestrator)
        self.assertEqual((verb, subject[:20]), ("publish", "_inbox.orchestrator."))

    async def test_with_allow_responses_the_orchestrator_forges_events(self):
        allowed = f"{EVENTS_DENIED}\n        }}\n        allow_responses: true"
        server = self.altered((f"{EVENTS_DENIED}\n        }}", allowed))
        client = await self.client("orchestrator", server)
        tasks = await client.subscribe("orchestrator.task.x")
        await client.publish("orchestrator.task.x", reply="infra.events.store.ready")
        await tasks.next_msg(timeout=5)
        self.assertTrue(await self.forges(server, client))

    async def test_without_default_rights_a_user_without_rights_has_all(self):
        added = f"users: [\n{{ user: admin, password: '{nats_server.hashed('admin')}' }}"
        user = ("users: [", added)
        default = re.search(r"  default_permissions \{.*?\n  \}\n", TEXT, re.DOTALL)[0]
        for changes, denied in (([user], 2), ([user, (default, "")], 0)):
            server = self.altered(*changes)
            client = await self.client("admin", server, password="admin")
            await client.publish("infra.events.store.ready")
            await client.subscribe("infra.>")
            await synced(client)
            self.assertEqual(len(denials(client)), denied)


class TestProgram(unittest.TestCase):
    def test_a_server_to_try_out_ends_with_its_input(self):
        program = subprocess.Popen(
            [sys.executable, nats_server.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        told = json.loads(program.stdout.readline())
        self.assertEqual(set(told["passwords"]), set(USERS))
        self.assertTrue(pathlib.Path(told["ca"]).is_file())
        program.communicate(timeout=10)
        self.assertEqual(program.returncode, 0)
        self.assertFalse(pathlib.Path(told["ca"]).exists())


if __name__ == "__main__":
    # The client leaves the sockets of refused connections to the collector.
    unittest.main(verbosity=2, warnings="ignore")
