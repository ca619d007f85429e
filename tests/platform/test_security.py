"""Who may do what: every operation, by every way in, by everybody, in every shape.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_security.py
"""

import asyncio
import collections
import http.client
import json
import logging
import pathlib
import re
import threading
import time
import unittest
import urllib.parse

import nats.errors

import agent
import nats_server

# About TLS connections that end, which is no news here.
logging.getLogger("asyncio").setLevel(logging.ERROR)

HERE = pathlib.Path(__file__).parent
SOURCE = HERE.parents[1] / "crates" / "agent" / "src"
# Whatever adds to what a router answers.
ADDING = re.compile(r"\.(\w*(?:route|nest|merge|fallback|service)\w*)\(")
SHAPES = ("well-formed", "malformed", "oversize", "replayed")
# Bytes; more than any message that is taken, and less than NATS carries.
OVERSIZE = 800 * 1024
# Nearly what the address of a request over HTTP may have, and more.
LONG_QUERY = 60_000
TOO_LONG_QUERY = 100_000
OPEN = {"/healthz", "/readyz", "/metrics", "/api/v1/openapi.json"}
STREAM = "/api/v1/events/stream"
UNKNOWN = "/api/v1/none"
# Requests per second: of all without a token, and of each open route but one.
STRANGERS_RATE, OPEN_RATE = 20, 50
NEVER_LIMITED = "/healthz"
LISTENERS_OF_TOKEN = 32
# The public half of a key pair of X25519: that of RFC 7748, section 6.1.
RECIPIENT = "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
MISLEADING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
USERS = ("nobody", "wrong password", "observer", "requester", "orchestrator", "infra")
# What is asked of all agents, with who may; the server denies it to the others.
FOR_ALL = {"broadcast.security": {"orchestrator"}, "$SRV.PING": set(), "$SRV.INFO": set(), "$SRV.STATS": set()}
# Messages that are no requests of the agent, with the tests that are about them.
ELSEWHERE = {
    "openapi": "test_openapi.py",
    "orchestrator.agents": "test_presence.py",
    "orchestrator.task": "test_orchestrator.py",
}


class World:
    """One agent behind both doors, with something for each operation to be
    about: by way in, so that none disturbs the other."""

    def __init__(self):
        self.ends = agent.contextlib.ExitStack()
        try:
            self.begin()
        except BaseException:
            self.ends.close()
            raise

    def begin(self):
        folder = self.ends.enter_context(agent.folder())
        (folder / "nats").mkdir()
        self.keys = {person: [agent.Key()] for person, _ in agent.VOTERS}
        place = self.place = agent.with_roster(folder / "state", self.keys)
        self.tokens = {scope: place.bearer("dana", scope) for scope in agent.SCOPES}
        expired = place.bearer("dana", *agent.SCOPES)
        self.expire(expired)
        self.secrets = {
            "no token": None,
            "unknown token": "exokit_" + "A" * 43,
            "expired token": expired["token"],
            **{scope: token["token"] for scope, token in self.tokens.items()},
        }
        server = nats_server.Server(nats_server.Place(folder / "nats"))
        self.nats = self.ends.enter_context(server)
        running = agent.Agent(place, self.nats, "--rate", "100000")
        self.agent = self.ends.enter_context(running)
        self.about = {way: self.prepare(way) for way in ("http", "nats")}

    def expire(self, token):
        """The token ended yesterday, whatever the program thought of it."""
        path = self.place.folder / "tokens.json"
        file = json.loads(path.read_text("utf-8"))
        for each in file["tokens"]:
            if each["id"] == token["id"]:
                each["expires_at"] = agent.moment(-86400)
        path.write_text(json.dumps(file), "utf-8")

    def prepare(self, way):
        """What the requests of one way in are about."""
        client = self.agent.http(self.secrets["request"])
        looker = self.agent.http(self.secrets["read"])

        def make(name, template, **more):
            wanted = {"template": template, "name": f"{name}-{way}", **more}
            made = client.ask("POST", "/api/v1/provision", {"schema_version": 1, "ask": wanted})
            assert made.status == 200, made.body
            return made.json()["result"]

        there = make("there", "T1", ttl_seconds=7200, keep_alive_seconds=7200)["environment"]
        waits, denied = make("waits", "T4"), make("denied", "T3")

        def ready():
            found = looker.ask("GET", f"/api/v1/environments/{there}").json()["result"]
            return found["phase"] == "ready"

        agent.until(there, ready)
        client.close()
        looker.close()
        yes = self.keys["alex"][0].vote("alex", waits)
        no = self.keys["kim"][0].vote("kim", denied, decision="deny")
        return self.rows(way, there, waits["plan_id"], yes, no)

    def rows(self, way, there, plan, yes, no):
        """For each operation a good request, and how it is answered."""
        key = {"idempotency_key": f"{way}/key"}
        wanted = {"template": "T3", "name": f"wanted-{way}"}
        return {
            "select": ({"database": "pg"}, 200),
            "plan": ({"provision": wanted}, 200),
            "provision": ({**key, "ask": wanted}, 200),
            "teardown": ({"idempotency_key": f"{way}/gone", "remove": {"environment": there}}, 200),
            "extend": (
                {
                    "idempotency_key": f"{way}/longer",
                    "extend": {"environment": there, "ttl_seconds": 60},
                },
                200,
            ),
            "keep-alive": ({"environment": there}, 200),
            "approve": ({"approval_token": yes}, 200),
            "deny": ({"approval_token": no}, 200),
            "status": ({"environment": there}, 200),
            "status.list": ({}, 200),
            "plan.show": ({"plan": plan}, 200),
            "roster": ({}, 200),
            "history": ({"environment": there}, 200),
            "history.events": ({"environment": there}, 200),
            "outputs": ({"environment": there}, 200),
            "verify": ({"environment": there}, 200),
            "access": (
                {
                    "idempotency_key": f"{way}/admin",
                    "access": {
                        "environment": there,
                        "terms": {
                            "access": {"kubeconfig": {"role": "admin", "ttl_seconds": 60}},
                            "recipient": RECIPIENT,
                        },
                    },
                },
                200,
            ),
            # Over NATS nothing proves who asks, so a person must approve.
            "secrets": ({"environment": there, "recipient": RECIPIENT}, 200 if way == "http" else 422),
            "kubeconfig": (
                {"environment": there, "ttl_seconds": 60, "recipient": RECIPIENT},
                200 if way == "http" else 422,
            ),
            "drift": ({"environment": there}, 200),
            "orphans": ({}, 200),
            "operations": ({}, 200),
            "doctor": ({}, 200),
            "prices": ({}, 200),
            "prices.verify": ({}, 200),
            "audit.verify": ({}, 200),
            "registry.export": ({"after": 1}, 200),
            # Nothing of it waits for a human.
            "resume": ({"environment": there}, 409),
        }

    def head(self):
        """How many records there are."""
        client = self.agent.http(self.secrets["read"])
        head = client.ask("GET", "/api/v1/events?after=999999").json()["result"]["head"]
        client.close()
        return head


