"""deploy/systemd by systemd's own tools, and a socket passed as systemd passes it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from tests.deploy.processes import GREENSERVE, ROOT, running
from tests.deploy.user_manager import UserManager, user_manager
from tests.support.servers.certificates import authority_file, issue_pair
from tests.support.servers.ports import free_port
from tests.support.times import PATIENCE

from greenserve import Config

pytestmark = pytest.mark.repository

FOLDER = ROOT / "deploy/systemd"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


@pytest.fixture
def units(tmp_path) -> list[Path]:
    """The units as they are shipped, but with a program that exists here: verify looks for it."""
    for path in (FOLDER / "greenserve.service", FOLDER / "greenserve.socket"):
        text = path.read_text()
        (tmp_path / path.name).write_text(text.replace("/srv/myapp/venv/bin/greenserve", sys.executable))
    return [tmp_path / "greenserve.service", tmp_path / "greenserve.socket"]


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--man=no", *map(str, arguments)]  # the pages need not be on this machine
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@needs_systemd
def test_systemd_takes_the_units(units):
    done = analyze("verify", *units)
    assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
def test_systemd_takes_what_tls_adds(units, tmp_path):
    folder = tmp_path / "greenserve.service.d"
    folder.mkdir()
    shutil.copy(FOLDER / "tls.conf", folder)
    done = analyze("verify", *units)
    assert (done.returncode, done.stderr) == (0, "")
    done = analyze("security", "--offline=yes", "--no-pager", units[0])
    assert float(re.search(r"exposure level for greenserve\.service: ([\d.]+)", done.stdout)[1]) <= 2.5


def _get(url, authority):
    with requests.Session() as session:
        session.trust_env = False  # a REQUESTS_CA_BUNDLE would go before `verify`
        return session.get(url, timeout=PATIENCE, verify=str(authority))


def test_greenserve_takes_what_tls_adds(tmp_path):
    """The variables of the drop-in, with files and ports that exist here; SIGHUP is what ExecReload sends."""
    text = (FOLDER / "tls.conf").read_text()
    given = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE))
    assert set(given) == {f"GREENSERVE_{name}" for name in ("CERTFILE", "KEYFILE", "BIND", "REDIRECT_BIND")}
    issue_pair(tmp_path / "c.pem", tmp_path / "k.pem", "127.0.0.1")
    given |= {"GREENSERVE_CERTFILE": str(tmp_path / "c.pem"), "GREENSERVE_KEYFILE": str(tmp_path / "k.pem")}
    given |= {"GREENSERVE_BIND": "127.0.0.1:0", "GREENSERVE_REDIRECT_BIND": "127.0.0.1:0"}
    with running([*GREENSERVE, "apps.hello:app"], env=given) as (process, url):
        # What it says first is where it redirects from: `running` looks for http.
        answer = _get(url, authority_file(tmp_path / "ca.pem"))
        assert (answer.text, answer.history[0].status_code) == ("Hello, world!\n", 308)
        assert "ExecReload=/bin/kill -HUP $MAINPID" in (FOLDER / "greenserve.service").read_text()
        process.send_signal(signal.SIGHUP)
        while "certificates reloaded" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@needs_systemd
def test_verify_would_find_a_mistake(units):
    units[0].write_text(units[0].read_text().replace("KillSignal=SIGTERM", "KillSignal=SIGNOTHING"))
    assert "SIGNOTHING" in analyze("verify", *units).stderr


@needs_systemd
def test_the_service_is_denied_what_it_does_not_need(units):
    """From 10, everything allowed, to 0; systemd calls up to 2 safe."""
    done = analyze("security", "--offline=yes", "--no-pager", units[0])
    found = re.search(r"exposure level for greenserve\.service: ([\d.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= 2


def test_systemd_waits_longer_than_greenserve():
    text = (FOLDER / "greenserve.service").read_text()
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1]) > Config().graceful_timeout
    assert int(re.search(r"^LimitNOFILE=(\d+)$", text, re.MULTILINE)[1]) >= 2 * Config().limit_connections


def test_serves_a_socket_passed_as_descriptor_3_and_stops_by_sigterm():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        as_3 = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
        command = [sys.executable, "-c", as_3, str(fd), *GREENSERVE, "apps.hello:app"]
        given = {"GREENSERVE_BIND": "fd://3", "LISTEN_FDS": "1"}
        with running(command, env=given, pass_fds=[fd]) as (process, url):
            assert url.endswith(f":{listener.getsockname()[1]}")
            assert requests.get(url, timeout=PATIENCE).text == "Hello, world!\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0


_WEB = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"served"]

def make():
    open("database").close()
    return app
"""

_WATCHDOG = 3  # seconds

