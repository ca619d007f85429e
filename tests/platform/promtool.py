"""Prometheus' own judge of metrics, from Debian's package `prometheus`.

It is fetched without being installed, and without any right of the
administrator: lists and package go below the virtual environment.
"""

import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(sys.prefix)


def path():
    """The program: that of the machine, or the one that is fetched once."""
    if known := shutil.which("promtool"):
        return known
    own = HERE / "bin" / "promtool"
    if not own.exists():
        fetch(own)
    return str(own)


def fetch(to):
    work = HERE / "debian"
    (work / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (work / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-qq", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    run(*apt, "update", cwd=work)
    run(*apt, "download", "prometheus", cwd=work)
    (package,) = work.glob("prometheus_*.deb")
    run("dpkg-deb", "-x", package.name, "content", cwd=work)
    shutil.move(work / "content" / "usr" / "bin" / "promtool", to)
    shutil.rmtree(work)


def run(*words, cwd):
    ended = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    hint = "install the Debian package `prometheus`, which has promtool"
    assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}\n{hint}"


def check(text):
    """What promtool has to say about metrics, and its exit code."""
    judged = subprocess.run(
        [path(), "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    return judged.returncode, judged.stdout + judged.stderr