WORLD = None


def setUpModule():
    global WORLD
    WORLD = World()


def tearDownModule():
    WORLD.ends.close()


def bodies(good):
    """Messages that are wrong, by what is wrong with them."""
    text = json.dumps(good)
    rest = text[1:]
    nested = "[" * 40 + "]" * 40
    wrong = {
        "unknown field": json.dumps({**good, "colour": 1}),
        "wrong type": json.dumps({**good, "schema_version": "1"}),
        "other version": json.dumps({**good, "schema_version": 2}),
        "no version": json.dumps({k: v for k, v in good.items() if k != "schema_version"}),
        "not JSON": text[:-1],
        "more behind": text + "x",
        "no object": f"[{text}]",
        "empty": "",
        "deep": '{"colour":' + nested + "," + rest,
        "very deep": '{"colour":' + "[" * 100_000 + "," + rest,
        "NUL": '{"requester":"da\\u0000na",' + rest,
        "bidi": '{"requester":"da\\u202ena",' + rest,
        "a field twice": '{"schema_version":1,' + rest,
        "a bad key": json.dumps({**good, "idempotency_key": "a b"}),
        "a bad requester": json.dumps({**good, "requester": "Dana!"}),
        "large number": '{"schema_version":1e400,' + rest,
    }
    for name, value in good.items():
        if name not in ("schema_version", "requester", "idempotency_key"):
            other = 7 if not isinstance(value, int) else "seven"
            wrong[f"wrong type of {name}"] = json.dumps({**good, name: other})
    return {
        **{what: each.encode() for what, each in wrong.items()},
        "not UTF-8": b'{"requester":"\xff\xfe",' + rest.encode(),
    }


def oversize(good):
    """A good message with too much space in it."""
    return json.dumps(good).encode() + b" " * OVERSIZE


class Table:
    """What was found, cell by cell."""

    def __init__(self, title, rows, columns):
        self.title, self.rows, self.columns = title, rows, columns
        self.cells = {}

    def put(self, operation, credential, shape, outcome):
        assert (operation, credential, shape) not in self.cells
        self.cells[operation, credential, shape] = outcome

    def __str__(self):
        lines = [self.title, " ".join(["operation".ljust(16), *(c.rjust(16) for c in self.columns)])]
        for operation in self.rows:
            found = (
                "/".join(str(self.cells[operation, column, shape]) for shape in SHAPES)
                for column in self.columns
            )
            lines.append(" ".join([operation.ljust(16), *(each.rjust(16) for each in found)]))
        return "\n".join([*lines, f"cells: {len(self.cells)}, each row {'/'.join(SHAPES)}"])


def only(outcomes):
    """The one outcome that all variants had; all of them when they differ."""
    different = set(outcomes.values())
    return different.pop() if len(different) == 1 else outcomes


