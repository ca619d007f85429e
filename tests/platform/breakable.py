"""Agent, cloud and NATS server as real processes that a test may break.

What the agent does is judged by two witnesses that it cannot talk to: the
ledger's file, read with SQLite, and the cloud, listed by the official clients.
"""

import asyncio
import collections
import datetime
import json
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import tempfile
import time

import boto3
import nats.errors
from botocore.config import Config
from exoscale.api.v2 import Client

from agent import EXOKIT, PASSPHRASE, Key, canonical
from nats_server import Place, Server

ZONES = ("ch-dk-2", "ch-gva-2", "at-vie-1", "de-fra-1")
# Cloud seconds per second.
SPEED = "40"
# Two hundred environments at once, on machines that are gone soon after their
# pool: the account of a customer has 10 clusters, and its machines linger.
CLOUD = {
    "faults": [
        {
            "match": {"times": 1},
            "fault": {"kind": "quota", "resource": name, "limit": 10_000},
        }
        for name in ("sks-cluster", "instance", "network-load-balancer", "iam-key")
    ],
    "latencies": {"vm-linger": {"low_ms": 10_000, "high_ms": 60_000}},
}
# What it does and does not answer, in the first seconds.
UNANSWERED = {
    "match": {
        "operation": "create-sks-cluster",
        "probability": 0.2,
        "times": 8,
        "until_ms": 15_000,
    },
    "fault": {"kind": "drop-after"},
}
# (person, role); all have keys, and dana is the one who asks.
PERSONS = (("dana", "developer"), ("alex", "platform"), ("kim", "finance"))
ENDS = {
    "operation-succeeded": "succeeded",
    "operation-rolled-back": "rolled-back",
    "plan-rejected": "rejected",
}
PHASES = {
    "plan-proposed": "awaiting-approval",
    "operation-started": "running",
    "operation-unparked": "running",
    "rollback-started": "rolling-back",
    "operation-parked": "needs-human",
    **ENDS,
}
# The client library's ways to say that no answer came.
SILENCE = (nats.errors.Error, asyncio.TimeoutError, OSError)


