"""State directories, clouds and running agents for the tests beside this file.

EXOKIT_BIN names the program. Nothing here knows more of the agent than a
person who has the program and its schemas.
"""

import base64
import contextlib
import datetime
import functools
import hashlib
import http.client
import json
import os
import pathlib
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

EXOKIT = shlex.split(os.environ.get("EXOKIT_BIN", "exokit"))
PASSPHRASE = "correct horse battery"
# Longest wait for anything.
PATIENCE = 60
SCOPES = ("read", "request", "access", "approve-forward", "admin")
# Person and role. dana asks; alex and lee have the same role.
VOTERS = (
    ("dana", "developer"),
    ("alex", "platform"),
    ("lee", "platform"),
    ("kim", "finance"),
)


def until(what, condition):
    """The first value of `condition` that is not false."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise TimeoutError(f"{what} did not come within {PATIENCE} s")


def canonical(value):
    """RFC 8785, of values with whole numbers and names in ASCII alone."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def moment(seconds=0):
    """The time so many seconds from now, as it stands in a token."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    at = now + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Key:
    """A key that votes, or that forges votes."""

    def __init__(self):
        self.secret = Ed25519PrivateKey.generate()
        public = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = base64url(public)
        self.id = hashlib.sha256(public).hexdigest()[:16]

    def sign(self, kind, payload):
        """A compact signature for a purpose."""
        header = {"alg": "EdDSA", "kid": self.id, "typ": f"exokit-{kind}+jwt"}
        signed = f"{base64url(canonical(header))}.{base64url(canonical(payload))}"
        return f"{signed}.{base64url(self.secret.sign(signed.encode()))}"

    def vote(self, person, plan, **changes):
        """A vote for what `infra.plan` answered, or for an operation."""
        claims = {
            "plan_digest": plan["digest"],
            "decision": "approve",
            "action": plan["action"],
            "level": plan["level"],
            "environment": plan["environment"],
            "person": person,
            "key_id": self.id,
            "issued_at": moment(),
            "expires_at": moment(3600),
            "nonce": base64url(secrets.token_bytes(16)),
        }
        return self.sign("approval", {**claims, **changes})


class Place:
    """A state directory and the variables that lead to it and to its cloud."""

    def __init__(self, folder, cloud=None):
        self.folder = pathlib.Path(folder)
        self.cloud = {"EXOKIT_CLOUD": "sim"} if cloud is None else cloud

    def variables(self, person="dana", **more):
        return {
            "PATH": os.environ.get("PATH", ""),
            "EXOKIT_STATE": str(self.folder),
            "EXOKIT_SIM_SPEED": "max",
            "EXOKIT_PERSON": person,
            "EXOKIT_PASSPHRASE": PASSPHRASE,
            **self.cloud,
            **more,
        }

    def run(self, *arguments, person="dana", **more):
        """Runs the program to its end."""
        return subprocess.run(
            [*EXOKIT, *arguments],
            env=self.variables(person, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def text(self, *arguments, code=0, **more):
        """What the program prints, when it ends with `code`."""
        ended = self.run(*arguments, **more)
        said = f"{shlex.join(arguments)}: {ended.returncode}\n{ended.stderr}"
        assert ended.returncode == code, said
        return ended.stdout

    def json(self, *arguments, **more):
        return json.loads(self.text(*arguments, "-o", "json", **more))

    def refusal(self, *arguments, code=1, **more):
        """The error with which the program ends."""
        ended = self.run(*arguments, "-o", "json", **more)
        assert ended.returncode == code, (arguments, ended)
        return json.loads(ended.stderr.splitlines()[-1])["error"]

    def bearer(self, person, *scopes):
        """A token for HTTP, with its secret."""
        wanted = [word for scope in scopes for word in ("--scope", scope)]
        return self.json("token", "create", "--for", person, *wanted)

    def copy(self, folder, cloud=None):
        """The same state in another folder, for a cloud of its own."""
        shutil.copytree(self.folder, folder)
        if cloud is not None:
            pathlib.Path(folder, "state.json").unlink(missing_ok=True)
        return Place(folder, cloud)


def with_roster(folder, keys=None):
    """A state directory whose roster has the voters, each with a key of the
    program in the state directory, or with the given ones; and dana-agent,
    who acts for dana."""
    place = Place(folder)
    place.json("approver", "init")
    for person, role in VOTERS:
        own = keys[person] if keys else [place.json("approver", "create-key", person)]
        publics = [key.public if keys else key["public"] for key in own]
        for public in publics:
            more = ["--role", role, "--public", public]
            place.text("approver", "add", person, *more)
    place.text("approver", "add", "dana-agent", "--agent-of", "dana")
    return place


class Process:
    """A process of the program that says where it is in its first line."""

    def __init__(self, arguments, variables, log):
        self.log = pathlib.Path(log)
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*EXOKIT, *arguments],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        line = self.process.stdout.readline()
        watchdog.cancel()
        if not line:
            self.process.wait()
            self.process.stdout.close()
            raise RuntimeError(self.log.read_text("utf-8"))
        self.said = json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        code = self.stop()
        assert code == 0, (code, self.log.read_text("utf-8")[-4000:])

    def stop(self):
        """Asks it to end, and gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        return code