def alike(one, other):
    """Whether two answers say the same; what goes on meanwhile may show."""
    return one["schema_version"] == other["schema_version"] and one.keys() == other.keys()


class Overview(unittest.TestCase):
    """Nothing is served that these tests do not know."""

    def test_every_operation_has_a_row(self):
        known = set(WORLD.about["http"])
        self.assertEqual(known, set(agent.operations()))
        subjects = {
            name.removesuffix(".request")
            for name in agent.schema_names()
            if name.startswith("infra.") and name.endswith(".request")
        }
        self.assertEqual(subjects, {f"infra.{name}" for name in known})
        self.assertEqual({each.scope for each in agent.operations().values()}, set(agent.SCOPES))

    def test_every_message_has_its_tests(self):
        others = {name.removesuffix(".reply") for name in agent.schema_names() if not name.startswith("infra.")}
        self.assertEqual(others, set(ELSEWHERE))
        for name, file in ELSEWHERE.items():
            self.assertIn(name, (HERE / file).read_text("utf-8"))

    def test_every_route_of_the_code_is_known(self):
        files = {path.relative_to(SOURCE).as_posix(): path for path in SOURCE.rglob("*.rs")}
        # Not what the code tests itself with.
        served = {name: path.read_text("utf-8").split("#[cfg(test)]")[0] for name, path in files.items()}
        texts = {name: re.sub(r"\s+", " ", text) for name, text in served.items()}
        routers = {name for name, text in texts.items() if "Router::" in text}
        self.assertEqual(routers, {"http/mod.rs"})
        below = [text for name, text in texts.items() if name.startswith("http/")]
        self.assertGreater(len(below), 5)
        text = " ".join(below)
        written = set(re.findall(r'\.route\( ?"([^"]+)"', text))
        self.assertEqual(written, OPEN | {STREAM})
        variable = re.findall(r"\.route\( ?([^\",]+),", text)
        self.assertEqual(variable, ["path"], "the routes of the table")
        adding = collections.Counter(ADDING.findall(text))
        routes = len(written) + len(variable)
        self.assertEqual(adding, {"route": routes, "fallback": 1, "method_not_allowed_fallback": 1})

    def test_every_subscription_of_the_agent_is_known(self):
        found = WORLD.nats.monitor("/connz?subs=1")["connections"]
        [own] = [each for each in found if each.get("name", "").startswith("exokit")]
        subjects = {each.subject for each in agent.operations().values()}
        inboxes = {each for each in own["subscriptions_list"] if each.startswith("_INBOX.infra.")}
        self.assertEqual(set(own["subscriptions_list"]) - inboxes, subjects | {"broadcast.>"})


class Over:
    """What is the same over HTTP and NATS."""

    def good(self, way, name):
        body, status = WORLD.about[way][name]
        return {"schema_version": 1, **body}, status


