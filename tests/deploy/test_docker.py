"""The Dockerfile as text, and greenserve as process 1, as which a container runs it.

`make image-test` builds the image and runs tests/deploy/image_check.py in it; that needs root and minutes, so it is a
verb of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import requests
from tests.deploy.processes import GREENSERVE, ROOT, running
from tests.support.times import PATIENCE

from greenserve import Config

pytestmark = pytest.mark.repository

TEXT = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
LAST_STAGE = TEXT[TEXT.rindex("\nFROM ") :]


def last(instruction: str) -> str:
    return re.findall(rf"^{instruction} (.+)$", LAST_STAGE, re.MULTILINE)[-1]


def can_be_process_1() -> bool:
    try:
        command = ["unshare", "--pid", "--fork", "true"]
        return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_runs_greenserve_itself_and_not_a_shell():
    assert json.loads(last("ENTRYPOINT")) == ["greenserve"]
    assert json.loads(last("CMD")) == ["apps.demo:app"]


def test_runs_as_nobody_special():
    user = re.fullmatch(r"(\d+):(\d+)", last("USER"))
    assert user
    assert int(user[1]) >= 1000


def test_drains_before_docker_kills():
    seconds = re.search(r"GREENSERVE_GRACEFUL_TIMEOUT=(\w+)", last("ENV"))[1]
    assert Config.from_settings(graceful_timeout=seconds).graceful_timeout < 10


def test_takes_only_what_it_copies():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        one for line in re.findall(r"^COPY (?!--)(.+)$", TEXT, re.MULTILINE) for one in line.split()[:-1]
    }
    assert kept == copied
    assert all((ROOT / one).exists() for one in kept)


@pytest.mark.skipif(not can_be_process_1(), reason="needs unshare and the right to make a process namespace")
def test_process_1_stops_by_sigterm():
    """The kernel gives process 1 no signal that it has no handler for (pid_namespaces(7))."""
    command = [
        str(shutil.which("unshare")),
        "--pid",
        "--fork",
        *GREENSERVE,
        "apps.hello:app",
        "--bind",
        "127.0.0.1:0",
    ]
    with running(command) as (process, url):
        assert requests.get(url, timeout=PATIENCE).status_code == 200
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert Path(f"/proc/{child}/status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
        os.kill(int(child), signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