class Roster:
    """A state directory with persons in it, from which others are copied."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.keys = {name: Key() for name, _ in PERSONS}
        self.run("init")
        for name, role in PERSONS:
            self.run("add", name, "--role", role, f"--public={self.keys[name].public}")
        # What is tested here is not the budget.
        self.run(
            "policy", "--requester-daily-max", "100000", "--team-daily-max", "100000"
        )

    def run(self, *words):
        subprocess.run(
            [*EXOKIT, "approver", *words],
            env={
                "PATH": os.environ.get("PATH", ""),
                "EXOKIT_STATE": str(self.folder),
                "EXOKIT_CLOUD": "exoscale",
                "EXOKIT_PASSPHRASE": PASSPHRASE,
                "EXOSCALE_API_KEY": "none",
                "EXOSCALE_API_SECRET": "none",
            },
            check=True,
            capture_output=True,
        )


class Proxy:
    """The way from the agent to the server, which can be cut and held up.

    While it is held up, connections are taken and nothing goes through; what
    was sent comes afterwards, as on a network that loses packets for a while.
    """

    def __init__(self):
        self.to = None
        self.open = asyncio.Event()
        self.open.set()
        self.ways = set()
        # Ways that reach the server now.
        self.through = 0
        # Bytes that had to wait.
        self.held = 0
        # Seconds that everything takes on its way.
        self.delay = 0

    async def start(self):
        self.server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def connected(self, reader, writer):
        way = asyncio.gather(self.carry(reader, writer), return_exceptions=True)
        self.ways.add((way, writer))
        try:
            await way
        except asyncio.CancelledError:
            pass
        self.ways.discard((way, writer))
        writer.transport.abort()

    async def carry(self, reader, writer):
        await self.open.wait()
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.to)
        pumps = [
            asyncio.ensure_future(self.pump(reader, to_writer)),
            asyncio.ensure_future(self.pump(to_reader, writer)),
        ]
        self.through += 1
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.through -= 1
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            to_writer.transport.abort()

    async def pump(self, reader, writer):
        while data := await reader.read(65536):
            await asyncio.sleep(self.delay)
            if not self.open.is_set():
                self.held += len(data)
                await self.open.wait()
            writer.write(data)
            await writer.drain()

    def hold(self):
        self.open.clear()

    def heal(self):
        self.open.set()

    def cut(self):
        """Ends all connections; says how many there were."""
        ways = list(self.ways)
        for way, writer in ways:
            writer.transport.abort()
            way.cancel()
        return len(ways)

    async def stop(self):
        self.cut()
        self.server.close()
        await self.server.wait_closed()


class Ledger:
    """The records, from the file itself."""

    def __init__(self, state):
        self.file = state / "ledger.db"
        self.records = []
        self.by_operation = collections.defaultdict(list)
        self.plans = {}

    def refresh(self):
        """Takes in what is new."""
        reader = sqlite3.connect(self.file, timeout=10)
        try:
            reader.execute("PRAGMA query_only = 1")
            rows = reader.execute(
                "SELECT seq, hash, entry FROM records WHERE seq > ? ORDER BY seq",
                (len(self.records),),
            ).fetchall()
        finally:
            reader.close()
        for seq, digest, entry in rows:
            assert seq == len(self.records) + 1, f"record {seq} after {seq - 1}"
            entry = json.loads(entry)
            self.records.append((seq, digest.hex(), entry))
            operation = entry.get("operation")
            if operation:
                self.by_operation[operation].append(entry)
            if entry["event"]["type"] == "plan-proposed":
                self.plans[operation] = json.loads(entry["event"]["plan"])
        return self

    def events(self, name):
        return [e for _, _, e in self.records if e["event"]["type"] == name]

    def phase(self, operation):
        words = (PHASES.get(e["event"]["type"]) for e in self.by_operation[operation])
        return [word for word in words if word][-1]

    def proposed_at(self, operation):
        text = self.by_operation[operation][0]["at"]
        return datetime.datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00")


class World:
    """One cloud, one server, one state directory, and agents of it."""

    def __init__(self, folder, roster, *faults):
        self.faults = list(faults)
        self.folder = pathlib.Path(folder)
        self.keys = roster.keys
        self.state = self.folder / "state"
        shutil.copytree(roster.folder, self.state)
        self.ledger = Ledger(self.state)
        self.place = Place(self.folder)
        self.server = None
        self.agent = None
        self.lives = 0

    async def __aenter__(self):
        self.proxy = await Proxy().start()
        await self.start_cloud()
        await self.start_server()
        return self

    async def __aexit__(self, *_):
        for process in (self.agent, self.cloud):
            if process and process.returncode is None:
                process.kill()
                await process.wait()
        if self.server:
            await self.stop_server()
        await self.proxy.stop()

    async def start_cloud(self):
        order = self.folder / "cloud.json"
        order.write_text(json.dumps({**CLOUD, "faults": CLOUD["faults"] + self.faults}))
        self.exchanges = self.folder / "exchanges.jsonl"
        self.cloud = await asyncio.create_subprocess_exec(
            *EXOKIT,
            "sim",
            "--speed",
            SPEED,
            "--faults",
            str(order),
            "--record",
            str(self.exchanges),
            stdout=asyncio.subprocess.PIPE,
        )
        self.at = json.loads(await self.cloud.stdout.readline())

    async def start_server(self):
        self.server = await asyncio.to_thread(Server, self.place)
        self.proxy.to = self.server.port

    async def stop_server(self, kill=False):
        server, self.server = self.server, None
        if kill:
            server.process.kill()
        await asyncio.to_thread(server.__exit__)

    def wipe(self):
        shutil.rmtree(self.place.environment["NATS_STORE_DIR"], ignore_errors=True)

    def environment(self):
        return {
            "PATH": os.environ.get("PATH", ""),
            "EXOKIT_STATE": str(self.state),
            "EXOKIT_CLOUD": "exoscale",
            "EXOKIT_SIM_SPEED": SPEED,
            "EXOKIT_PERSON": "dana",
            "EXOKIT_NATS_PASSWORD": self.place.passwords["infra"],
            "EXOKIT_LOG": "info",
            "EXOSCALE_API_KEY": self.at["api_key"],
            "EXOSCALE_API_SECRET": self.at["api_secret"],
            "EXOSCALE_API_ENDPOINT": self.at["endpoint"].replace(
                "/v2", "/zone/{zone}/v2"
            ),
            "EXOSCALE_SOS_ENDPOINT": self.at["sos_endpoint"],
        }

    def log(self, life):
        return self.folder / f"agent-{life}.log"

    async def start_agent(self):
        """Starts an agent; it is not waited for."""
        self.lives += 1
        self.ready = None
        with self.log(self.lives).open("wb") as log:
            self.agent = await asyncio.create_subprocess_exec(
                *EXOKIT,
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--nats",
                f"tls://localhost:{self.proxy.port}",
                "--nats-user",
                "infra",
                "--nats-ca",
                self.place.ca,
                env=self.environment(),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )

    async def agent_ready(self):
        """What the agent says when all doors are open; empty if it ends before."""
        if self.ready is None:
            line = await self.agent.stdout.readline()
            self.ready = json.loads(line or "{}")
        return self.ready

    async def exokit(self, *words, code=0):
        """A command beside the agent, and what it prints."""
        process = await asyncio.create_subprocess_exec(
            *EXOKIT,
            *words,
            "-o",
            "json",
            env=self.environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == code, f"exokit {words}: {out} {err}"
        return json.loads(out)

    def live(self, objects=frozenset()):
        """Ids of all that exists in the cloud, by kind, but for what it makes
        by itself for clusters, pools and accounts, and what the controllers of
        clusters make for `objects`, by whose UIDs they name it."""
        found = collections.defaultdict(set)
        key, secret = self.at["api_key"], self.at["api_secret"]
        for zone in ZONES:
            url = self.at["endpoint"].replace("/v2", f"/zone/{zone}/v2")
            api = Client(key, secret, url=url)
            for cluster in api.list_sks_clusters()["sks-clusters"]:
                found["sks-cluster"].add(cluster["id"])
                pools = cluster.get("nodepools", [])
                found["sks-nodepool"].update(pool["id"] for pool in pools)
            for group in api.list_security_groups()["security-groups"]:
                if group["name"] != "default" and group.get("description", ""):
                    found["security-group"].add(group["id"])
                    rules = group.get("rules", [])
                    found["security-group-rule"].update(rule["id"] for rule in rules)
            for kind, listing, field, name in (
                (
                    "anti-affinity-group",
                    api.list_anti_affinity_groups,
                    "anti-affinity-groups",
                    "id",
                ),
                ("load-balancer", api.list_load_balancers, "load-balancers", "id"),
                (
                    "block-volume",
                    api.list_block_storage_volumes,
                    "block-storage-volumes",
                    "id",
                ),
                (
                    "block-snapshot",
                    api.list_block_storage_snapshots,
                    "block-storage-snapshots",
                    "id",
                ),
                ("database", api.list_dbaas_services, "dbaas-services", "name"),
            ):
                for one in listing()[field]:
                    owner = one.get("name", "").removeprefix("k8s-").removeprefix("pvc-")
                    if owner not in objects:
                        found[kind].add(one[name])
            for machine in api.list_instances()["instances"]:
                # Those of a pool are the pool's.
                if "manager" not in machine:
                    found["instance"].add(machine["id"])
            for role in api.list_iam_roles()["iam-roles"]:
                if role["name"].lower() != "owner":
                    found["iam-role"].add(role["id"])
            for api_key in api.list_api_keys()["api-keys"]:
                own = api_key["key"] == key
                if not own and not api_key["name"].startswith("sks-ccm-"):
                    found["api-key"].add(api_key["key"])
        s3 = boto3.client(
            "s3",
            endpoint_url=self.at["sos_endpoint"],
            region_name=self.at["zone"],
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(s3={"addressing_style": "path"}),
        )
        found["bucket"].update(b["Name"] for b in s3.list_buckets()["Buckets"])
        return {kind: ids for kind, ids in found.items() if ids}

    def made_twice(self):
        """What was made more than once of one request and not removed in
        between. All attempts at one thing send the same bytes, which hold its
        owner token."""
        alive, wrong = collections.defaultdict(list), []
        for line in self.exchanges.read_text().splitlines():
            seen = json.loads(line)
            if seen["status"] != 200:
                continue
            reference = (seen["reply"] or {}).get("reference", {}).get("id")
            if seen["method"] == "POST" and seen["body"] and reference:
                own = alive[(seen["path"], canonical(seen["body"]))]
                own.append(reference)
                # A rule refers to its group, and a group has several.
                if len(own) > 1 and "/rules" not in seen["path"]:
                    wrong.append((seen["path"], own))
            if seen["method"] == "DELETE":
                gone = seen["path"].rsplit("/", 1)[-1]
                for own in alive.values():
                    if gone in own:
                        own.remove(gone)
        return wrong


async def add_stream(world):
    """As the platform does: a stream that takes all events."""
    platform = Requester(world, "infra")
    client = await platform.connection()
    stream = client.jetstream(timeout=2).add_stream(
        name="EVENTS",
        subjects=["infra.events.>", "infra.approval.requested"],
    )
    try:
        await within(3, stream)
    finally:
        await platform.close()


async def stream_ids(world, least=0):
    """Message ids in the stream; none are read while it has fewer messages than
    `least`, because each takes a round trip."""
    platform = Requester(world, "infra")
    client = await platform.connection()
    stream = client.jetstream(timeout=5)
    info = await stream.stream_info("EVENTS")
    ids = []
    last = info.state.last_seq if info.state.messages >= least else 0
    for seq in range(max(info.state.first_seq, 1), last + 1):
        message = await stream.get_msg("EVENTS", seq)
        ids.append(message.headers["Nats-Msg-Id"])
    await platform.close()
    return ids


async def within(seconds, work):
    """Waits so long and no longer, even for what does not heed that it is
    cancelled, as the client library's calls do not always."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        raise asyncio.TimeoutError
    return task.result()


