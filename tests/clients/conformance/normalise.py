"""Replies with what differs from run to run replaced.

An identity keeps its identity: the first UID of a conversation becomes
`<uid-1>` wherever it occurs, so two replies are equal only if the same things
are the same in both.
"""

import re

UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
# The volume with the token of a service account has a random name.
TOKEN = re.compile(r"\bkube-api-access-[a-z0-9]{5}\b")
# A name that is generated from one that is refused.
REFUSED_NAME = re.compile(r"\bJob-[a-z0-9]{5}\b")
REPLICA_SET = re.compile(r"""(ReplicaSet "\w+-)([a-z0-9]{8,10})(")""")
AGE = re.compile(r"^(?:\d+[smhd]){1,2}$")
VERSIONS_IN_TEXT = re.compile(r"(ResourceVersion in (?:the precondition|record) \()\d+(\))")
VERSIONS_IN_JSON = re.compile(r'(\\"resourceVersion\\":\\")\d+(\\")')
NODE_PORT_IN_TEXT = re.compile(r"(?<=:)3[0-2]\d{3}(?=/(?:TCP|UDP))")
HEADERS = ("content-type", "warning", "allow", "cache-control", "retry-after")


class Names:
    """Stands for the values of one conversation, in the order they occur."""

    def __init__(self, requested):
        # Text of the requests: what stands in it is not replaced.
        self.requested = requested
        self.values = {}
        self.counts = {}

    def of(self, kind, value):
        """The name of a value of this kind."""
        if value not in self.values:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            self.values[value] = f"<{kind}-{self.counts[kind]}>"
        return self.values[value]

    def learn(self, kind, value):
        """A value that is replaced wherever it stands, unless a request has it."""
        if value and value not in self.requested:
            self.of(kind, value)

    def shown(self, text):
        """A text with every value that has a name replaced."""
        text = UUID.sub(lambda found: self.of("uid", found[0]), text)
        text = TIME.sub("<time>", text)
        text = REFUSED_NAME.sub("Job-<suffix>", text)
        text = TOKEN.sub("kube-api-access-<suffix>", text)
        text = REPLICA_SET.sub(lambda found: f"{found[1]}{self.of('hash', found[2])}{found[3]}", text)
        text = VERSIONS_IN_TEXT.sub(r"\1<version>\2", text)
        text = VERSIONS_IN_JSON.sub(r"\1<version>\2", text)
        # Go lists the fields of a map in any order.
        first, mark, errors = text.partition("errors:\n")
        text = first + mark + "\n".join(sorted(errors.split("\n")))
        for value in sorted(self.values, key=len, reverse=True):
            # Versions and ports are numbers, which stand for other things too.
            if not self.values[value].startswith(("<version", "<port")) and value in text:
                text = re.sub(rf"(?<![a-z0-9]){re.escape(value)}(?![a-z0-9])", self.values[value], text)
        return text


def normal(reply, names, view=None):
    """A reply as it is compared and recorded."""
    headers = {}
    for name, value in reply.headers:
        if name in HEADERS:
            headers.setdefault(name, []).append(names.shown(value))
    found = {"status": reply.status}
    # All replies have this type unless they say otherwise.
    if headers.get("content-type") == ["application/json"]:
        del headers["content-type"]
    if headers:
        found["headers"] = headers
    if reply.body is not None:
        body = view(reply.body) if view else reply.body
        found["body"] = of_body(body, names)
    return found


def of_body(body, names):
    learn(body, names)
    return walk(body, names, "", is_list=False)


def learn(value, names):
    """Finds generated names and addresses in a body."""
    if isinstance(value, list):
        for item in value:
            learn(item, names)
    if not isinstance(value, dict):
        return
    labels = value.get("labels")
    if isinstance(labels, dict):
        names.learn("hash", labels.get("pod-template-hash"))
        names.learn("hash", labels.get("controller-revision-hash"))
    if isinstance(value.get("generateName"), str) and isinstance(value.get("name"), str):
        learn_suffix(value["name"].removeprefix(value["generateName"]), names)
    for key in ("clusterIP", "podIP"):
        address = value.get(key)
        if isinstance(address, str) and address != "None":
            names.learn("ip", address)
    for inner in value.values():
        learn(inner, names)


def learn_suffix(suffix, names):
    if 5 <= len(suffix) <= 10:
        names.learn("suffix", suffix)


def walk(value, names, key, is_list):
    """A value under a key. `is_list` is said of the metadata of lists."""
    if isinstance(value, dict):
        return walk_object(value, names, is_list)
    if isinstance(value, list):
        items = [walk(item, names, key, False) for item in value]
        if key == "managedFields":
            return by_manager(items)
        if key == "conditions" and all(isinstance(item, dict) for item in items):
            # They are a map by type for the API; their order tells nothing.
            return {item.get("type", ""): item for item in items}
        return items
    if key == "nodePort" and isinstance(value, int):
        return value if str(value) in names.requested else names.of("port", str(value))
    if not isinstance(value, str):
        return value
    if key == "resourceVersion" and value:
        return "<version>" if is_list else names.of("version", value)
    if key == "continue":
        return "<continue>" if value else value
    if key == "ca.crt":
        return "<certificate>"
    if key == "cells" and AGE.match(value):
        return "<age>"
    if key == "cells":
        value = NODE_PORT_IN_TEXT.sub("<port>", value)
    return names.shown(value)


def walk_object(value, names, is_list):
    kind = str(value.get("kind", ""))
    holds_list = kind.endswith("List") or kind == "Table" or value.get("type") == "BOOKMARK" or is_list
    found = {}
    for key, inner in value.items():
        passes = holds_list and key in ("metadata", "object", "resourceVersion", "continue")
        found[names.shown(key)] = walk(inner, names, key, passes)
    return found


def by_manager(entries):
    """Managers by name: their order is one of times, which seconds make a matter of chance."""

    def name(entry):
        return " ".join(str(entry.get(key, "")) for key in ("operation", "manager", "subresource")).strip()

    return {name(entry): entry for entry in entries}


def differences(left, right, path=""):
    """(path, left, right) of each difference of two normal forms."""
    if left == right and type(left) is type(right):
        return
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from differences(left.get(key, ABSENT), right.get(key, ABSENT), f"{path}.{key}")
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, pair in enumerate(zip(left, right)):
            yield from differences(*pair, f"{path}[{number}]")
    else:
        yield path, left, right


ABSENT = "<absent>"