class Agent(Process):
    """`exokit serve`, with the NATS server when there is one."""

    def __init__(self, place, nats=None, *options, listen="127.0.0.1:0"):
        arguments = ["serve", "--listen", listen, "--log-format", "text"]
        variables = place.variables()
        if nats:
            arguments += ["--nats", nats.url(), "--nats-user", "infra"]
            arguments += ["--nats-ca", nats.place.ca]
            variables["EXOKIT_NATS_PASSWORD"] = nats.place.passwords["infra"]
        super().__init__([*arguments, *options], variables, place.folder / "agent.log")
        self.url = self.said["http"]

    def http(self, token=None):
        return Http(self.url, token)


class Answer:
    """What came back over HTTP."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


class Http:
    """One connection that stays, with a bearer token or without."""

    def __init__(self, url, token=None):
        self.address = urllib.parse.urlsplit(url).netloc
        self.token = token
        self.connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)

    def close(self):
        self.connection.close()

    def ask(self, method, path, body=None, **headers):
        """`body` is sent as it is when it is bytes, else as JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            self.connection.request(method, path, body, sent)
            answer = Answer(self.connection.getresponse())
        except (ConnectionError, http.client.HTTPException):
            # The server closes a connection whose request it did not read to
            # its end; what it answered is asked for once more on a fresh one.
            self.connection.close()
            self.connection.request(method, path, body, sent)
            answer = Answer(self.connection.getresponse())
        if answer.headers.get("connection", "").lower() == "close":
            self.connection.close()
        return answer


    def announce(self, method, path, length):
        """Announces a long body, and reads the answer instead of sending it."""
        self.connection.close()
        self.connection.putrequest(method, path)
        if self.token:
            self.connection.putheader("Authorization", f"Bearer {self.token}")
        self.connection.putheader("Content-Type", "application/json")
        self.connection.putheader("Content-Length", str(length))
        self.connection.endheaders()
        answer = Answer(self.connection.getresponse())
        self.connection.close()
        return answer


class Cloud(Process):
    """`exokit sim`: a simulated Exoscale with a journal of what is asked of it."""

    def __init__(self, folder, *options, **variables):
        self.journal = pathlib.Path(folder) / "journal.jsonl"
        self.journal.touch()
        arguments = ["sim", "--speed", "max", "--record", str(self.journal), *options]
        own = {"PATH": os.environ.get("PATH", ""), **variables}
        super().__init__(arguments, own, pathlib.Path(folder) / "sim.log")

    def variables(self):
        """What leads the program to it, as to Exoscale."""
        return {
            "EXOKIT_CLOUD": "exoscale",
            "EXOSCALE_API_KEY": self.said["api_key"],
            "EXOSCALE_API_SECRET": self.said["api_secret"],
            "EXOSCALE_API_ENDPOINT": self.said["endpoint"].replace(
                "/v2", "/zone/{zone}/v2"
            ),
            "EXOSCALE_SOS_ENDPOINT": self.said["sos_endpoint"],
        }

    def changes(self):
        """The requests that were to make, change or delete something."""
        lines = self.journal.read_text("utf-8").splitlines()
        asked = (json.loads(line) for line in lines)
        return [
            f"{each['method']} {each['path']}"
            for each in asked
            if each["method"] not in ("GET", "HEAD")
            # Access to a cluster is asked for anew every minute; nothing changes.
            and "/sks-cluster-kubeconfig/" not in each["path"]
        ]


@functools.cache
def schema(name):
    """A schema as the program prints it."""
    printed = subprocess.run(
        [*EXOKIT, "schema", name], capture_output=True, text=True, check=True
    )
    return json.loads(printed.stdout)


@functools.cache
def schema_names():
    printed = subprocess.run(
        [*EXOKIT, "schema"], capture_output=True, text=True, check=True
    )
    return printed.stdout.split()


class Operation:
    """One operation, as the OpenAPI document describes it."""

    def __init__(self, path, method, document):
        self.path, self.method = path, method.upper()
        self.name = document["operationId"]
        self.subject, self.scope = document["x-subject"], document["x-scope"]
        self.document = document


def operations():
    """Every operation that there is, by name."""
    described = [
        Operation(path, method, operation)
        for path, methods in schema("openapi")["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    ]
    return {operation.name: operation for operation in described}


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="exokit-test-") as path:
        yield pathlib.Path(path)
