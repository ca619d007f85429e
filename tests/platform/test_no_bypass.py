"""Nothing is made or deleted at level 2 or 3 without the persons that it needs,
on whichever path it is tried. The witness is the cloud's own journal.

EXOKIT_BIN=exokit EXOKIT_NATS_SERVER=nats-server python3 test_no_bypass.py
"""

import asyncio
import collections
import contextlib
import hashlib
import json
import logging
import pathlib
import re
import shutil
import sqlite3
import unittest

import yaml

import agent
import nats_server
import test_orchestrator

# About TLS connections that end, which is no news here.
logging.getLogger("asyncio").setLevel(logging.ERROR)

TEMPLATES = pathlib.Path(__file__).parents[2] / "templates"
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHARED = contextlib.ExitStack()
KEYS = {person: [agent.Key()] for person, _ in agent.VOTERS}
# One person with two keys is one person.
KEYS["alex"].append(agent.Key())


def setUpModule():
    global FOLDER, ROSTER, NATS, USUAL
    unittest.addModuleCleanup(SHARED.close)
    FOLDER = SHARED.enter_context(agent.folder())
    ROSTER = agent.with_roster(FOLDER / "roster", KEYS)
    (FOLDER / "nats").mkdir()
    NATS = SHARED.enter_context(nats_server.Server(nats_server.Place(FOLDER / "nats")))
    with Scene() as scene:
        scene.place.json("up", "T1", "--name", "usual")
        USUAL = shapes(scene.cloud.changes())
    assert USUAL["POST /zone/ch-dk-2/v2/sks-cluster"] == 1, USUAL


def shapes(changes):
    """Changes by what they are to, without ids."""
    return collections.Counter(ID.sub("ID", change) for change in changes)


def digest(domain, data):
    return hashlib.sha256(domain.encode() + b"\0" + data).digest()


class Scene:
    """A cloud with a journal, and a state directory of its own for it."""

    number = 0

    def __enter__(self):
        Scene.number += 1
        self.folder = FOLDER / f"scene-{Scene.number}"
        self.folder.mkdir()
        self.cloud = agent.Cloud(self.folder)
        self.place = ROSTER.copy(self.folder / "state", self.cloud.variables())
        return self

    def __exit__(self, *_):
        code = self.cloud.stop()
        assert code == 0, code
        shutil.rmtree(self.folder)

    def serve(self):
        """The agent on HTTP and NATS, and what speaks to it."""
        return Doors(self)

    def bare(self):
        """The agent on HTTP alone, which starts sooner."""
        return Doors(self, nats=False)

    def append(self, *entries):
        """Writes records past the program, with hashes that fit. A file that says
        that it is of an earlier format gets the rows for them when it is opened."""
        database = sqlite3.connect(self.place.folder / "ledger.db")
        with contextlib.closing(database):
            [(seq, head)] = database.execute(
                "SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1"
            )
            for entry in entries:
                seq += 1
                entry = {"at": agent.moment(), "epoch": 0, **entry}
                text = agent.canonical(entry)
                after = digest("exokit-ledger/v1", head + seq.to_bytes(8, "big") + text)
                database.execute(
                    "INSERT INTO records (seq, prev, hash, entry) VALUES (?, ?, ?, ?)",
                    (seq, head, after, text.decode()),
                )
                head = after
            database.execute("PRAGMA user_version = 3")
            database.commit()

    def records(self):
        database = sqlite3.connect(self.place.folder / "ledger.db")
        with contextlib.closing(database):
            rows = database.execute("SELECT entry FROM records ORDER BY seq").fetchall()
        return [json.loads(entry) for (entry,) in rows]