class OverHttp(Over, unittest.TestCase):
    """The table of HTTP."""

    def request(self, operation, body):
        """(method, path, body) of a message."""
        body = dict(body)
        taken = set(re.findall(r"\{(\w+)\}", operation.path))
        path = re.sub(r"\{(\w+)\}", lambda found: body[found[1]], operation.path)
        for name in taken:
            body.pop(name)
        if operation.method == "POST":
            return "POST", path, body
        body.pop("schema_version")
        query = urllib.parse.urlencode(body)
        return "GET", path + (f"?{query}" if query else ""), None

    def malformed(self, operation, good):
        """(method, path, body) of wrong requests, by what is wrong."""
        method, path, body = self.request(operation, good)
        if method == "POST":
            found = {what: (method, path, each) for what, each in bodies(body).items()}
        else:
            more = "&" if "?" in path else "?"
            found = {
                "unknown field": (method, f"{path}{more}colour=1", None),
                "schema_version": (method, f"{path}{more}schema_version=1", None),
                "NUL": (method, f"{path}{more}colour=%00", None),
                "bidi": (method, f"{path}{more}%E2%80%AE=1", None),
                "not UTF-8": (method, f"{path}{more}%FF=%FE", None),
                "a field twice": (method, f"{path}{more}after=1&after=1", None),
                "a bad key": (method, path, None, {"Idempotency_Key": "a b"}),
            }
            wrong = {"all": "maybe", "after": "-1", "environment": "First", "zone": "nowhere!"}
            wrong |= {"operation": "op_x"}
            for name in (each["name"] for each in operation.document["parameters"]):
                if name in wrong and f"{{{name}}}" not in operation.path:
                    bare = path.split("?")[0]
                    found[f"wrong {name}"] = (method, f"{bare}?{name}={wrong[name]}", None)
        for name in re.findall(r"\{(\w+)\}", operation.path):
            path = operation.path.replace(f"{{{name}}}", "Bad%E2%80%AE%00")
            found[f"wrong {name}"] = (method, path, body and json.dumps(body).encode())
        return found

    def send(self, client, method, path, body, headers=None):
        """The answer, after as many pauses as the agent asks for."""
        return self.patiently(lambda: client.ask(method, path, body, **(headers or {})))

    def patiently(self, ask):
        while True:
            answer = ask()
            self.check_headers(answer)
            if answer.status != 429:
                return answer
            time.sleep(answer.json()["error"]["retry_after_ms"] / 1000)

    def check_headers(self, answer):
        found = {name: answer.headers.get(name) for name in HEADERS}
        self.assertEqual(found, HEADERS)
        cross = [name for name in answer.headers if name.startswith("access-control")]
        self.assertEqual(cross, [])

    def refusal(self, answer):
        """The status of a refusal that says what it should, and no more."""
        reply = answer.json()
        self.assertEqual(set(reply), {"schema_version", "error"}, reply)
        self.assertEqual(reply["error"]["status"], answer.status)
        said = "".join(str(each) for each in reply["error"].values())
        self.assertIsNone(MISLEADING.search(said), repr(said))
        self.assertEqual(answer.headers["content-type"], "application/json")
        if answer.status == 401:
            self.assertEqual(answer.headers["www-authenticate"], 'Bearer realm="exokit"')
        return answer.status

    def oversize(self, client, operation, good, sent=True):
        """Who may not is refused before the body is sent."""
        method, path, body = self.request(operation, good)
        if method == "POST" and sent:
            return self.send(client, method, path, oversize(body)).status
        if method == "POST":
            return self.patiently(lambda: client.announce(method, path, OVERSIZE)).status
        # A GET has no body: it is the query that is too long.
        path += ("&" if "?" in path else "?") + "after=" + "1" * LONG_QUERY
        return self.send(client, method, path, None).status

    def refused(self, table, operations, credential, expected):
        """Cells of those who may not: whatever they send, it is not looked at."""
        client = WORLD.agent.http(WORLD.secrets[credential])
        for operation in operations:
            good, _ = self.good("http", operation.name)
            wrong = next(iter(self.malformed(operation, good).values()))
            good_one = self.request(operation, good)
            found = {
                "well-formed": self.refusal(self.send(client, *good_one)),
                "malformed": self.refusal(self.send(client, *wrong)),
                "oversize": self.oversize(client, operation, good, sent=False),
                "replayed": self.refusal(self.send(client, *good_one)),
            }
            for shape, outcome in found.items():
                table.put(operation.name, credential, shape, outcome)
                if outcome != expected:
                    self.wrong.append((operation.name, credential, shape, outcome))
        client.close()

    def test_table(self):
        operations = agent.operations()
        credentials = list(WORLD.secrets)
        table = Table("HTTP", list(operations), credentials)
        self.wrong = []
        before = WORLD.head()
        # Strangers are slowed down, so they go side by side with the others.
        strangers = ["no token", "unknown token", "expired token"]
        threads = [
            threading.Thread(target=self.refused, args=(table, operations.values(), each, 401))
            for each in strangers
        ]
        for thread in threads:
            thread.start()
        try:
            for scope in agent.SCOPES:
                others = [each for each in operations.values() if each.scope != scope]
                self.refused(table, others, scope, 403)
            for operation in operations.values():
                self.wrong_shapes(table, operation)
        finally:
            for thread in threads:
                thread.join()
        self.assertEqual(WORLD.head(), before, "what is refused leaves no record")
        for operation in operations.values():
            self.good_shapes(table, operation)
        print(f"\n{table}")
        self.assertEqual(self.wrong, [])
        self.assertEqual(len(table.cells), len(operations) * len(WORLD.secrets) * len(SHAPES))

    def wrong_shapes(self, table, operation):
        """Malformed and oversize, by one who may."""
        client = WORLD.agent.http(WORLD.secrets[operation.scope])
        good, _ = self.good("http", operation.name)
        outcomes = {
            what: self.refusal(self.send(client, *request))
            for what, request in self.malformed(operation, good).items()
        }
        table.put(operation.name, operation.scope, "malformed", only(outcomes))
        if only(outcomes) != 400:
            self.wrong.append((operation.name, "malformed", outcomes))
        outcome = self.oversize(client, operation, good)
        table.put(operation.name, operation.scope, "oversize", outcome)
        if outcome not in ((413,) if operation.method == "POST" else (400,)):
            self.wrong.append((operation.name, "oversize", outcome))
        client.close()

    def good_shapes(self, table, operation):
        """Well-formed, and the same once more, by one who may."""
        client = WORLD.agent.http(WORLD.secrets[operation.scope])
        good, expected = self.good("http", operation.name)
        first = self.send(client, *self.request(operation, good))
        table.put(operation.name, operation.scope, "well-formed", first.status)
        again = self.send(client, *self.request(operation, good))
        table.put(operation.name, operation.scope, "replayed", again.status)
        if (first.status, again.status) != (expected, expected):
            self.wrong.append((operation.name, first.status, first.body, again.body))
        self.wrong += once(operation.name, first.json(), again.json())
        client.close()

    def test_a_token_speaks_for_its_person_alone(self):
        client = WORLD.agent.http(WORLD.secrets["request"])
        good, _ = self.good("http", "provision")
        other = {**good, "requester": "kim"}
        answer = client.ask("POST", "/api/v1/provision", other)
        self.assertEqual(self.refusal(answer), 403)
        same = client.ask("POST", "/api/v1/plan", {**self.good("http", "plan")[0], "requester": "dana"})
        self.assertEqual(same.status, 200)
        client.close()

    def test_a_revoked_token_is_refused_within_seconds(self):
        token = WORLD.place.bearer("dana", "read")
        client = WORLD.agent.http(token["token"])
        status = lambda: self.send(client, "GET", "/api/v1/environments", None).status  # noqa: E731
        agent.until("the token", lambda: status() == 200)
        WORLD.place.text("token", "revoke", token["id"])
        agent.until("its end", lambda: status() == 401)
        client.close()

    def test_an_address_that_is_too_long(self):
        client = WORLD.agent.http(WORLD.secrets["read"])
        path = "/api/v1/environments?after=" + "1" * TOO_LONG_QUERY
        self.assertIn(client.ask("GET", path).status, (414, 431))
        client.close()

    def test_open_routes_need_no_token(self):
        client = WORLD.agent.http()
        for path in sorted(OPEN):
            answer = self.send(client, "GET", path, None)
            self.assertEqual(answer.status, 200, (path, answer.body))
            text = answer.body.decode()
            for secret in (each for each in WORLD.secrets.values() if each):
                self.assertNotIn(secret, text)
            self.assertNotIn("dana", text)
        client.close()

    def test_table_of_what_is_no_operation(self):
        rows = [*sorted(OPEN), STREAM, UNKNOWN]
        table = Table("HTTP, besides the operations", rows, list(WORLD.secrets))
        wrong = []
        before = WORLD.head()
        for path in rows:
            for credential, secret in WORLD.secrets.items():
                expected = self.beside(path, credential)
                found = self.shapes(path, secret)
                for shape, outcome in zip(SHAPES, found):
                    table.put(path, credential, shape, outcome)
                if found != expected:
                    wrong.append((path, credential, found, expected))
        self.assertEqual(WORLD.head(), before, "nothing of it leaves a record")
        print(f"\n{table}")
        self.assertEqual(wrong, [])
        self.assertEqual(len(table.cells), len(rows) * len(WORLD.secrets) * len(SHAPES))

    def beside(self, path, credential):
        """How each shape of a request for what is no operation is answered."""
        if path in OPEN:
            # Nothing is read of it.
            return [200] * len(SHAPES)
        if path == UNKNOWN:
            return [404] * len(SHAPES)
        refused = 403 if credential in agent.SCOPES else 401
        return [200, 400, 400, 200] if credential == "read" else [refused] * len(SHAPES)

    def shapes(self, path, secret):
        """The outcome of each shape."""
        client = WORLD.agent.http(secret)
        queries = ("colour=1", "colour=%00", "%E2%80%AE=1", "%FF=%FE", "after=x", "after=1&after=1")
        malformed = {each: self.send(client, "GET", f"{path}?{each}", None).status for each in queries}
        oversize = self.send(client, "GET", f"{path}?after=1{'1' * LONG_QUERY}", None).status
        client.close()
        first, again = (self.patiently(lambda: First(path, secret)) for _ in range(2))
        if path == STREAM:
            self.assertEqual(first.body, again.body)
        return [first.status, only(malformed), oversize, again.status]

    def test_nobody_asks_often_without_a_token(self):
        flooded = {
            ("GET", UNKNOWN, None): 404,
            ("GET", UNKNOWN, "unknown token"): 404,
            ("DELETE", "/api/v1/roster", None): 405,
            ("GET", "/api/v1/roster", None): 401,
            ("GET", "/api/v1/roster", "expired token"): 401,
            ("GET", STREAM, "unknown token"): 401,
        }
        for (method, path, credential), status in flooded.items():
            self.flood(method, path, WORLD.secrets[credential] if credential else None, status, STRANGERS_RATE)
            # Who has a token waits for nobody.
            client = WORLD.agent.http(WORLD.secrets["read"])
            for other, expected in (("/api/v1/roster", 200), (UNKNOWN, 404)):
                self.assertEqual(client.ask("GET", other).status, expected, (path, credential))
            client.close()

    def test_nobody_asks_often_on_open_routes(self):
        token = WORLD.secrets["read"]
        rest = OPEN - {NEVER_LIMITED}
        for path in sorted(rest):
            self.flood("GET", path, None, 200, OPEN_RATE)
            client = WORLD.agent.http(token)
            # A token makes no difference here, and that it is alive it says always.
            statuses = collections.Counter(client.ask("GET", path).status for _ in range(2 * OPEN_RATE))
            self.assertGreater(statuses[429], 0, (path, statuses))
            for _ in range(4 * OPEN_RATE):
                self.assertEqual(client.ask("GET", NEVER_LIMITED).status, 200)
            client.close()
        # Each has a limit of its own.
        self.flood("GET", "/metrics", None, 200, OPEN_RATE)
        client = WORLD.agent.http()
        self.assertEqual(client.ask("GET", "/readyz").status, 200)
        client.close()

    def flood(self, method, path, secret, status, rate):
        """Asks as fast as it can until it was refused as often as it may ask
        in a second: it was let in no more often than that."""
        client = WORLD.agent.http(secret)
        begin = time.monotonic()
        # What others asked before is over when it is let in.
        found = collections.Counter([self.send(client, method, path, None).status])
        while found[429] < rate:
            answer = client.ask(method, path)
            found[answer.status] += 1
            self.check_headers(answer)
            if answer.status == 429:
                self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
                self.assertGreater(answer.json()["error"]["retry_after_ms"], 0)
            self.assertLess(time.monotonic() - begin, agent.PATIENCE, (path, found))
        passed = time.monotonic() - begin
        client.close()
        self.assertEqual(set(found), {status, 429}, path)
        # A second's worth at once, and then by the time.
        self.assertLessEqual(found[status], rate * (1 + passed) + 1, (path, passed, found))

    def test_one_token_does_not_take_all_places_of_who_listens(self):
        other = WORLD.place.bearer("dana", "read")["token"]
        looker = WORLD.agent.http(other)
        agent.until("the token", lambda: self.send(looker, "GET", "/api/v1/roster", None).status == 200)
        looker.close()
        with agent.contextlib.ExitStack() as stack:
            listen = lambda token: stack.enter_context(Listening(token))  # noqa: E731
            held = [listen(other) for _ in range(LISTENERS_OF_TOKEN)]
            self.assertEqual({each.status for each in held}, {200})
            refused = listen(other)
            self.assertEqual((refused.status, refused.headers["retry-after"]), (429, "10"))
            self.assertEqual(listen(WORLD.secrets["read"]).status, 200)
            held[0].close()
            agent.until("the place", lambda: listen(other).status == 200)

    def test_everything_else_is_closed(self):
        client = WORLD.agent.http()
        for path in (
            "/api /api/ /api/v1 /api/v1/ /api/v2/environments /debug /.env /metrics/x /healthz/"
            " /api/v1/environments/ /api/v1/environments/../../etc/passwd /api/v1/events/other"
            " //api/v1/environments /tokens.json /ledger.db"
        ).split():
            answer = self.send(client, "GET", path, None)
            self.assertIn(answer.status, (401, 404), path)
        for operation in agent.operations().values():
            path = re.sub(r"\{\w+\}", "x", operation.path)
            described = agent.schema("openapi")["paths"][operation.path]
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "QUERY"):
                if method.lower() not in described:
                    origin = {"Origin": "https://other.example"}
                    asked = {"Access_Control_Request_Method": "POST"}
                    answer = self.send(client, method, path, None, {**origin, **asked})
                    self.assertEqual(answer.status, 405, (method, path, answer.body))
        client.close()

    def test_credentials_count_in_one_form_alone(self):
        token = WORLD.secrets["read"]
        basic = f"Basic {token}"
        for path, headers in (
            ("/api/v1/environments", {"Authorization": basic}),
            ("/api/v1/environments", {"Authorization": token}),
            ("/api/v1/environments", {"Authorization": f"Bearer{token}"}),
            ("/api/v1/environments", {"Authorization": f"Bearer {token}x"}),
            ("/api/v1/environments", {"Authorization": f"Bearer {token[:-1]}"}),
            ("/api/v1/environments", {"Authorization": f"Bearer {WORLD.tokens['read']['id']}"}),
            ("/api/v1/environments", {"Cookie": f"token={token}"}),
            ("/api/v1/environments", {"X_Api_Key": token}),
            (f"/api/v1/environments?token={token}", {}),
            (f"/api/v1/environments?access_token={token}", {}),
        ):
            client = WORLD.agent.http()
            answer = self.send(client, "GET", path, None, headers)
            self.assertEqual(self.refusal(answer), 401, (path, headers))
            client.close()

    def test_the_stream_of_events(self):
        cases = {
            "no token": 401,
            "unknown token": 401,
            "expired token": 401,
            "request": 403,
            "approve-forward": 403,
            "admin": 403,
        }
        for credential, expected in cases.items():
            client = WORLD.agent.http(WORLD.secrets[credential])
            for path in (STREAM, f"{STREAM}?colour=1", f"{STREAM}?after=1"):
                self.assertEqual(self.refusal(self.send(client, "GET", path, None)), expected)
            client.close()
        client = WORLD.agent.http(WORLD.secrets["read"])
        for path in (f"{STREAM}?colour=1", f"{STREAM}?after=x", f"{STREAM}?environment=A"):
            self.assertEqual(self.refusal(self.send(client, "GET", path, None)), 400)
        client.close()
        # It has no end, so a part of it is read.
        connection = http.client.HTTPConnection(WORLD.agent.http().address, timeout=30)
        sent = {"Authorization": f"Bearer {WORLD.secrets['read']}", "Last-Event-ID": "1"}
        connection.request("GET", STREAM, headers=sent)
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        self.assertEqual(response.getheader("Content-Type"), "text/event-stream")
        self.assertEqual(response.getheader("X-Content-Type-Options"), "nosniff")
        lines = [response.readline().decode().strip() for _ in range(3)]
        self.assertIn("id: 2", lines)
        connection.close()


