"""Sends requests to an API server and reads replies and watches."""

import http.client
import json
import socket
import ssl
from typing import NamedTuple

# No request here takes long: one that hangs fails.
TIMEOUT_S = 30


class Reply(NamedTuple):
    """A reply: status, headers (names in lower case) and body."""

    status: int
    headers: list
    body: object


class Connection(http.client.HTTPSConnection):
    """A connection whose TLS server name may differ from its address."""

    def __init__(self, host, port, server_name, context):
        super().__init__(host, port, context=context, timeout=TIMEOUT_S)
        self.server_name = server_name
        self.tls = context

    def connect(self):
        plain = socket.create_connection((self.host, self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self.tls.wrap_socket(plain, server_hostname=self.server_name)


class Server:
    """An API server and the credentials of its users."""

    def __init__(self, host, port, server_name, users):
        """`users` maps a name to a TLS context and headers."""
        self.address = (host, port, server_name)
        self.users = users
        self.connections = {}

    def open(self, user):
        context, _ = self.users[user]
        return Connection(*self.address, context)

    def send(self, user, method, path, headers=None, body=None):
        """One request; gives the reply. Connections are kept."""
        connection = self.connections.setdefault(user, self.open(user))
        try:
            connection.request(method, path, body, {**self.users[user][1], **(headers or {})})
            response = connection.getresponse()
            text = response.read()
        except (http.client.HTTPException, OSError):
            # The next request opens a new connection; this one is not repeated.
            connection.close()
            raise
        return Reply(response.status, lower(response), decoded(response, text))

    def watch(self, user, path, headers=None):
        """Opens a watch: gives the reply without a body, and the open stream."""
        connection = self.open(user)
        connection.request("GET", path, None, {**self.users[user][1], **(headers or {})})
        response = connection.getresponse()
        return Reply(response.status, lower(response), None), Events(connection, response)

    def close(self):
        for connection in self.connections.values():
            connection.close()


class Events:
    """The events of an open watch."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response

    def read(self, number):
        """The next events, so many; fewer when the stream ends."""
        lines = (self.response.readline() for _ in range(number))
        return [json.loads(line) for line in lines if line]

    def close(self):
        self.connection.close()


def lower(response):
    return [(name.lower(), value) for name, value in response.getheaders()]


def decoded(response, text):
    """JSON as an object, everything else as text."""
    if text and response.getheader("content-type", "").startswith("application/json"):
        return json.loads(text)
    return text.decode("utf-8", "replace")


def tls(authority=None, certificate=None, server_is_checked=True):
    """A TLS context, with a client certificate where one is given."""
    context = ssl.create_default_context(cafile=authority)
    if not server_is_checked:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(*certificate)
    return context
