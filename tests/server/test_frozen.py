"""Frozen programs: the hello app with TLS, WebSockets and patching, made into one by PyInstaller and by zipapp.

Both are built once for all tests: the first takes ten seconds.
"""

from __future__ import annotations

import http.client
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import zipapp
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.programs.commands import ROOT, Command, command
from tests.support.servers.certificates import client_context, issue
from tests.support.times import PATIENCE
from websockets.sync.client import connect

SOURCES = {"greenserve": ROOT / "server/greenserve", "greenserve_hub": ROOT / "hub/greenserve_hub"}
PROGRAM = """
import sys
import greenserve
import held_before
from greenserve.cli import main
if sys.argv[1].endswith(":app"):
    sys.exit(main(sys.argv[1:]))
greenserve.monkey_patch()
import threading, time
from apps import hello

opened = threading.Event()

@greenserve.WebSocketWSGI
def echo(ws):
    for message in ws:
        ws.send(message)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/echo":
        return echo(environ, start_response)
    if path == "/wait":
        opened.wait()
    elif path == "/open":
        opened.set()
    elif path == "/facts":
        facts = f"{environ['SERVER_SOFTWARE']} {held_before.sleep is time.sleep}".encode()
        start_response("200 OK", [("Content-Length", str(len(facts)))])
        return [facts]
    return hello.app(environ, start_response)

greenserve.run(app, bind="127.0.0.1:0", certfile=sys.argv[1])
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """The program and what it imports of its own."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "held_before.py").write_text("from time import sleep\n")
    (folder / "fails.py").write_text("import greenserve\n1 / 0\n")
    (folder / "apps").mkdir()
    shutil.copy(ROOT / "apps/hello.py", folder / "apps")
    return folder


@pytest.fixture(scope="module")
def frozen(sources, tmp_path_factory) -> list[str]:
    """The command that runs what PyInstaller has made."""
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        pytest.skip("PyInstaller needs a Python that was built with --enable-shared")
    if sys.version_info >= (3, 16):
        pytest.skip("PyInstaller 6 does not know this Python")
    folder = tmp_path_factory.mktemp("frozen")
    places = [f"--{one}path={folder / one}" for one in ("dist", "work", "spec")]
    paths = [f"--paths={one}" for one in (*{path.parent for path in SOURCES.values()}, sources)]
    # fails.py is named when it runs only; without the other two a server runs as well, and is built in less time.
    named = ["--hidden-import=fails", "--exclude-module=uvloop", "--exclude-module=websockets"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "PyInstaller",
            "--log-level=WARN",
            *places,
            *paths,
            *named,
            str(sources / "program.py"),
        ],
        capture_output=True,
        text=True,
        timeout=10 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [str(folder / "dist/program/program")]


@pytest.fixture(scope="module")
def archive(sources, tmp_path_factory) -> list[str]:
    """The command that runs the program and greenserve out of one zip."""
    folder = tmp_path_factory.mktemp("archive")
    inside = shutil.copytree(sources, folder / "inside")
    (inside / "program.py").rename(inside / "__main__.py")
    for name, source in SOURCES.items():
        shutil.copytree(source, inside / name, ignore=shutil.ignore_patterns("__pycache__"))
    zipapp.create_archive(inside, folder / "program.pyz")
    return [sys.executable, "-W", "error", str(folder / "program.pyz")]


@pytest.fixture(params=["frozen", "archive"])
def program(request) -> list[str]:
    return request.getfixturevalue(request.param)


@pytest.fixture
def started(program, tmp_path) -> Iterator[tuple[Command, str]]:
    """The program, serving; and where."""
    certificate = issue(tmp_path / "certificate.pem", "localhost")
    with command(*program[1:], str(certificate), folder=tmp_path, program=program[0]) as running:
        yield running, running.until(r"listening at https://(127\.0\.0\.1:\d+)")[1]


def get(address: str, path: str) -> str:
    host, _, port = address.partition(":")
    connection = http.client.HTTPSConnection(host, int(port), timeout=PATIENCE, context=trusting())
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def trusting():
    return client_context(check_hostname=False)


def test_it_serves_as_it_does_from_its_sources(started):
    running, address = started
    assert get(address, "/") == "Hello, world!\n"
    waiting: list[str] = []
    thread = threading.Thread(target=lambda: waiting.append(get(address, "/wait")))
    thread.start()
    get(address, "/open")
    thread.join(PATIENCE)
    assert waiting == ["Hello, world!\n"]
    with connect(f"wss://{address}/echo", ssl=trusting(), open_timeout=PATIENCE) as ws:
        ws.send("hello")
        assert ws.recv(PATIENCE) == "hello"
    software, held = get(address, "/facts").split()
    assert held == "True", "a name that a module held before is not replaced there"
    assert software.startswith("greenserve/0.")
    running.signal(signal.SIGTERM)
    assert running.ended() == 0
    assert "Warning" not in running.text
    assert "Traceback" not in running.text


def test_a_module_named_to_the_command_fails_with_its_own_lines_alone(program, tmp_path):
    done = subprocess.run(
        [*program, "fails:app"], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 3
    *trace, last = done.stderr.splitlines()
    assert last == "greenserve: can't import fails: ZeroDivisionError: division by zero"
    assert "greenserve" not in "".join(trace)
    assert "fails.py" in "".join(trace)