class Doors:
    """A running agent, asked over HTTP, and over NATS when it is there."""

    def __init__(self, scene, nats=True):
        self.scene = scene
        place = scene.place
        if not (place.folder / "tokens.json").exists():
            self.token = place.bearer("dana", *agent.SCOPES)["token"]
            self.bot = place.bearer("dana-agent", *agent.SCOPES)["token"]
            scene.tokens = self.token, self.bot
        self.token, self.bot = scene.tokens
        self.agent = agent.Agent(place, NATS if nats else None)
        self.client = self.agent.http(self.token)

    def __enter__(self):
        return self

    def __exit__(self, *failed):
        self.client.close()
        self.agent.__exit__(*failed)

    def post(self, name, token=None, /, **body):
        """The result, or the code of the refusal."""
        body = {"schema_version": 1, **body}
        client = self.agent.http(token) if token else self.client
        path = agent.operations()[name].path
        for part in re.findall(r"\{(\w+)\}", path):
            path = path.replace(f"{{{part}}}", body.pop(part))
        answer = client.ask("POST", path, body).json()
        if token:
            client.close()
        return answer.get("result") or answer["error"]["code"]

    def status(self, name):
        answer = self.client.ask("GET", f"/api/v1/environments/{name}").json()
        return answer.get("result") or answer["error"]["code"]

    def wait(self, name, phase):
        def reached():
            status = self.status(name)
            return status if status["phase"] == phase else None

        return agent.until(f"{name} {phase}", reached)

    def nats(self, *messages):
        """What is answered to each (subject, body), one after the other."""

        async def ask():
            client = await NATS.connect("requester")
            found = []
            for subject, body in messages:
                data = json.dumps({"schema_version": 1, **body}).encode()
                reply = await client.request(subject, data, timeout=agent.PATIENCE)
                answer = json.loads(reply.data)
                found.append(answer.get("result") or answer["error"]["code"])
            await client.close()
            return found

        return asyncio.run(ask())


