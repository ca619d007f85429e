"""The platform's NATS server, by its own configuration, on free ports.

    EXOKIT_NATS_SERVER=nats-server python3 nats_server.py

starts one, prints one JSON line {url, monitoring, ca, passwords} when it is
ready, and ends it when its input ends.
"""

import datetime
import ipaddress
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.request

import bcrypt
import nats
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SERVER = os.environ.get("EXOKIT_NATS_SERVER", "nats-server")
CONF = pathlib.Path(__file__).parents[2] / "communication" / "nats.conf"
USERS = ("infra", "orchestrator", "requester", "observer")
LISTENS = re.compile(r"Listening for client connections on \S+:(\d+)")
MONITORS = re.compile(r"Starting http monitor on (\S+)")


def hashed(password):
    """With the lowest cost: these passwords live for one test."""
    salt = bcrypt.gensalt(4, prefix=b"2a")
    return bcrypt.hashpw(password.encode(), salt).decode()


def variable(user):
    """The variable that the configuration reads this user's hash from."""
    return f"NATS_{user.upper()}_PASSWORD_HASH"


def certificate(common_name, key, issuer=None, issuer_key=None):
    """A CA if nobody issues it, else a certificate of this host."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
    )
    if issuer:
        here = [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        builder = builder.add_extension(x509.SubjectAlternativeName(here), False)
    return builder.sign(issuer_key or key, hashes.SHA256())


def write_certificates(folder):
    """ca.pem, server.pem and server.key in the folder."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("test CA", ca_key)
    server = certificate("nats", key, ca, ca_key)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(server.public_bytes(pem))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


class Place:
    """A folder with all that the configuration asks for."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        write_certificates(self.folder)
        self.ca = str(self.folder / "ca.pem")
        self.passwords = {user: f"password of {user}" for user in USERS}
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "NATS_TLS_CERT": str(self.folder / "server.pem"),
            "NATS_TLS_KEY": str(self.folder / "server.key"),
            "NATS_STORE_DIR": str(self.folder / "store"),
            **{variable(user): hashed(self.passwords[user]) for user in USERS},
        }

    def check(self, environment):
        """What `nats-server -t` says of the configuration."""
        return subprocess.run(
            [SERVER, "-c", CONF, "-t"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


class Server:
    """One running server; `with` ends it."""

    def __init__(self, place, conf=CONF, **environment):
        self.place = place
        # A host name, so that no address that it reports comes from here.
        self.process = subprocess.Popen(
            [SERVER, "-c", conf, "-a", "localhost", "-p", "-1", "-m", "-1"],
            env={**place.environment, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = self.start()
        self.port = int(self.logged(LISTENS))
        self.monitoring = f"http://{self.logged(MONITORS)}"
        # A pipe that nobody reads would stop the server one day.
        self.reader = threading.Thread(
            target=self.log.extend, args=(self.process.stderr,)
        )
        self.reader.start()

    def start(self):
        """The lines of the log until the server is ready."""
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if "Server is ready" in line:
                return lines
        self.process.stderr.close()
        self.process.wait()
        raise RuntimeError("".join(lines))

    def logged(self, pattern):
        return next(found[1] for found in map(pattern.search, self.log) if found)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=10)
        self.reader.join()
        self.process.stderr.close()

    def url(self):
        return f"tls://localhost:{self.port}"

    def monitor(self, path):
        with urllib.request.urlopen(self.monitoring + path, timeout=10) as reply:
            return json.load(reply)

    def trust(self):
        return ssl.create_default_context(cafile=self.place.ca)

    async def connect(self, user, **options):
        """A connection; what the server denies it gathers in `.denied`."""
        denied = []

        async def on_error(error):
            denied.append(str(error))

        wanted = {
            "user": user,
            "password": self.place.passwords.get(user),
            "tls": self.trust(),
            "inbox_prefix": f"_INBOX.{user}",
            "error_cb": on_error,
            "allow_reconnect": False,
            **options,
        }
        client = await nats.connect(self.url(), **wanted)
        client.denied = denied
        return client


def main():
    with tempfile.TemporaryDirectory() as folder, Server(Place(folder)) as server:
        told = {
            "url": server.url(),
            "monitoring": server.monitoring,
            "ca": server.place.ca,
            "passwords": server.place.passwords,
        }
        print(json.dumps(told), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
