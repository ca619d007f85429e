"""Spans: from who asks, over orchestrator and agent, to the calls to the cloud;
and that no collector, whatever it does, is in the way of a request.

pip install -r ../requirements.txt
EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_traces.py
"""

import asyncio
import json
import logging
import pathlib
import re
import secrets
import socket
import time
import unittest

import agent
import nats_server
import otlp
import test_metrics
import test_orchestrator

# About TLS connections that end, which is no news here.
logging.getLogger("asyncio").setLevel(logging.ERROR)

PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
THREAD = "OpenTelemetry"
# As many spans may wait.
WAITING_MAX = 2048
# What may be in a span of a call.
CALL = {
    "http.request.method",
    "http.response.status_code",
    "server.address",
    "exoscale.operation",
    "error.type",
}


def parent(sampled=True):
    """A header, with trace and span."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return f"00-{trace}-{span}-{'01' if sampled else '00'}", trace, span


def parts(header):
    return PARENT.fullmatch(header).groups()


class Traced(unittest.TestCase):
    """An agent, with a collector that does as it is told."""

    status = 200
    variables = {}

    def setUp(self):
        self.stack = agent.contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.folder = self.stack.enter_context(agent.folder())
        self.collector = self.stack.enter_context(otlp.Collector(self.status))
        self.place = agent.with_roster(self.folder / "state")
        self.token = self.place.bearer("dana", "read", "request", "approve-forward")["token"]

    def begin(self, **variables):
        """Starts the agent, led to the collector, and with more variables."""
        self.place.cloud = {**self.place.cloud, **self.collector.variables(**variables)}
        return self.start()

    def start(self):
        self.agent = self.stack.enter_context(agent.Agent(self.place, None, "--rate", "100000"))
        self.http = self.agent.http(self.token)
        self.stack.callback(self.http.close)

    def ask(self, path, traceparent=None, **body):
        headers = {"traceparent": traceparent} if traceparent else {}
        answer = self.http.ask("POST", f"/api/v1/{path}", {"schema_version": 1, **body}, **headers)
        return answer

    def provision(self, template, name, traceparent=None):
        answer = self.ask("provision", traceparent, ask={"template": template, "name": name})
        self.assertEqual(answer.status, 200, answer.body)
        return answer

    def ready(self, name):
        def reached():
            found = self.http.ask("GET", f"/api/v1/environments/{name}").json()["result"]
            return found["phase"] == "ready"

        agent.until(f"{name} is ready", reached)

    def ended(self):
        """What the collector has once the agent has ended."""
        self.http.close()
        self.assertEqual(self.agent.stop(), 0)
        return self.collector.spans()

    def dropped(self):
        text = self.http.ask("GET", "/metrics").body.decode()
        return test_metrics.samples(text)["infra_spans_dropped_total", frozenset()]

    def log(self):
        return self.agent.log.read_text("utf-8")

    def threads(self):
        tasks = pathlib.Path(f"/proc/{self.agent.process.pid}/task").glob("*/comm")
        return [name for name in (each.read_text() for each in tasks) if THREAD in name]


class Requests(Traced):
    def test_a_request_is_a_span_and_its_calls_are_below_it(self):
        self.begin(OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
        header, trace, above = parent()
        answer = self.ask("plan", header, provision={"template": "T1", "name": "one"})
        self.assertEqual(answer.status, 200, answer.body)
        of_reply, own, flags = parts(answer.headers["traceparent"])
        self.assertEqual((of_reply, flags), (trace, "01"))
        spans = [span for span in self.ended() if span.trace == trace]
        [request] = [span for span in spans if span.id == own]
        self.assertEqual((request.parent, request.kind), (above, otlp.Kind.SPAN_KIND_SERVER))
        self.assertEqual(request.name, "POST /api/v1/plan")
        self.assertEqual(request.service, "az-infra-provisioner")
        self.assertEqual(request.resource["deployment.environment.name"], "test")
        expected = {
            "http.request.method": "POST",
            "http.route": "/api/v1/plan",
            "http.response.status_code": 200,
            "infra.request": "plan",
        }
        self.assertEqual({key: request.attributes.get(key) for key in expected}, expected)
        calls = [span for span in spans if span is not request]
        self.assertGreater(len(calls), 3)
        for call in calls:
            self.assertEqual((call.parent, call.kind), (own, otlp.Kind.SPAN_KIND_CLIENT), call)
            self.assertEqual(call.name, f"GET {call.attributes['exoscale.operation']}")
            self.assertEqual(call.attributes["http.response.status_code"], 200)
            self.assertLessEqual(set(call.attributes), CALL)
            self.assertEqual((call.status, call.events), (0, []))
            self.assertLessEqual(call.nanoseconds, request.nanoseconds)
        self.assertEqual(self.collector.seen()[0][0], "/v1/traces")

    def test_the_same_trace_is_in_log_reply_and_span(self):
        self.begin()
        for header in (None, parent()[0]):
            answer = self.provision("T1", f"one-{header is None}".lower(), header)
            trace, own, _ = parts(answer.headers["traceparent"])
            lines = [line for line in self.log().splitlines() if f"trace={trace}" in line]
            self.assertTrue(any("answered" in line for line in lines), self.log())
            found = lambda own=own: [span for span in self.collector.spans() if span.id == own]
            [span] = agent.until("the span", found)
            self.assertEqual(span.trace, trace)
            self.assertEqual(span.parent, parts(header)[1] if header else "")

    def test_a_refusal_is_told_by_its_code(self):
        self.begin()
        self.http.ask("GET", "/api/v1/environments/nowhere")
        refused = self.ask("teardown", remove={"environment": "nowhere"})
        self.assertEqual(refused.status, 404)
        spans = {span.attributes.get("http.request.method"): span for span in self.ended()}
        for method in ("GET", "POST"):
            span = spans[method]
            self.assertEqual(span.attributes["error.type"], "no-environment")
            self.assertEqual(span.attributes["http.response.status_code"], 404)
            # The fault is with who asked.
            self.assertEqual(span.status, 0)
        self.assertNotIn(b"nowhere", self.collector.bodies())

    def test_who_is_not_recorded_above_is_not_recorded_here(self):
        self.begin()
        header, silent, _ = parent(sampled=False)
        answer = self.ask("plan", header, provision={"template": "T1", "name": "one"})
        trace, _, flags = parts(answer.headers["traceparent"])
        self.assertEqual((trace, flags), (silent, "00"))
        header, loud, _ = parent()
        self.ask("plan", header, provision={"template": "T1", "name": "one"})
        traces = {span.trace for span in self.ended()}
        self.assertIn(loud, traces)
        self.assertNotIn(silent, traces)

    def test_a_run_of_an_operation_is_a_span_and_its_calls_are_below_it(self):
        self.begin()
        made = self.provision("T1", "one").json()["result"]
        self.ready("one")
        spans = self.ended()
        [run] = [span for span in spans if span.name == "run operation"]
        self.assertEqual((run.parent, run.status), ("", 0))
        expected = {
            "infra.operation": made["operation"],
            "infra.environment": "one",
            "infra.phase": "succeeded",
        }
        self.assertEqual({key: run.attributes.get(key) for key in expected}, expected)
        calls = [span for span in spans if span.parent == run.id]
        self.assertIn("POST create-sks-cluster", {call.name for call in calls})
        self.assertEqual({call.trace for call in calls}, {run.trace})
        self.assertTrue(all(set(call.attributes) <= CALL for call in calls))


class Ends(Traced):
    def test_the_end_sends_what_waits(self):
        self.begin(OTEL_BSP_SCHEDULE_DELAY="600000")
        answer = self.ask("select", database="pg")
        _, own, _ = parts(answer.headers["traceparent"])
        self.assertEqual(self.collector.seen(), [])
        self.assertIn(own, {span.id for span in self.ended()})


class Off(Traced):
    def test_without_a_collector_nothing_is_sent_and_nothing_runs(self):
        for variables in ({}, self.collector.variables(OTEL_SDK_DISABLED="true")):
            self.place.cloud = {"EXOKIT_CLOUD": "sim", **variables}
            self.start()
            header, trace, above = parent()
            answer = self.ask("plan", header, provision={"template": "T1", "name": "one"})
            of_reply, own, _ = parts(answer.headers["traceparent"])
            self.assertEqual(of_reply, trace)
            self.assertNotEqual(own, above)
            self.assertEqual(self.threads(), [])
            self.assertEqual(self.dropped(), 0)
            self.ended()
        self.assertEqual(self.collector.seen(), [])

    def test_with_a_collector_there_is_one_thread(self):
        self.begin()
        self.assertEqual(len(self.threads()), 1)

    def test_what_cannot_be_is_refused_at_the_start(self):
        for name, value in (
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://dana:canary@127.0.0.1:4318"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "canary"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ):
            variables = self.collector.variables(**{name: value})
            error = self.place.refusal("serve", "--listen", "127.0.0.1:0", code=2, **variables)
            self.assertEqual((error["code"], error["on"]), ("usage", name))
            self.assertNotIn("canary", str(error))


class Failing(Traced):
    """A collector that takes nothing."""

    def many(self, count):
        """Asks so often; the longest time that an answer took."""
        longest = 0.0
        for _ in range(count):
            begun = time.monotonic()
            answer = self.ask("select", database="pg")
            longest = max(longest, time.monotonic() - begun)
            self.assertEqual(answer.status, 200, answer.body)
        return longest


class Absent(Failing):
    def test_nobody_waits_for_a_collector_that_is_absent(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
            # It is bound and does not listen, so that nobody else does.
            self.begin(OTEL_EXPORTER_OTLP_ENDPOINT=nobody)
            self.assertLess(self.many(100), 5)
            agent.until("all are counted", lambda: self.dropped() == 100)
            self.assertIn("the collector takes no spans", self.log())


class Angry(Failing):
    status = 500

    def test_nobody_waits_for_a_collector_that_fails_and_it_may_come_back(self):
        self.begin()
        self.assertLess(self.many(100), 5)
        agent.until("all are counted", lambda: self.dropped() == 100)
        self.assertGreater(len(self.collector.seen()), 0)
        self.assertEqual(self.log().count("the collector takes no spans"), 1)
        self.collector.status = 200
        self.many(1)
        agent.until("one span", self.collector.spans)
        agent.until("it is noted", lambda: "takes spans again" in self.log())
        self.assertEqual(self.dropped(), 100)


class Silent(Failing):
    status = None

    def test_nobody_waits_for_a_collector_that_hangs(self):
        self.begin(OTEL_EXPORTER_OTLP_TIMEOUT="600000")
        more = 150
        self.assertLess(self.many(WAITING_MAX + more), 5)
        self.assertEqual(self.dropped(), more)
        self.assertEqual(len(self.collector.seen()), 1, "it holds the first batch")
        begun = time.monotonic()
        self.assertEqual(self.ended(), [])
        self.assertLess(time.monotonic() - begun, 20)
        self.assertIn(f"lost={WAITING_MAX}", self.log())

    def test_a_batch_that_takes_too_long_is_lost(self):
        self.begin(OTEL_EXPORTER_OTLP_TIMEOUT="200")
        self.many(10)
        agent.until("all are counted", lambda: self.dropped() == 10)
        self.assertGreater(len(self.collector.seen()), 0)


class Secrets(Traced):
    def test_headers_are_sent_and_no_secret_leaves_in_a_span(self):
        cloud = self.stack.enter_context(agent.Cloud(self.folder))
        header = secrets.token_hex(12)
        self.place = self.place.copy(self.folder / "real", cloud.variables())
        self.token = self.place.bearer("dana", "read", "request", "approve-forward")["token"]
        self.begin(OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{header}")
        made = self.provision("T3", "store").json()["result"]
        words = ["approve", made["plan_id"], "--yes", "--print-token"]
        vote = self.place.text(*words, person="alex").strip()
        self.assertEqual(self.ask("approve", approval_token=vote).status, 200)
        self.ready("store")
        spans = self.ended()
        operations = {span.attributes.get("exoscale.operation") for span in spans}
        # Object storage is asked with a signature in the query, and the reply
        # to the last holds a secret.
        self.assertLessEqual({"create-bucket", "head-bucket", "create-api-key"}, operations)
        canaries = {
            "header": header,
            "key": cloud.said["api_key"],
            "secret": cloud.said["api_secret"],
            "bearer": self.token,
            "vote": vote,
            "passphrase": agent.PASSPHRASE,
            "signature": "ignature",
            "query": "X-Amz",
            "path": "/v2/",
        }
        bodies = self.collector.bodies()
        self.assertEqual([name for name, text in canaries.items() if text.encode() in bodies], [])
        for _, headers, _, _ in self.collector.seen():
            self.assertEqual(headers["authorization"], f"Bearer {header}")
            self.assertEqual(headers["content-type"], "application/x-protobuf")
        self.assertNotIn(header, self.log())


class Platform(unittest.IsolatedAsyncioTestCase):
    """Orchestrator and agent on the platform's server."""

    async def asyncSetUp(self):
        stack = agent.contextlib.ExitStack()
        self.addCleanup(stack.close)
        folder = stack.enter_context(agent.folder())
        (folder / "nats").mkdir()
        self.collector = stack.enter_context(otlp.Collector())
        self.place = agent.with_roster(folder / "state")
        self.place.cloud = {**self.place.cloud, **self.collector.variables()}
        server = nats_server.Server(nats_server.Place(folder / "nats"))
        self.nats = stack.enter_context(server)
        self.agent = stack.enter_context(agent.Agent(self.place, self.nats))
        self.router = stack.enter_context(test_orchestrator.Router(self.place, self.nats))
        self.connection = await self.nats.connect("orchestrator")
        self.addAsyncCleanup(self.connection.close)

    async def give(self, task, header, **body):
        """The first update of a task, and the header that came with it."""
        inbox = self.connection.new_inbox()
        heard = await self.connection.subscribe(inbox)
        data = json.dumps({"schema_version": 1, **body}).encode()
        subject = f"orchestrator.task.{task}"
        await self.connection.publish(subject, data, reply=inbox, headers={"traceparent": header})
        message = await heard.next_msg(timeout=agent.PATIENCE)
        await heard.unsubscribe()
        return json.loads(message.data)["update"], parts(message.headers["traceparent"])

    async def ended(self):
        await self.connection.close()
        for process in (self.router, self.agent):
            self.assertEqual(await asyncio.to_thread(process.stop), 0)
        return self.collector.spans()

    def child(self, spans, above, name):
        found = [span for span in spans if span.parent == above and span.name == name]
        self.assertEqual(len(found), 1, (name, [(s.name, s.parent) for s in spans]))
        return found[0]

    async def test_one_trace_goes_from_the_task_to_the_cloud(self):
        header, trace, above = parent()
        wanted = {"requester": "dana", "provision": {"template": "T1", "name": "one"}}
        update, (of_reply, own, _) = await self.give("infra.plan", header, **wanted)
        self.assertIn("answered", update)
        self.assertEqual(of_reply, trace)
        spans = [span for span in await self.ended() if span.trace == trace]
        task = self.child(spans, above, "process orchestrator.task.>")
        sent = self.child(spans, task.id, "send infra.plan")
        done = self.child(spans, sent.id, "process infra.plan")
        calls = [span for span in spans if span.parent == done.id]
        self.assertGreater(len(calls), 3)
        self.assertEqual(len(spans), 3 + len(calls))
        self.assertEqual(task.id, own)
        self.assertEqual((task.service, sent.service), ("az-orchestrator",) * 2)
        self.assertEqual({span.service for span in (done, *calls)}, {"az-infra-provisioner"})
        self.assertEqual(task.attributes["messaging.destination.name"], "orchestrator.task.infra.plan")
        self.assertEqual(done.attributes["messaging.system"], "nats")
        self.assertEqual(done.attributes["messaging.destination.name"], "infra.plan")
        self.assertEqual({span.kind for span in calls}, {otlp.Kind.SPAN_KIND_CLIENT})
        bodies = self.collector.bodies()
        for user, password in self.nats.place.passwords.items():
            self.assertNotIn(password.encode(), bodies, user)

    async def test_what_a_gate_asks_is_in_the_trace_and_so_is_a_refusal(self):
        header, trace, above = parent()
        update, _ = await self.give("infra.teardown", header, plan_id="plan_aaaaaaaaaaaaaaaa")
        self.assertEqual(update["refused"]["status"], 404, update)
        spans = [span for span in await self.ended() if span.trace == trace]
        task = self.child(spans, above, "process orchestrator.task.>")
        sent = self.child(spans, task.id, "send infra.plan.show")
        done = self.child(spans, sent.id, "process infra.plan.show")
        for span in (task, sent, done):
            self.assertEqual(span.attributes["error.type"], update["refused"]["code"], span)
            self.assertEqual(span.status, 0)
        self.assertIn(f"trace={trace}", self.router.log.read_text("utf-8"))
        self.assertIn(f"trace={trace}", self.agent.log.read_text("utf-8"))

    async def test_who_is_not_recorded_above_is_not_recorded_in_any_service(self):
        header, silent, _ = parent(sampled=False)
        _, (trace, _, flags) = await self.give("infra.status.list", header)
        self.assertEqual((trace, flags), (silent, "00"))
        header, loud, _ = parent()
        await self.give("infra.status.list", header)
        spans = await self.ended()
        self.assertEqual({span.service for span in spans if span.trace == loud}, {"az-orchestrator", "az-infra-provisioner"})
        self.assertNotIn(silent, {span.trace for span in spans})


if __name__ == "__main__":
    unittest.main()