def claims_of(token):
    part = token.split(".")[1]
    return json.loads(agent.base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def forged(plan):
    """Votes of kim that are none, by the code with which each is refused."""
    kim, stranger = KEYS["kim"][0], agent.Key()
    good = kim.vote("kim", plan)
    header, _, signature = good.split(".")
    claims = {**claims_of(good), "expires_at": agent.moment(7200)}
    other = f"{header}.{agent.base64url(agent.canonical(claims))}.{signature}"
    pretends = agent.Key()
    pretends.id = kim.id
    nobody = {"alg": "none", "kid": kim.id, "typ": "exokit-approval+jwt"}
    unsigned = agent.base64url(agent.canonical(nobody)) + "." + good.split(".")[1] + "."
    hour = 3600
    return [
        ("unknown-key", stranger.vote("kim", plan)),
        ("bad-signature", pretends.vote("kim", plan)),
        ("bad-signature", other),
        ("malformed", unsigned),
        ("malformed", good + "x"),
        ("malformed", good.replace(".", "..", 1)),
        ("wrong-type", kim.sign("roster", claims_of(good))),
        (
            "expired",
            kim.vote("kim", plan, issued_at=agent.moment(-2 * hour), expires_at=agent.moment(-hour)),
        ),
        ("too-long", kim.vote("kim", plan, expires_at=agent.moment(48 * hour))),
        (
            "not-yet-valid",
            kim.vote("kim", plan, issued_at=agent.moment(hour), expires_at=agent.moment(2 * hour)),
        ),
        ("unknown-key", kim.vote("alex", plan)),
        ("unknown-key", kim.vote("dana-agent", plan)),
        ("wrong-level", kim.vote("kim", plan, level=1)),
        ("wrong-action", kim.vote("kim", plan, action="extend")),
        ("wrong-environment", kim.vote("kim", plan, environment="other")),
        ("self-approval", KEYS["dana"][0].vote("dana", plan)),
    ]


def insufficient(plan):
    """Good votes that are not enough for level 3: of one person, and of two
    with one role."""
    first, second = KEYS["alex"]
    return [
        (None, first.vote("alex", plan)),
        ("duplicate", second.vote("alex", plan)),
        (None, KEYS["lee"][0].vote("lee", plan)),
    ]


def routed_each(*tasks):
    """What comes first of each (task, body), one after the other: the result,
    or the code of the refusal."""

    async def give():
        client = await NATS.connect("orchestrator")
        giver, found = test_orchestrator.Giver(client), []
        for task, body in tasks:
            [update] = await giver.give(task, **body)
            answer = update.get("answered") or {"error": update["refused"]}
            found.append(answer.get("result") or answer["error"]["code"])
        await client.close()
        return found

    return asyncio.run(give())


def routed(task, **body):
    return routed_each((task, body))[0]


def sealed_each(plan, votes):
    """Hands a plan to the orchestrator with each of several lists of votes."""
    task = {"provision": "infra.provision", "teardown": "infra.teardown"}[plan["action"]]
    body = {"requester": "dana", "sealed": {"plan": plan["plan"], "seal": plan["seal"]}}
    return routed_each(*((task, {**body, "approval_token": tokens}) for tokens in votes))


def sealed(plan, tokens):
    return sealed_each(plan, [tokens])[0]


class NoBypass(unittest.TestCase):
    """One test for each path."""

    def setUp(self):
        self.scene = Scene()
        self.enterContext(self.scene)

    def count(self):
        return shapes(self.scene.cloud.changes())

    def nothing_since(self, before, doors=None, name="witness"):
        """Nothing was made or deleted since, although the agent is at work: it
        makes what needs nobody, and exactly that."""
        if doors is None:
            self.scene.place.json("up", "T1", "--name", name)
        else:
            made = doors.post("provision", ask={"template": "T1", "name": name})
            self.assertEqual(made["level"], 1, made)
            doors.wait(name, "ready")
        self.assertEqual(self.count() - before, USUAL)

    def votes(self, hand_on, plan, votes):
        """Hands votes on; each has the outcome that it should."""
        for code, token in votes:
            found = hand_on(token)
            if code is None:
                self.assertFalse(found["enough"], found)
            else:
                self.assertEqual(found, code, token)

    def provision(self, hand_on, ask, again):
        """A plan of level 3: tried in every way, then approved at last."""
        plan = ask("T4", "three")
        other = ask("T4", "other")
        self.assertEqual((plan["level"], plan["phase"]), (3, "awaiting-approval"))
        again(plan)
        self.votes(hand_on, plan, forged(plan))
        self.votes(hand_on, plan, insufficient(plan))
        # What two persons said about the other one counts for that alone.
        self.votes(hand_on, other, [(None, KEYS["kim"][0].vote("kim", other))])
        again(plan)
        return plan

    def test_nats(self):
        with self.scene.serve() as doors:
            [plan_of_bot] = doors.nats(
                (
                    "infra.provision",
                    {"requester": "dana-agent", "ask": {"template": "T3", "name": "bot"}},
                )
            )
            own = KEYS["dana"][0].vote("dana", plan_of_bot)
            self.assertEqual(doors.nats(("infra.approve", {"approval_token": own})), ["self-approval"])

            def ask(template, name):
                wanted = {"requester": "dana", "ask": {"template": template, "name": name}}
                return doors.nats(("infra.provision", wanted))[0]

            def hand_on(token):
                return doors.nats(("infra.approve", {"approval_token": token}))[0]

            def again(plan):
                """Asks for its start, with votes that are for another one."""
                other = doors.nats(
                    ("infra.provision", {"plan_id": plan["plan_id"]}),
                    (
                        "infra.provision",
                        {
                            "plan_id": plan["plan_id"],
                            "approval_token": KEYS["kim"][0].vote("kim", plan_of_bot),
                        },
                    ),
                    ("infra.teardown", {"plan_id": plan["plan_id"]}),
                )
                self.assertEqual(other[0]["phase"], "awaiting-approval")
                self.assertEqual(other[1:], ["wrong-plan", "usage"])

            plan = self.provision(hand_on, ask, again)
            self.nothing_since(self.count() - self.count(), doors)
            self.assertTrue(hand_on(KEYS["kim"][0].vote("kim", plan))["enough"])
            doors.wait("three", "ready")

    def test_orchestrator(self):
        place = self.scene.place
        with self.scene.serve() as doors, test_orchestrator.Router(place, NATS) as router:
            made = {}
            for template, name, level in (("T3", "two", 2), ("T4", "three", 3)):
                ask = {"template": template, "name": name}
                made[name] = routed("infra.plan", requester="dana", provision=ask)
                self.assertEqual(made[name]["level"], level)
                self.refused(made[name])
            # A vote that is handed on by itself meets the agent's own judgement.
            waiting = doors.post("provision", ask={"template": "T4", "name": "waiting"})
            self.votes(lambda token: routed("infra.approve", approval_token=token), waiting, [
                *((code, token) for code, token in forged(waiting)),
                *insufficient(waiting),
            ])
            self.nothing_since(collections.Counter(), doors)
            for name, persons in (("two", ["kim"]), ("three", ["alex", "kim"])):
                found = sealed(made[name], [KEYS[person][0].vote(person, made[name]) for person in persons])
                self.assertEqual(found["environment"], name, found)
                doors.wait(name, "ready")
            before = self.count()
            removal = routed("infra.plan", requester="dana", teardown={"environment": "two"})
            self.assertEqual(removal["level"], 3)
            self.refused(removal)
            # The votes for its making are none for its end.
            as_made = KEYS["kim"][0].vote("kim", made["two"])
            self.assertEqual(sealed(removal, [as_made]), "wrong-plan")
            self.nothing_since(before, doors, "witness-2")
            found = sealed(removal, [KEYS[person][0].vote(person, removal) for person in ("alex", "kim")])
            self.assertEqual(found["environment"], "two", found)
            doors.wait("two", "gone")
            votes = [json.loads(line) for line in router.audit.read_text("utf-8").splitlines()]
            good = [(vote["person"], vote["plan_digest"]) for vote in votes if vote["task"] != "infra.approve"]
            self.assertEqual(good, [
                ("kim", made["two"]["digest"]),
                ("alex", made["three"]["digest"]),
                ("kim", made["three"]["digest"]),
                ("alex", removal["digest"]),
                ("kim", removal["digest"]),
            ])

    def refused(self, plan):
        """A plan of level 2 or 3 is handed in with votes that are too few, or
        none. Each time the orchestrator itself refuses it."""
        deny = KEYS["kim"][0].vote("kim", plan, decision="deny")
        alex, again = (key.vote("alex", plan) for key in KEYS["alex"])
        wrong = [("approval-required", []), ("denied", [deny]), ("denied", [alex, deny])]
        wrong += [(code, [token]) for code, token in forged(plan)]
        wrong += [(code, [alex, token]) for code, token in forged(plan)]
        if plan["level"] == 3:
            lee = KEYS["lee"][0].vote("lee", plan)
            wrong += [("missing-votes", [alex]), ("missing-votes", [alex, alex])]
            wrong += [("missing-votes", [alex, again]), ("missing-role", [alex, lee])]
        found = sealed_each(plan, [tokens for _, tokens in wrong])
        self.assertEqual(found, [code for code, _ in wrong])

    def test_http(self):
        with self.scene.bare() as doors:

            def ask(template, name):
                return doors.post("provision", ask={"template": template, "name": name})

            def hand_on(token):
                return doors.post("approve", approval_token=token)

            def again(plan):
                found = doors.post("provision", plan_id=plan["plan_id"])
                self.assertEqual(found["phase"], "awaiting-approval")
                foreign = KEYS["kim"][0].vote("kim", {**plan, "digest": "0" * 64})
                found = doors.post("provision", plan_id=plan["plan_id"], approval_token=[foreign])
                self.assertEqual(found, "wrong-plan")
                self.assertEqual(doors.post("resume", environment="three"), "wrong-phase")

            bot = doors.post("provision", doors.bot, ask={"template": "T3", "name": "bot"})
            self.assertEqual(hand_on(KEYS["dana"][0].vote("dana", bot)), "self-approval")
            plan = self.provision(hand_on, ask, again)
            self.nothing_since(collections.Counter(), doors)
            self.assertTrue(hand_on(KEYS["kim"][0].vote("kim", plan))["enough"])
            doors.wait("three", "ready")

    def test_command_line(self):
        place = self.scene.place
        file = self.scene.folder / "token"

        def ask(template, name):
            return place.json("up", template, "--name", name, code=3)

        def hand_on(token):
            file.write_text(token)
            plan_digest = self.plan["digest"]
            if token.count(".") == 2:
                with contextlib.suppress(ValueError):
                    plan_digest = claims_of(token)["plan_digest"]
            ended = place.run("approve", plan_digest, "--token", str(file), "-o", "json")
            if ended.returncode == 0:
                return json.loads(ended.stdout)
            return json.loads(ended.stderr.splitlines()[-1])["error"]["code"]

        def again(plan):
            self.plan = plan
            found = place.json("up", "--plan", plan["plan_id"], code=3)
            self.assertEqual(found["phase"], "awaiting-approval")
            place.text("watch", "three", "--once", code=3)
            self.assertEqual(place.refusal("resume", "three")["code"], "wrong-phase")

        plan = self.provision(hand_on, ask, again)
        self.nothing_since(collections.Counter())
        self.assertTrue(hand_on(KEYS["kim"][0].vote("kim", plan))["enough"])
        place.text("watch", "three", "--once")

    def store(self, doors):
        """T3, which holds data, with the one vote that it needs."""
        made = doors.post("provision", ask={"template": "T3", "name": "store"})
        token = KEYS["alex"][0].vote("alex", made)
        self.assertTrue(doors.post("approve", approval_token=token)["enough"])
        doors.wait("store", "ready")
        return made

    def test_deletion(self):
        with self.scene.serve() as doors:
            made = self.store(doors)
            # The votes for its making are none for its end.
            removal = doors.post("teardown", remove={"environment": "store"})
            self.assertEqual(removal["level"], 3)
            before = self.count()
            as_made = KEYS["kim"][0].vote("kim", made)
            self.assertEqual(doors.post("approve", approval_token=as_made), "replayed")
            found = doors.post("teardown", plan_id=removal["plan_id"], approval_token=as_made)
            self.assertEqual(found, "wrong-plan")

            def over_nats(token):
                return doors.nats(("infra.approve", {"approval_token": token}))[0]

            self.votes(over_nats, removal, forged(removal))
            self.votes(over_nats, removal, insufficient(removal))
            self.scene.place.text("watch", "store", "--once", code=3)
            self.scene.place.json("down", "--plan", removal["plan_id"], code=3)
            self.nothing_since(before, doors)
            self.assertTrue(over_nats(KEYS["kim"][0].vote("kim", removal))["enough"])
            doors.wait("store", "gone")

    def test_break_glass(self):
        """Whoever wants to go past a rule needs more persons, not fewer."""
        with self.scene.serve() as doors:
            ask = {"template": "T1", "name": "glass", "break_glass": "the audit is not over"}
            made = doors.post("provision", ask=ask)
            self.assertEqual((made["level"], made["phase"]), (3, "awaiting-approval"))
            one = KEYS["alex"][0].vote("alex", made)
            self.assertFalse(doors.post("approve", approval_token=one)["enough"])
            self.nothing_since(collections.Counter(), doors)
            other = KEYS["kim"][0].vote("kim", made)
            self.assertTrue(doors.post("approve", approval_token=other)["enough"])
            doors.wait("glass", "ready")

    def test_expiry_deletes_nothing_by_itself(self):
        with self.scene.bare() as doors:
            wanted = {"template": "T1", "name": "short", "ttl_seconds": 1}
            self.assertEqual(doors.post("provision", ask=wanted)["level"], 1)

            def proposed():
                status = doors.status("short")
                open_ones = status["open"] if isinstance(status, dict) else []
                return next((each for each in open_ones if each["action"] == "teardown"), None)

            removal = agent.until("the plan to remove what expired", proposed)
            self.assertEqual((removal["level"], removal["phase"]), (2, "awaiting-approval"))
            before = self.count()
            self.assertEqual(before, USUAL)
            self.nothing_since(before, doors)

    # Records written past the program.

    def planned(self, template="T4", name="three"):
        """A recorded plan, with the agent ended again."""
        return self.scene.place.json("up", template, "--name", name, code=3)

    def entry(self, plan, event):
        return {"environment": plan["environment"], "operation": plan["operation"], "event": event}

    def test_a_vote_inserted(self):
        plan = self.planned()
        for person in ("alex", "kim"):
            token = agent.Key().vote(person, plan)
            event = {
                "type": "approval-recorded",
                "digest": plan["digest"],
                "person": person,
                "token": token,
            }
            self.scene.append(self.entry(plan, event))
        with self.scene.bare() as doors:
            found = doors.post("provision", plan_id=plan["plan_id"])
            self.assertEqual(found["phase"], "awaiting-approval")
            self.nothing_since(collections.Counter(), doors)
        self.scene.place.run("up", "--plan", plan["plan_id"])
        self.scene.place.run("watch", "three", "--once")
        self.assertEqual(self.count(), USUAL)

    def test_a_start_inserted(self):
        plan = self.planned()
        event = {"type": "operation-started", "digest": plan["digest"]}
        self.scene.append(self.entry(plan, event))
        with self.scene.bare() as doors:
            self.nothing_since(collections.Counter(), doors)
            doors.post("resume", environment="three")
            doors.post("resume", environment="three", rollback=True)
            self.nothing_since(USUAL, doors, "witness-2")

    def test_a_start_inserted_for_a_deletion(self):
        with self.scene.bare() as doors:
            self.store(doors)
            removal = doors.post("teardown", remove={"environment": "store"})
        before = self.count()
        event = {"type": "operation-started", "digest": removal["digest"]}
        self.scene.append(self.entry(removal, event))
        with self.scene.bare() as doors:
            self.nothing_since(before, doors)
            doors.post("resume", environment="store")
            self.nothing_since(before + USUAL, doors, "witness-2")

    def propose(self, text):
        """Inserts a plan as it is."""
        plan = json.loads(text)
        found = hashlib.sha256(text.encode()).hexdigest()
        operation = plan["plan_id"].replace("plan_", "op_")
        event = {"type": "plan-proposed", "digest": found, "plan": text}
        self.scene.append(
            {"environment": plan["environment"], "operation": operation, "event": event}
        )

    def sealed(self, **changes):
        """The text of a plan of level 3 that was never recorded, changed."""
        with self.scene.bare() as doors:
            made = doors.post("plan", provision={"template": "T4", "name": "three"})
        found = hashlib.sha256(made["plan"].encode()).hexdigest()
        assert found == made["digest"], "the digest of a plan is computed like this"
        plan = json.loads(made["plan"])
        assert plan.keys() >= changes.keys(), plan.keys()
        return agent.canonical({**plan, **changes}).decode()

    def test_a_plan_with_a_lower_level_inserted(self):
        self.propose(self.sealed(level=1))
        with self.scene.bare() as doors:
            self.nothing_since(collections.Counter(), doors)
        self.scene.place.run("watch", "three", "--once")
        self.assertEqual(self.count(), USUAL)

    def test_a_plan_that_hides_its_template_level_inserted(self):
        self.propose(self.sealed(level=1, template_level=1))
        with self.scene.bare() as doors:
            self.nothing_since(collections.Counter(), doors)

    def test_a_plan_that_hides_level_and_price_inserted(self):
        text = self.sealed()
        cost = {**json.loads(text)["cost"], "hourly": "0.01"}
        plan = {**json.loads(text), "level": 1, "template_level": 1, "cost": cost, "band": "LOW"}
        self.propose(agent.canonical(plan).decode())
        with self.scene.bare() as doors:
            self.nothing_since(collections.Counter(), doors)

    def test_a_plan_of_another_template_inserted(self):
        text = self.sealed()
        cost = {**json.loads(text)["cost"], "hourly": "0.01"}
        plan = {**json.loads(text), "level": 1, "template_level": 1, "cost": cost, "band": "LOW"}
        self.propose(agent.canonical({**plan, "template": "T1"}).decode())
        with self.scene.bare() as doors:
            self.nothing_since(collections.Counter(), doors)

    def roster(self):
        """The roster in force, with its signed form."""
        signed = [
            each["event"]["signed"]
            for each in self.scene.records()
            if each["event"]["type"] == "roster-installed"
        ]
        return claims_of(signed[-1]), signed

    def install(self, signed, version):
        event = {"type": "roster-installed", "version": version, "signed": signed}
        self.scene.append({"event": event})

    def test_a_roster_of_another_root_inserted(self):
        plan = self.planned()
        roster, _ = self.roster()
        intruder = agent.Key()
        forged_roster = {**roster, "version": roster["version"] + 1}
        self.install(intruder.sign("roster", forged_roster), roster["version"] + 1)
        self.blocked(plan)

    def test_an_older_roster_inserted(self):
        plan = self.planned()
        roster, signed = self.roster()
        self.install(signed[-2], claims_of(signed[-2])["version"])
        self.blocked(plan)

    def blocked(self, plan):
        """With good votes too, nothing happens, in whichever way it is tried."""
        votes = [KEYS[person][0].vote(person, plan) for person in ("alex", "kim")]
        place = self.scene.place
        try:
            with self.scene.bare() as doors:
                for token in votes:
                    self.assertIsInstance(doors.post("approve", approval_token=token), str)
                found = doors.post(
                    "provision", plan_id=plan["plan_id"], approval_token=votes
                )
                self.assertIsInstance(found, str)
                doors.post("provision", ask={"template": "T4", "name": "new"})
        except RuntimeError:
            # An agent that does not begin makes nothing either.
            pass
        for words in (["up", "--plan", plan["plan_id"]], ["watch", plan["environment"], "--once"]):
            self.assertNotEqual(place.run(*words).returncode, 0, words)
        self.assertEqual(self.count(), collections.Counter())

    # Backups that came back.

    def test_a_vote_whose_key_was_revoked_since(self):
        plan = self.planned()
        place = self.scene.place
        file = self.scene.folder / "token"
        votes = {person: KEYS[person][0].vote(person, plan) for person in ("alex", "kim")}
        file.write_text(votes["kim"])
        place.text("approve", plan["plan_id"], "--token", str(file))
        place.text("approver", "revoke", KEYS["kim"][0].id)
        with self.scene.bare() as doors:
            found = doors.post("approve", approval_token=votes["alex"])
            self.assertFalse(found["enough"], found)
            self.nothing_since(collections.Counter(), doors)

    def test_a_ledger_from_before_a_revocation(self):
        plan = self.planned()
        place, saved = self.scene.place, self.scene.folder / "saved"
        saved.mkdir()
        with self.scene.serve() as doors:
            doors.wait("three", "awaiting-approval")
            self.save(saved)
            place.text("approver", "revoke", KEYS["kim"][0].id)
            last = len(self.scene.records())
            cursor = place.folder / "events.cursor"
            agent.until("the cursor", lambda: cursor.read_text().split()[:1] == [str(last)])
        self.restore(saved)
        votes = [KEYS[person][0].vote(person, plan) for person in ("alex", "kim")]
        self.scene.place.run("watch", "three", "--once")
        with contextlib.suppress(RuntimeError), self.scene.bare() as doors:
            for token in votes:
                doors.post("approve", approval_token=token)
            self.nothing_since(collections.Counter(), doors)

    def save(self, saved):
        """Copies the ledger as it is now, while others write."""
        source = sqlite3.connect(self.scene.place.folder / "ledger.db")
        target = sqlite3.connect(saved / "ledger.db")
        with contextlib.closing(source), contextlib.closing(target):
            source.backup(target)

    def restore(self, saved):
        for old in self.scene.place.folder.glob("ledger.db*"):
            old.unlink()
        shutil.copy(saved / "ledger.db", self.scene.place.folder / "ledger.db")

    def test_a_backup_from_before_the_votes(self):
        plan = self.planned()
        place, saved = self.scene.place, self.scene.folder / "saved"
        shutil.copytree(place.folder, saved)
        file = self.scene.folder / "token"
        for person in ("alex", "kim"):
            file.write_text(KEYS[person][0].vote(person, plan))
            place.text("approve", plan["plan_id"], "--token", str(file))
        shutil.rmtree(place.folder)
        shutil.copytree(saved, place.folder)
        with self.scene.bare() as doors:
            found = doors.post("provision", plan_id=plan["plan_id"])
            self.assertEqual((found["phase"], found["approvals"]), ("awaiting-approval", []))
            self.nothing_since(collections.Counter(), doors)

    # Files that were edited.

    def test_root_key_replaced(self):
        plan = self.planned()
        (self.scene.place.folder / "root.key").write_text(agent.Key().public + "\n")
        self.blocked(plan)

    def test_root_key_replaced_and_a_roster_to_it(self):
        plan = self.planned()
        roster, _ = self.roster()
        intruder = agent.Key()
        (self.scene.place.folder / "root.key").write_text(intruder.public + "\n")
        later = {**roster, "version": roster["version"] + 1}
        self.install(intruder.sign("roster", later), later["version"])
        self.blocked(plan)

    def test_root_key_removed(self):
        plan = self.planned()
        (self.scene.place.folder / "root.key").unlink()
        self.blocked(plan)

    def test_root_key_removed_does_not_lift_the_policy(self):
        place = self.scene.place
        place.text("approver", "policy", "--request-max", "0.01")
        plan = self.planned("T1", "one")
        self.assertEqual(plan["level"], 3)
        (place.folder / "root.key").unlink()
        self.assertNotEqual(place.run("up", "T1", "--name", "two").returncode, 0)
        self.blocked(plan)

    def test_a_template_with_a_lower_level(self):
        for number, name in ((5, "security-hardened"), (4, "compute-heavy")):
            text = (TEMPLATES / f"T{number}-{name}.yaml").read_text("utf-8")
            lowered = re.sub(r"(?m)^  level: \d$", "  level: 1", text)
            self.assertNotEqual(lowered, text)
            folder = self.scene.place.folder / "templates"
            folder.mkdir(exist_ok=True)
            (folder / f"T{number}.yaml").write_text(lowered, "utf-8")
        for template in ("T5", "T4"):
            self.scene.place.run("up", template, "--name", template.lower())
        self.assertEqual(self.count(), collections.Counter())

    def test_prices_that_were_lowered(self):
        prices = yaml.safe_load(
            next(pathlib.Path(TEMPLATES.parent / "prices").glob("*.yaml")).read_text("utf-8")
        )
        prices["hourly"] = {item: "0.00001" for item in prices["hourly"]}
        prices["date"] = str(prices["date"])
        (self.scene.place.folder / "prices.yaml").write_text(yaml.safe_dump(prices), "utf-8")
        self.scene.place.run("up", "T2", "--name", "cheap")
        self.assertEqual(self.count(), collections.Counter())

    def test_tokens_that_were_added(self):
        plan = self.planned()
        secret = "exokit_intruder"
        file = {
            "tokens": [
                {
                    "id": "intruder",
                    "sha256": hashlib.sha256(secret.encode()).hexdigest(),
                    "person": person,
                    "scopes": list(agent.SCOPES),
                    "created_at": agent.moment(),
                    "expires_at": agent.moment(3600),
                }
                for person in ("kim",)
            ]
        }
        (self.scene.place.folder / "tokens.json").write_text(json.dumps(file))
        self.scene.tokens = secret, secret
        with self.scene.bare() as doors:
            # Who has a token may ask, and still votes with a key alone.
            found = doors.post("provision", plan_id=plan["plan_id"])
            self.assertEqual(found["phase"], "awaiting-approval")
            token = agent.Key().vote("kim", plan)
            self.assertEqual(doors.post("approve", approval_token=token), "unknown-key")
            self.nothing_since(collections.Counter(), doors)


if __name__ == "__main__":
    unittest.main()