# The check of the next program is quick: it is another process, which systemd does not wait for.
_SLOW = f"""
import os, time
from gs_web import app
if os.path.exists("slow") and os.environ["WATCHDOG_PID"] == str(os.getpid()):
    time.sleep({_WATCHDOG} * 1.7)
"""


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    (folder / "gs_web.py").write_text(_WEB)
    (folder / "gs_slow.py").write_text(_SLOW)
    return folder


@pytest.fixture(scope="module")
def manager(folder, port, tmp_path_factory) -> Iterator[UserManager]:
    units = tmp_path_factory.mktemp("units")
    text = (FOLDER / "greenserve.service").read_text()
    text = re.sub(
        r"^(DynamicUser|StateDirectory|Protect|Private|ProcSubset)\w*=.*\n", "", text, flags=re.MULTILINE
    )
    path = os.pathsep.join(str(ROOT / part) for part in ("server", "hub"))
    text = text.replace("/srv/myapp/venv/bin/greenserve", " ".join(GREENSERVE))
    text = text.replace(
        "WorkingDirectory=/srv/myapp", f"WorkingDirectory={folder}\nEnvironment=PYTHONPATH={path}"
    )
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    for name, app in (("web", "gs_web:app"), ("factory", "gs_web:make()"), ("none", "gs_none:app")):
        (units / f"{name}.service").write_text(text.replace("myapp:app", app))
    watched = text.replace("myapp:app", "--preload gs_slow:app")
    (units / "watched.service").write_text(
        watched.replace("[Install]", f"WatchdogSec={_WATCHDOG}\n\n[Install]")
    )
    (units / "typo.service").write_text(text.replace("myapp:app", "--poool 3 gs_web:app"))
    with user_manager(units) as manager:
        yield manager


def _tried_again(shown: dict[str, str]) -> bool:
    return int(shown["NRestarts"]) > 0 and shown["ExecMainStatus"] == "4"


def _runs(shown: dict[str, str]) -> bool:
    return shown["SubState"] == "running"


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("systemctl", "unshare", "nsenter"))),
    reason="needs root, systemd, unshare and nsenter",
)
class TestRuns:
    """The service as it is shipped, in a real systemd, but for what only the machine's own systemd can lock away."""

    def served(self, port: int) -> str:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE).text

    def test_it_is_started_when_it_serves_and_stops(self, manager, port):
        done = manager.systemctl("start", "web")
        assert done.returncode == 0, done.stderr
        assert self.served(port) == "served"
        shown = manager.shown("web")
        assert (shown["SubState"], shown["StatusText"]) == ("running", f"serving at http://127.0.0.1:{port}")
        assert manager.systemctl("stop", "web").returncode == 0
        shown = manager.shown("web")
        assert (shown["SubState"], shown["Result"], shown["ExecMainStatus"]) == ("dead", "success", "0")

    def test_a_port_in_use_is_tried_until_it_is_free(self, manager, port):
        with socket.create_server(("127.0.0.1", port)):
            assert manager.systemctl("start", "web").returncode != 0
            manager.becomes("web", _tried_again)
        manager.becomes("web", _runs)
        assert self.served(port) == "served"
        manager.systemctl("stop", "web")

    def test_a_factory_that_fails_is_tried_until_it_does_not(self, manager, port, folder):
        assert manager.systemctl("start", "factory").returncode != 0
        manager.becomes("factory", _tried_again)
        (folder / "database").touch()
        manager.becomes("factory", _runs)
        assert self.served(port) == "served"
        manager.systemctl("stop", "factory")

    def test_its_watchdog_waits_for_the_import_of_the_next_program(self, manager, port, folder):
        assert manager.systemctl("start", "watched").returncode == 0
        period = f"{_WATCHDOG}s"
        before = manager.shown("watched")
        assert before["WatchdogUSec"] == period
        (folder / "slow").touch()
        manager.systemctl("kill", "--signal=USR2", "--kill-whom=main", "watched")
        manager.becomes("watched", lambda shown: shown["WatchdogUSec"] != period)
        manager.becomes("watched", lambda shown: shown["WatchdogUSec"] == period)
        shown = manager.shown("watched")
        assert (shown["SubState"], shown["NRestarts"], shown["MainPID"]) == (
            "running",
            "0",
            before["MainPID"],
        )
        assert self.served(port) == "served"
        manager.systemctl("stop", "watched")

    @pytest.mark.parametrize(("unit", "code"), [("typo", "2"), ("none", "3")])
    def test_what_no_next_try_can_mend_is_not_tried(self, manager, unit, code):
        assert manager.systemctl("start", unit).returncode != 0
        shown = manager.shown(unit)
        assert (shown["SubState"], shown["ExecMainStatus"], shown["NRestarts"]) == ("failed", code, "0")
