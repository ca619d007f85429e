"""Holds conversations with an API server."""

import json
import time

from .normalise import Names, normal, of_body
from .steps import Conversation, create, until

SETTLES_WITHIN_S = 30


class Unsettled(Exception):
    """A condition that a conversation waits for has not come to hold."""


def hold(server, conversation):
    """Holds a conversation; gives its replies in normal form, by step."""
    return Talk(server, conversation).replies()


class Talk:
    """A conversation in progress."""

    def __init__(self, server, conversation: Conversation):
        self.server, self.conversation = server, conversation
        texts = [step.path + json.dumps(step.body) for step in everything(conversation.steps)]
        self.names = Names("".join(texts))
        self.saved = {"ns": conversation.name}
        self.found = {}

    def replies(self):
        self.make_namespace()
        for step in self.conversation.steps:
            self.take(step)
        return self.found

    def make_namespace(self):
        """The namespace, with the account and the certificate that controllers add."""
        body = {"metadata": {"labels": self.conversation.labels}}
        made = self.send(create(f"namespaces/{self.conversation.name}", body))
        if made.status != 201:
            raise AssertionError(f"could not create namespace {self.conversation.name}: {made.body}")
        for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            self.settle(until(path, lambda body: body.get("kind") != "Status"))

    def take(self, step):
        label = f"{len(self.found) + 1:02} {step.method} {step.path}"
        if step.events:
            self.found[label] = None
            self.found[label] = self.watch(step)
            return
        reply = self.settle(step) if step.until else self.send(step)
        self.save(step, reply)
        self.found[label] = normal(reply, self.names, step.view)

    def watch(self, step):
        reply, events = self.server.watch(step.user, self.filled(step.path), step.headers)
        try:
            for inner in step.during:
                self.take(inner)
            shown = normal(reply, self.names)
            shown["body"] = [of_body(event, self.names) for event in events.read(step.events)]
            return shown
        finally:
            events.close()

    def settle(self, step):
        """Repeats a read until its condition holds."""
        end = time.monotonic() + SETTLES_WITHIN_S
        while True:
            reply = self.send(step)
            try:
                if step.until(reply.body):
                    return reply
            except (KeyError, TypeError):
                # The body has not the shape yet that the condition is about.
                pass
            if time.monotonic() > end:
                shown = json.dumps(reply.body)[:3000]
                raise Unsettled(f"{self.conversation.name}: {step.path} does not settle: {shown}")
            time.sleep(0.02)

    def send(self, step):
        body = step.body
        if body is not None:
            body = body if isinstance(body, str) else json.dumps(body)
            body = self.filled(body).encode()
        return self.server.send(step.user, step.method, self.filled(step.path), step.headers, body)

    def save(self, step, reply):
        for name, path in step.save.items():
            value = reply.body
            for key in path.split("."):
                value = value[int(key) if isinstance(value, list) else key]
            self.saved[name] = str(value)

    def filled(self, text):
        """A text with the saved values in it."""
        for name in sorted(self.saved, key=len, reverse=True):
            text = text.replace(f"${name}", self.saved[name])
        return text


def everything(steps):
    """All steps, with those that are taken during watches."""
    for step in steps:
        yield step
        yield from everything(step.during)

