"""The verbs of the Makefile that a newcomer types first, run for real; the others are what runs these tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
import requests
from tests.deploy.processes import ROOT, running
from tests.support.times import PATIENCE

pytestmark = [
    pytest.mark.repository,
    pytest.mark.skipif(
        not (shutil.which("make") and os.path.exists(f"{sys.prefix}/bin/greenserve")),
        reason="needs make, and greenserve installed in a virtual environment",
    ),
]


@pytest.fixture(autouse=True)
def _no_make_around(monkeypatch):
    """These tests may themselves run under `make test`, whose flags and variables a make within would inherit."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "ARGS", "HUB"):
        monkeypatch.delenv(name, raising=False)


def make(*arguments: str) -> list[str]:
    """The command, with the environment that these tests run in taken as it is."""
    return ["make", *arguments, f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.stamp-run"]


def test_make_run_starts_the_demo_and_ends_by_ctrl_c():
    with running(make("run", "BIND=127.0.0.1:0"), start_new_session=True) as (process, url):
        assert "ten thousand connections" in requests.get(url, timeout=PATIENCE).text
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: make and greenserve both
        said, _ = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in said
    assert "stopped" in said


def test_make_run_installs_what_the_demo_needs():
    """In a fresh clone nothing else does: the server needs no WebOb."""
    command = ["make", "-n", "run", f"VENV={ROOT}/.venv-none"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert "install --quiet -e '.[demo]'" in done.stdout
    assert "'.[speedups,demo]'" in (ROOT / "Dockerfile").read_text()


def test_make_run_says_that_the_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = make("run", f"BIND={address}")
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert done.returncode != 0
    assert f"greenserve: cannot listen at {address}" in done.stderr
    assert "Traceback" not in done.stderr


def test_make_alone_lists_the_verbs():
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == [
        "run",
        "test",
        "lint",
        "docs",
        "soak",
        "fuzz",
        "bench",
        "conformance",
        "migration",
        "image-test",
        "clean",
    ]


def test_an_old_python_is_told_so(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 9, 1)\n")
    old = f"env PYTHONPATH={tmp_path} {sys.executable}"
    command = ["make", "test", f"VENV={tmp_path}/venv", f"PYTHON={old}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_make_test_runs_on_the_hub_it_is_told():
    def line(*arguments: str) -> str:
        command = ["make", "-n", "test", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.stamp-test", *arguments]
        mine = {name: value for name, value in os.environ.items() if name not in ("HUB", "JOBS", "MAKEFLAGS")}
        made = subprocess.run(command, cwd=ROOT, env=mine, capture_output=True, text=True, check=True)
        return made.stdout.strip()

    pytest = f"{sys.prefix}/bin/python -m pytest -n auto --dist loadscope --no-loadscope-reorder"
    assert line() == pytest
    assert line("HUB=poll") == f"GREENSERVE_HUB=poll {pytest}"
