"""Judges exchanges by the official OpenAPI document, with a library of others.

The document is the one inside the package `exoscale`. Its schemas are open;
here each object is taken as closed, so that a key which the document does not
have is found too.
"""

import json
import re
from importlib import resources
from typing import NamedTuple
from urllib.parse import parse_qs, parse_qsl

from jsonschema import Draft202012Validator
from openapi_core import Config, OpenAPI
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.templating.paths.finders import APICallPathFinder
from openapi_core.templating.paths.iterators import TemplatePathsIterator
from openapi_core.testing import MockRequest, MockResponse

# The document describes no refusal of the operations that are served. These
# shapes were recorded from the real API.
REFUSAL = Draft202012Validator(
    {
        "type": "object",
        "required": ["message"],
        "additionalProperties": False,
        "properties": {
            "message": {"type": "string", "minLength": 1},
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["message"],
                    "additionalProperties": False,
                    "properties": {"message": {"type": "string", "minLength": 1}},
                },
            },
        },
    }
)
# 501 is the simulator's own; 405 is no answer to a path and method that exist.
REFUSALS = (400, 403, 404, 409, 412, 429, 500, 501, 502, 503, 504)
GATEWAY = (502, 503, 504)
METHODS = ("get", "post", "put", "patch", "delete")
ZONE = re.compile(r"^/zone/(?P<zone>[^/]+)(?P<path>/.*)$")


class Finding(NamedTuple):
    """One way in which an exchange differs from the document."""

    operation: str
    side: str
    status: int
    where: str
    what: str

    def __str__(self):
        return f"{self.operation} {self.side} ({self.status}): {self.where}: {self.what}"


class Verdict(NamedTuple):
    """What was found of one exchange."""

    operation: str
    status: int
    asked: list
    answered: list


def place(path):
    """A JSON path in which all items of a list are one."""
    return "".join("[*]" if isinstance(key, int) else f".{key}" for key in path)


def schema_findings(error):
    """(where, what) of a violation of a schema."""
    path = list(error.absolute_path)
    if error.message.startswith("Additional properties are not allowed"):
        known = error.schema.get("properties")
        # Of an object without properties the document says nothing.
        for key in sorted(set(error.instance) - set(known)) if known else ():
            yield place([*path, key]), "not in the document"
    elif error.message.startswith("Tried to write read-only property"):
        yield place(path), "read-only"
    elif error.message.startswith("Tried to read write-only property"):
        yield place(path), "write-only"
    else:
        yield place(path), error.message[:200]


def findings(errors):
    """(where, what) of what the library says."""
    for error in errors:
        violations = getattr(error.__cause__, "schema_errors", None)
        if violations:
            for violation in violations:
                yield from schema_findings(violation)
        else:
            yield type(error).__name__, str(error)[:200]


class MostLiteral(TemplatePathsIterator):
    """Of the paths that fit, first the one that leaves least to parameters.

    `/instance/1:stop` is `/instance/{id}:stop` and not `/instance/{id}`.
    """

    def __call__(self, *args, **kwargs):
        def left_over(path):
            return sum(len(value) for value in path.path_result.variables.values())

        return iter(sorted(super().__call__(*args, **kwargs), key=left_over))


class Finder(APICallPathFinder):
    """Finds the operation of a request."""

    paths_iterator = MostLiteral("paths")


class Judge:
    """The official document."""

    def __init__(self):
        text = resources.files("exoscale").joinpath("openapi.json").read_text("utf-8")
        self.document = json.loads(text)
        # It calls itself OpenAPI 3.0.0 and uses keys of later versions for its
        # tags, so it is not itself validated.
        config = Config(
            spec_validator_cls=None,
            path_finder_cls=Finder,
            additional_properties_default_policy="forbid",
        )
        self.api = OpenAPI.from_dict(self.document, config=config)
        self.finder = Finder(self.api.spec)

    def operations(self):
        """(method, path, operation) of all operations."""
        for path, methods in self.document["paths"].items():
            for method in METHODS:
                if method in methods:
                    yield method.upper(), path, methods[method]

    def verdicts(self, *files):
        """The verdicts on all exchanges of files by `exokit sim --record`."""
        # Most exchanges are repetitions: each is judged once.
        judged, found = {}, []
        for path in files:
            with open(path, encoding="utf-8") as file:
                for line in file:
                    if line not in judged:
                        judged[line] = self.judge(json.loads(line))
                    found.append(judged[line])
        return [verdict for verdict in found if verdict]

    def judge(self, exchange):
        """The verdict on one exchange; None where it is not about the API."""
        if exchange["path"].startswith("/api/pricing/"):
            return None
        request = self.request(exchange)
        status = exchange["status"]
        try:
            found = self.finder.find(request.method, request.host_url + request.path)
        except PathError as error:
            wrong = Finding("unknown", "request", status, exchange["path"], str(error))
            return Verdict("unknown", status, [wrong], [])
        operation = found.operation["operationId"]

        def of(side, pairs):
            # The same at each item of a list is said once.
            return [
                Finding(operation, side, status, *pair) for pair in dict.fromkeys(pairs)
            ]

        asked = list(findings(self.api.iter_request_errors(request)))
        asked += self.unknown_parameters(found.operation, exchange)
        return Verdict(
            operation,
            status,
            of("request", asked),
            of("reply", self.reply(request, exchange)),
        )

    @staticmethod
    def request(exchange):
        zoned = ZONE.match(exchange["path"])
        zone, path = zoned.groups() if zoned else ("ch-gva-2", exchange["path"])
        body = exchange["body"]
        return MockRequest(
            f"https://api-{zone}.exoscale.com",
            exchange["method"],
            path,
            args=parse_qs(exchange["query"], keep_blank_values=True),
            data=None if body is None else json.dumps(body).encode(),
        )

    @staticmethod
    def unknown_parameters(operation, exchange):
        known = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
        for name, _ in parse_qsl(exchange["query"], keep_blank_values=True):
            if name not in known:
                yield f"?{name}", "not in the document"

    def reply(self, request, exchange):
        status, body = exchange["status"], exchange.get("reply")
        if status is None:
            return []
        response = MockResponse(
            b"" if body is None else json.dumps(body).encode(),
            status,
            content_type=exchange["type"],
        )
        if status < 400:
            return list(findings(self.api.iter_response_errors(request, response)))
        return list(refusal(status, exchange["type"], body))


def refusal(status, kind, body):
    """(where, what) of a refusal that has not the recorded shape."""
    if status not in REFUSALS:
        yield "status", "no status of the real API"
    if kind.startswith("text/plain") and status in GATEWAY:
        return
    if not kind.startswith("application/json"):
        yield "content type", kind
    for error in REFUSAL.iter_errors(body):
        yield place(error.absolute_path), error.message[:200]
