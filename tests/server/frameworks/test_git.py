"""A git server as a WSGI app, dulwich's, and the real git: a push comes in chunks once it is larger than 1 MiB."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain
from tests.support.servers.running import serving
from tests.support.times import PATIENCE

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

_SIZE = 8 << 20


def _git(folder: Path, *arguments: str) -> str:
    environ = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_TRACE_CURL": "1",
        "GIT_TRACE_CURL_NO_DATA": "1",
    }
    ran = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return ran.stderr


def test_a_push_of_8_mib_and_a_clone(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "work").mkdir()
    content = random.Random(8).randbytes(_SIZE)  # does not compress
    with Repo.init_bare(str(tmp_path / "bare")) as bare:
        app = make_wsgi_chain(DictBackend({"/": bare}))
        with serving(app) as server:
            work = tmp_path / "work"
            _git(work, "init", "-q", "-b", "master")
            (work / "file").write_bytes(content)
            _git(work, "add", "file")
            _git(work, "commit", "-q", "-m", "a file")
            trace = _git(work, "push", "-q", f"{server.url}/", "master")
            assert "transfer-encoding: chunked" in trace.lower()
            _git(tmp_path, "clone", "-q", f"{server.url}/", "copy")
            assert (tmp_path / "copy" / "file").read_bytes() == content