async def until(condition, seconds, what, pause=0.05):
    """Waits for a condition, and gives what it gives."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(
                f"not within {seconds} s: {what() if callable(what) else what}"
            )
        await asyncio.sleep(pause)


class Requester:
    """Somebody on NATS who asks until there is an answer."""

    # How long the first sending is given; each further one half as long again.
    # Who does not wait longer and longer makes a slow agent slower.
    PATIENCE = 1.0
    PATIENCE_MAX = 10.0
    # What may be different the next time.
    PASSING = (429, 503)

    def __init__(self, world, user="requester"):
        self.world = world
        self.user = user
        self.client = None
        self.lock = asyncio.Lock()
        self.sent = collections.Counter()
        self.silences = collections.Counter()

    async def connection(self):
        async with self.lock:
            if self.client is None or not self.client.is_connected:
                self.client = None
                server = self.world.server
                if server is None:
                    raise OSError("there is no server")
                connect = server.connect(self.user, connect_timeout=2)
                self.client = await within(3, connect)
            return self.client

    async def send(self, subject, payload, patience=PATIENCE):
        """One sending; raises one of SILENCE when nothing came of it."""
        client = await self.connection()
        self.sent[subject] += 1
        asked = client.request(subject, payload, timeout=patience)
        reply = await within(patience + 1, asked)
        return json.loads(reply.data)

    async def ask(self, subject, body, key=None, on_send=None):
        """The result or the error, once there is one."""
        message = {"schema_version": 1, "requester": "dana", **body}
        if key:
            message["idempotency_key"] = key
        payload = json.dumps(message).encode()
        patience = self.PATIENCE
        while True:
            if on_send:
                on_send()
            try:
                reply = await self.send(subject, payload, patience)
            except SILENCE as silence:
                self.silences[type(silence).__name__] += 1
                if isinstance(silence, asyncio.TimeoutError):
                    patience = min(patience * 1.5, self.PATIENCE_MAX)
                await asyncio.sleep(0.15)
                continue
            assert reply["schema_version"] == 1, reply
            error = reply.get("error")
            if error and error["status"] in self.PASSING:
                self.silences[error["code"]] += 1
                await asyncio.sleep(0.2)
                continue
            return reply

    async def close(self):
        if self.client and not self.client.is_closed:
            await within(3, self.client.close())


class Listener:
    """Somebody who listens to events. One who has to connect again begins
    another session: within one, nothing may be missing."""

    # Longest time after the end of a session without listening, in seconds.
    AWAY = 0.0

    def __init__(self, world, rng=random):
        self.world = world
        self.rng = rng
        self.sessions = []
        self.announced = []
        self.stopped = False
        self.client = None

    async def run(self):
        while not self.stopped:
            try:
                await self.session()
            except SILENCE:
                await asyncio.sleep(0.02)
            await asyncio.sleep(self.rng.uniform(0, self.AWAY))

    async def session(self):
        server = self.world.server
        if server is None:
            raise OSError("there is no server")
        heard = []

        async def on_event(message):
            if message.subject == "infra.approval.requested":
                self.announced.append(json.loads(message.data))
            else:
                event = json.loads(message.data)
                identity = message.headers["Nats-Msg-Id"]
                heard.append((event["seq"], identity, message.subject, event))

        client = await within(3, server.connect("observer", connect_timeout=2))
        await within(2, client.subscribe("infra.events.>", cb=on_event))
        await within(2, client.subscribe("infra.approval.requested", cb=on_event))
        await within(3, client.flush(timeout=2))
        self.sessions.append(heard)
        while client.is_connected and not self.stopped:
            await asyncio.sleep(0.02)
        await within(3, client.close())

    def seqs(self):
        return [seq for heard in self.sessions for seq, *_ in heard]

    def gaps(self):
        """Within a session the next event is the next record, or one that was
        heard before and is published again."""
        return [
            (number, before[0], after[0])
            for number, heard in enumerate(self.sessions)
            for before, after in zip(heard, heard[1:])
            if after[0] > before[0] + 1
        ]


def temporary():
    return tempfile.TemporaryDirectory(prefix="exokit-chaos-")
