"""Who listens to live events: until the agent or the token ends.

EXOKIT_BIN=exokit python3 test_live_events.py
"""

import unittest

import agent

STREAM = "/api/v1/events/stream?after=0"


class Listener:
    """One who listens over a connection of its own."""

    def __init__(self, running, token):
        self.http = running.http(token)
        headers = {"Authorization": f"Bearer {token}"}
        self.http.connection.request("GET", STREAM, headers=headers)
        self.response = self.http.connection.getresponse()
        assert self.response.status == 200, self.response.status

    def until(self, kind):
        """Reads until an event of this kind."""
        while (line := self.response.readline()) != f"event: {kind}\n".encode():
            assert line, f"the stream ended before {kind}"

    def rest(self):
        """What comes until the stream ends."""
        return self.response.read()


class Listening(unittest.TestCase):
    def setUp(self):
        stack = agent.contextlib.ExitStack()
        self.addCleanup(stack.close)
        self.place = agent.Place(stack.enter_context(agent.folder()) / "state")
        self.token = self.place.bearer("dana", "read", "request")
        self.agent = stack.enter_context(agent.Agent(self.place))
        self.listener = Listener(self.agent, self.token["token"])
        self.addCleanup(self.listener.http.close)
        body = {"schema_version": 1, "ask": {"template": "T1", "name": "one"}}
        made = self.ask("POST", "/api/v1/provision", body)
        self.assertEqual(made.status, 200, made.body)
        self.listener.until("operation-succeeded")

    def ask(self, method, path, body=None):
        with agent.contextlib.closing(self.agent.http(self.token["token"])) as http:
            return http.ask(method, path, body)

    def test_an_agent_that_ends_does_not_wait_for_who_listens(self):
        self.assertEqual(self.agent.stop(), 0)
        self.listener.rest()

    def test_who_has_lost_the_token_hears_no_more(self):
        self.place.json("token", "revoke", self.token["id"])
        self.listener.rest()
        refused = self.ask("GET", "/api/v1/environments")
        self.assertEqual(refused.status, 401)


if __name__ == "__main__":
    unittest.main()