class Listening:
    """An answer that may have no end, of which the beginning is read."""

    def __init__(self, token, path=STREAM):
        self.connection = http.client.HTTPConnection(WORLD.agent.http().address, timeout=agent.PATIENCE)
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        self.connection.request("GET", path, headers=sent)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.headers = {name.lower(): value for name, value in self.response.getheaders()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.response.close()
        self.connection.close()


class First:
    """The first line of an answer on a connection of its own."""

    def __init__(self, path, secret):
        with Listening(secret, path) as one:
            self.status, self.headers = one.status, one.headers
            self.body = one.response.readline()

    def json(self):
        return json.loads(self.body)


def once(name, first, again):
    """What is wrong with the answer to a message that came twice."""
    if "error" in first:
        return [] if first == again else [(name, "other refusal", first, again)]
    if name in ("provision", "teardown", "extend", "access"):
        same = first["result"]["operation"] == again["result"]["operation"]
        return [] if same else [(name, "two operations", first, again)]
    if name in ("approve", "deny", "select", "roster", "plan.show"):
        return [] if first == again else [(name, "other answer", first, again)]
    return [] if alike(first, again) else [(name, "other form", first, again)]


class OverNats(Over, unittest.IsolatedAsyncioTestCase):
    """The table of NATS."""

    async def asyncSetUp(self):
        self.clients = {}
        for user in USERS[2:]:
            self.clients[user] = await WORLD.nats.connect(user)

    async def asyncTearDown(self):
        for client in self.clients.values():
            await client.close()

    async def send(self, user, subject, data):
        """The reply; `denied` when the server does not take the message."""
        client = self.clients[user]
        if user == "observer":
            return await self.denied(user, subject, data)
        reply = await client.request(subject, data, timeout=30)
        body = json.loads(reply.data)
        self.assertEqual(set(body) - {"result", "error"}, {"schema_version"})
        return body

    async def denied(self, user, subject, data):
        """`denied` when the server says so, and nothing is sent then; it does
        not let the user have an answer either."""
        client = self.clients[user]
        seen = len(client.denied)
        await client.publish(subject, data, reply=f"_INBOX.{user}.x")
        await client.flush()
        # What the server denies comes by another way than its answers.
        end = time.monotonic() + 5
        while len(client.denied) == seen and time.monotonic() < end:
            await asyncio.sleep(0)
        denied = client.denied[seen:]
        return "denied" if any("publish" in each.lower() for each in denied) else "sent"

    def outcome(self, reply):
        if isinstance(reply, str):
            return reply
        if "error" in reply:
            said = "".join(str(each) for each in reply["error"].values())
            self.assertIsNone(MISLEADING.search(said), repr(said))
        return reply["error"]["status"] if "error" in reply else 200

    def message(self, name):
        good, status = self.good("nats", name)
        return {"requester": "dana", **good}, status

    async def test_table(self):
        operations = agent.operations()
        table = Table("NATS", list(operations), USERS)
        wrong = []
        for user, password in (("nobody", None), ("wrong password", "wrong")):
            name = None if password is None else "requester"
            with self.assertRaises(nats.errors.Error):
                await WORLD.nats.connect(name, password=password, connect_timeout=5)
            for operation in operations:
                for shape in SHAPES:
                    table.put(operation, user, shape, "no login")
        before = WORLD.head()
        for operation in operations.values():
            good, _ = self.message(operation.name)
            for user in USERS[2:]:
                outcomes = {
                    what: self.outcome(await self.send(user, operation.subject, data))
                    for what, data in bodies(good).items()
                }
                table.put(operation.name, user, "malformed", only(outcomes))
                large = self.outcome(await self.send(user, operation.subject, oversize(good)))
                table.put(operation.name, user, "oversize", large)
                expected = ("denied", "denied") if user == "observer" else (400, 413)
                if (only(outcomes), large) != expected:
                    wrong.append((operation.name, user, outcomes, large))
        for operation in operations.values():
            data = json.dumps(self.message(operation.name)[0]).encode()
            for shape in ("well-formed", "replayed"):
                denied = await self.send("observer", operation.subject, data)
                table.put(operation.name, "observer", shape, denied)
                if denied != "denied":
                    wrong.append((operation.name, "observer", shape, denied))
        self.assertEqual(WORLD.head(), before, "what is refused leaves no record")
        for operation in operations.values():
            good, expected = self.message(operation.name)
            data = json.dumps(good).encode()
            answers = []
            for user in USERS[3:]:
                for shape in ("well-formed", "replayed"):
                    answers.append(await self.send(user, operation.subject, data))
                    status = self.outcome(answers[-1])
                    table.put(operation.name, user, shape, status)
                    if status != expected:
                        wrong.append((operation.name, user, shape, answers[-1]))
            for again in answers[1:]:
                wrong += once(operation.name, answers[0], again)
        print(f"\n{table}")
        self.assertEqual(wrong, [])
        self.assertEqual(len(table.cells), len(operations) * len(USERS) * len(SHAPES))

    async def test_table_of_what_all_agents_are_asked(self):
        table = Table("NATS, for all agents", list(FOR_ALL), USERS)
        wrong = []
        before = WORLD.head()
        good = {"schema_version": 1}
        shapes = {
            "well-formed": [json.dumps(good).encode()],
            "malformed": list(bodies(good).values()),
            "oversize": [oversize(good)],
            "replayed": [json.dumps(good).encode()] * 2,
        }
        for subject, allowed in FOR_ALL.items():
            for user in USERS:
                expected = "no login" if user in USERS[:2] else "answered" if user in allowed else "denied"
                for shape, messages in shapes.items():
                    found = {n: await self.ask_all(user, subject, each) for n, each in enumerate(messages)}
                    table.put(subject, user, shape, only(found))
                    if only(found) != expected:
                        wrong.append((subject, user, shape, found))
        self.assertEqual(WORLD.head(), before, "nothing of it leaves a record")
        print(f"\n{table}")
        self.assertEqual(wrong, [])
        self.assertEqual(len(table.cells), len(FOR_ALL) * len(USERS) * len(SHAPES))

    async def ask_all(self, user, subject, data):
        """What becomes of a question for all agents."""
        if user not in self.clients:
            # That they are let in nowhere is in the table above.
            return "no login"
        if user not in FOR_ALL[subject]:
            return await self.denied(user, subject, data)
        # Nothing of it is looked at.
        answer = json.loads((await self.clients[user].request(subject, data, timeout=30)).data)
        known = answer["agent"] == "AZ-INFRA-001" and set(answer["subjects"]) == {
            each.subject for each in agent.operations().values()
        }
        return "answered" if known else answer

    async def test_what_does_not_fit_into_nats_is_not_sent(self):
        with self.assertRaises(nats.errors.MaxPayloadError):
            await self.clients["requester"].request("infra.select", b" " * (1 << 20 | 1))

    async def test_an_answer_goes_to_inboxes_only(self):
        heard = []

        async def note(message):
            heard.append(message)

        observer = self.clients["observer"]
        for subject in ("infra.events.>", "infra.approval.requested"):
            await observer.subscribe(subject, cb=note)
        await observer.flush()
        before = WORLD.head()
        wanted = {"template": "T1", "name": "unheard"}
        body = {"schema_version": 1, "requester": "dana", "ask": wanted}
        requester = self.clients["requester"]
        for reply in ("infra.events.store.ready", "infra.approval.requested", "$JS.API.INFO", ""):
            await requester.publish("infra.provision", json.dumps(body).encode(), reply=reply)
        # One that is answered comes after them on the same connection.
        answer = await self.send("requester", "infra.status", b'{"schema_version":1,"environment":"unheard"}')
        self.assertEqual(self.outcome(answer), 404)
        self.assertEqual(WORLD.head(), before, "without an inbox nothing is done")
        # Events of what other tests did may still be on their way.
        for message in heard:
            event = json.loads(message.data)
            self.assertFalse({"result", "error"} & event.keys(), message)
            self.assertLessEqual(event.get("seq", 0), before)
            self.assertNotIn(b"unheard", message.data)

    async def test_nobody_asks_for_a_change(self):
        for name in (
            "plan", "provision", "teardown", "extend", "access", "secrets", "kubeconfig", "keep-alive", "resume"
        ):
            good, _ = self.good("nats", name)
            good.pop("idempotency_key", None)
            answer = await self.send("requester", f"infra.{name}", json.dumps(good).encode())
            self.assertEqual(self.outcome(answer), 400, name)
            self.assertEqual(answer["error"]["code"], "requester")

    async def test_a_subject_that_is_none_has_no_responders(self):
        for subject in ("infra.none", "infra.status.other", "infra.roster.x", "infra.provisions"):
            with self.assertRaises(nats.errors.NoRespondersError):
                await self.clients["requester"].request(subject, b"{}", timeout=10)


if __name__ == "__main__":
    unittest.main()
